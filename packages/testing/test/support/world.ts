/** A small world in memory: one network, one store, servers that come and go, and clients. All under `TestClock`. */
import { assert } from "@effect/vitest"
import { ActorClient, type Connection, type ConnectionStatus } from "@troupe/client"
import * as Frame from "@troupe/contract/protocol/Frame"
import { ActorStore, type Gateway, type HostOptions } from "@troupe/server"
import { MemoryTransport, RawClient, TestHost, TestStore } from "@troupe/testing"
import { settle } from "@troupe/testing/TestTime"
import {
  Context,
  Duration,
  Effect,
  type Exit,
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

export interface WorldOptions {
  readonly host?: HostOptions.Options
  readonly gateway?: Partial<Gateway.Options>
  /** What the store says about how long it keeps replies. Default: for ever. */
  readonly retention?: Duration.DurationInput
}

export { pass, settle } from "@troupe/testing/TestTime"

/** Lets promises that are settled tell so. */
export const told = Effect.zipRight(settle, Effect.promise(() => new Promise((resolve) => setImmediate(resolve))))

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

/** A store that says of itself how long it keeps replies. */
const layerStore = (retention: Duration.DurationInput | undefined) =>
  TestStore.layerOver.pipe(Layer.provide(
    Layer.map(ActorStore.layerMemory, (context) => {
      const store = Context.get(context, ActorStore.ActorStore)
      const retentionMillis = retention ? Duration.toMillis(retention) : store.retentionMillis
      return Context.make(ActorStore.ActorStore, { ...store, retentionMillis })
    })
  ))

export const makeWorld = (options: WorldOptions = {}) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const trace = new Trace()
    const base = yield* Layer.buildWithScope(Layer.merge(layerStore(options.retention), MemoryTransport.layer), scope)
    const network = Context.get(base, MemoryTransport.MemoryNetwork)
    const store = Context.get(base, TestStore.TestStore)
    const running = new Set<TestHost.TestHost["Type"]>()

    /** Starts a server: from now on, dials reach this one. */
    const serve = (gateway: Partial<Gateway.Options> = {}, host: HostOptions.Options = {}) =>
      Effect.map(
        TestHost.make({
          actors: [Tally],
          implementations: layerTally(trace),
          gateway: { ...options.gateway, ...gateway },
          host: { ...options.host, ...host }
        }).pipe(Effect.provide(base), Scope.extend(scope)),
        (server) => {
          running.add(server)
          return server
        }
      )

    /** All servers are gone from one moment to the next, and another takes over what was stored. */
    const crash = Effect.suspend(() => Effect.forEach(running, (server) => server.crash)).pipe(
      Effect.zipRight(serve()),
      Effect.zipRight(network.cut)
    )

    const clientIn = (clientScope: Scope.Scope, clientOptions: ActorClient.Options = {}) =>
      Effect.map(
        Layer.buildWithScope(
          ActorClient.layer(clientOptions).pipe(Layer.provide(Layer.succeedContext(base))),
          clientScope
        ),
        (context) => Context.get(context, ActorClient.ActorClient)
      )

    /** A client that speaks frames itself, encoded by us. */
    const rawLink = Effect.map(
      RawClient.make.pipe(Effect.orDie, Effect.provide(base), Scope.extend(scope)),
      (raw) => ({ ...raw, send: (...texts: ReadonlyArray<string>) => raw.sayText(Frame.join(texts)) })
    )

    return {
      trace,
      network,
      store,
      serve,
      crash,
      clientIn,
      client: (clientOptions: ActorClient.Options = {}) => clientIn(scope, clientOptions),
      rawLink,
      /** The numbers of the calls whose replies have been recorded, in order. */
      get recorded() {
        return store.commits.flatMap(({ replies }) => replies.map(({ call }) => call))
      },
      /** The labels of all calls that took effect, in order, as they are stored. */
      labels: (key = "a") => {
        const states = store.commits.flatMap(({ address, state }) => address.key === key ? state ?? [] : [])
        const text = states.at(-1)
        return text === undefined ? [] : Schema.decodeUnknownSync(TallyState)(JSON.parse(text)).labels
      }
    }
  })

export type World = Effect.Effect.Success<ReturnType<typeof makeWorld>>
