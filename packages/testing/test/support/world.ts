/** A small world in memory: one network, one store, servers that come and go, and clients. All under `TestClock`. */
import { assert, vi } from "@effect/vitest"
import { ActorClient, type Connection, type ConnectionStatus } from "@troupe/client"
import { type Link, Transport } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { ActorHost, ActorStore, type Gateway, type HostOptions } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import {
  Context,
  Duration,
  Effect,
  Either,
  ExecutionStrategy,
  Exit,
  Fiber,
  Layer,
  Option,
  Schedule,
  Schema,
  Scope,
  Stream,
  TestClock
} from "effect"
import { layerTally, Tally, TallyState, Trace } from "./tally.ts"

// virtual time is cheap but not free, and the machine may be busy
vi.setConfig({ testTimeout: 30_000 })

type Store = typeof ActorStore.ActorStore.Service

export interface WorldOptions {
  readonly host?: HostOptions.Options
  readonly gateway?: Partial<Gateway.Options>
  /** What the store says about how long it keeps replies. Default: for ever. */
  readonly retention?: Duration.DurationInput
}

/** Lets everything run that does not wait for the clock. */
export const settle: Effect.Effect<void> = Effect.repeatN(
  Effect.async<void>((resume) => {
    setImmediate(() => resume(Effect.void))
  }),
  5
)

/** Lets time pass, and everything run that was due by then. */
export const pass = (duration: Duration.DurationInput): Effect.Effect<void> =>
  settle.pipe(Effect.zipRight(TestClock.adjust(duration)), Effect.zipRight(settle))

/** Dials again at once. */
export const atOnce: ActorClient.Options = { schedule: Schedule.forever }

/** A status in a word. */
export const word = (status: ConnectionStatus.ConnectionStatus): string => {
  switch (status._tag) {
    case "Connecting":
      return "connecting"
    case "Connected":
      return status.resumed ? "resumed" : "connected"
    case "Waiting":
      return `waiting ${status.attempt} ${status.cause._tag}`
    case "Closed":
      return `closed ${status.reason._tag}`
  }
}

type HasStatus = Pick<Connection.Connection<any>, "status">

/** All statuses from now on, in words, without repetitions. */
export const statuses = ({ status }: HasStatus) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    yield* Effect.forkScoped(Stream.runForEach(status.changes, (status) =>
      Effect.sync(() => {
        if (seen[seen.length - 1] !== word(status)) seen.push(word(status))
      })))
    yield* settle
    return seen
  })

/** The present status in a word. */
export const statusOf = ({ status }: HasStatus) => Effect.map(status.get, word)

/** How long the connection still waits for its next attempt, in milliseconds. */
export const waitOf = ({ status }: HasStatus) =>
  Effect.gen(function*() {
    const current = yield* status.get
    if (current._tag !== "Waiting") return yield* Effect.dieMessage(`it does not wait, it is ${word(current)}`)
    return Option.getOrThrow(current.retryAt) - (yield* TestClock.currentTimeMillis)
  })

/** What the default schedule allows: 250 ms, doubled each time up to 30 s, times something between 0.5 and 1. */
export const assertExponential = (delays: ReadonlyArray<number>) =>
  delays.forEach((delay, i) => {
    const full = Math.min(250 * 2 ** i, 30_000)
    assert.isAtLeast(delay, Math.floor(full * 0.5), `delay ${i + 1}`)
    assert.isAtMost(delay, Math.ceil(full), `delay ${i + 1}`)
  })

/** Puts all items of a stream into an array as they come. */
export const collect = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function*() {
    const items: Array<A> = []
    yield* Effect.forkScoped(Stream.runForEach(stream, (item) => Effect.sync(() => void items.push(item))))
    yield* settle
    return items
  })

/** Starts an effect, and runs it up to where it waits. */
export const begin = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Fiber.RuntimeFiber<A, E>, never, R> =>
  Effect.tap(Effect.fork(effect), settle)

/** How a fiber has ended; a defect if it has not. */
export const ended = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  settle.pipe(
    Effect.zipRight(Fiber.poll(fiber)),
    Effect.flatMap(Option.match({ onNone: () => Effect.dieMessage("it has not ended"), onSome: Effect.succeed }))
  )

/** What a fiber has returned; a defect if it has not ended, or has failed. */
export const result = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<A> => Effect.orDie(Effect.flatten(ended(fiber)))

/** What a fiber has failed with. */
export const failure = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<E> =>
  Effect.orDie(Effect.flip(Effect.flatten(ended(fiber))))

export const isRunning = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<boolean> =>
  settle.pipe(Effect.zipRight(Fiber.poll(fiber)), Effect.map(Option.isNone))

export const makeWorld = (options: WorldOptions = {}) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const trace = new Trace()
    const states = new Map<string, string>()
    /** The numbers of the calls whose replies have been recorded, in order. */
    const recorded: Array<number> = []
    /** What the store answers to the next commits, instead of doing them. */
    const refusals: Array<string> = []
    const observed = (store: Store): Store => ({
      ...store,
      retentionMillis: options.retention ? Duration.toMillis(options.retention) : store.retentionMillis,
      commit: (batch) =>
        refusals.length > 0
          ? Effect.succeed(batch.map(() => ({ _tag: "failed" as const, message: refusals.shift() ?? "" })))
          : Effect.map(store.commit(batch), (results) => {
            batch.forEach(({ address, replies, state }, i) => {
              if (results[i]!._tag !== "committed") return
              if (state !== undefined) states.set(address.key, state)
              recorded.push(...replies.map(({ call }) => call))
            })
            return results
          })
    })
    const base = yield* Layer.buildWithScope(
      Layer.mergeAll(
        Layer.map(ActorStore.layerMemory, (context) =>
          Context.make(ActorStore.ActorStore, observed(Context.get(context, ActorStore.ActorStore)))),
        MemoryTransport.layer
      ),
      scope
    )
    const network = Context.get(base, MemoryTransport.MemoryNetwork)
    const transport = Context.get(base, Transport.Transport)

    /** Starts a server: from now on, dials reach this one. */
    const serve = (gateway: Partial<Gateway.Options> = {}, host: HostOptions.Options = {}) =>
      Effect.gen(function*() {
        const serverScope = yield* Scope.make()
        yield* Layer.buildWithScope(
          MemoryTransport.layerServer({ actors: [Tally], ...options.gateway, ...gateway }).pipe(
            Layer.provide(layerTally(trace)),
            Layer.provide(ActorHost.layer({ ...options.host, ...host })),
            Layer.provide(Layer.succeedContext(base))
          ),
          serverScope
        )
        return { stop: Scope.close(serverScope, Exit.void) }
      })

    /** The server is gone from one moment to the next, and another takes over what was stored. */
    const crash = Effect.zipRight(serve(), network.cut)

    const clientIn = (clientScope: Scope.Scope, clientOptions: ActorClient.Options = {}) =>
      Effect.map(
        Layer.buildWithScope(
          ActorClient.layer(clientOptions).pipe(Layer.provide(Layer.succeedContext(base))),
          clientScope
        ),
        (context) =>
          Context.get(context, ActorClient.ActorClient)
      )

    /** A client that speaks frames itself. */
    const rawLink = Effect.gen(function*() {
      const frames: Array<Frame.ServerFrame> = []
      const closed: Array<Link.CloseEvent> = []
      const linkScope = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const link = yield* Scope.extend(
        Effect.orDie(transport.dial({
          onMessage: (text) => Frame.decodeServer(text)!.forEach((frame) => frames.push(Either.getOrThrow(frame))),
          onClose: (event) => void closed.push(event)
        })),
        linkScope
      )
      return {
        frames,
        closed,
        /** Sends frames in one message, and waits until all that follows has happened. */
        send: (...texts: ReadonlyArray<string>) =>
          Effect.zipRight(Effect.sync(() => link.send(Frame.join(texts))), settle),
        close: Effect.zipRight(Scope.close(linkScope, Exit.void), settle),
        /** The frames with this tag. */
        of: <Tag extends Frame.ServerFrame["_tag"]>(tag: Tag) =>
          frames.filter((frame): frame is Extract<Frame.ServerFrame, { readonly _tag: Tag }> => frame._tag === tag)
      }
    })

    return {
      trace,
      network,
      serve,
      crash,
      clientIn,
      client: (clientOptions: ActorClient.Options = {}) => clientIn(scope, clientOptions),
      rawLink,
      recorded,
      /** The next commits fail. */
      refuseCommits: (...messages: ReadonlyArray<string>) => Effect.sync(() => void refusals.push(...messages)),
      /** The labels of all calls that took effect, in order, as they are stored. */
      labels: (key = "a") => {
        const text = states.get(key)
        return text === undefined ? [] : Schema.decodeUnknownSync(TallyState)(JSON.parse(text)).labels
      }
    }
  })

export type World = Effect.Effect.Success<ReturnType<typeof makeWorld>>
