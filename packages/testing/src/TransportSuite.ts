/**
 * What connections do, as a suite of tests for transports. It needs no `TestClock`, so that it can be run over real
 * sockets: every transport, with all of Troupe above and below it, has to behave the same. It does not replace
 * `TransportLaws`, which see what connections put right.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import { assert, describe, it } from "@effect/vitest"
import * as ActorClient from "@troupe/client/ActorClient"
import type { Connection } from "@troupe/client/Connection"
import type { ConnectionStatus } from "@troupe/client/ConnectionStatus"
import * as Actor from "@troupe/contract/Actor"
import { ConnectionClosed } from "@troupe/contract/ConnectionError"
import type { DefinitionOf } from "@troupe/contract/Definition"
import * as Gap from "@troupe/contract/Gap"
import { ServerDefect } from "@troupe/contract/ServerDefect"
import { Transport } from "@troupe/contract/Transport"
import * as ActorHost from "@troupe/server/ActorHost"
import * as ActorStore from "@troupe/server/ActorStore"
import type { Connections } from "@troupe/server/Connections"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { Links } from "./internal/Links.ts"
import { Waits } from "./internal/Patience.ts"

/** What the suite's actors refuse a connection with. */
export class Denied extends Schema.TaggedError<Denied>("@troupe/testing/Denied")("Denied", { reason: Schema.String }) {}

/** A typed failure of a handler. */
export class Muted extends Schema.TaggedError<Muted>("@troupe/testing/Muted")("Muted", { until: Schema.Number }) {}

const said = Schema.Struct({ from: Schema.String, text: Schema.String, count: Schema.Number })

const definition = {
  params: Schema.Struct({ token: Schema.String }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.Number, error: Muted }),
    Rpc.make("Texts", { success: Schema.Array(Schema.String) }),
    Rpc.make("Rename", { payload: { name: Schema.String }, success: Schema.String }),
    Rpc.make("WhoAmI", { success: Schema.Struct({ id: Schema.Number, name: Schema.String, online: Schema.Number }) }),
    Rpc.make("Wait", { payload: { gate: Schema.String } }),
    Rpc.make("Kick", { payload: { id: Schema.Number, reason: Schema.optional(Schema.String) } }),
    Rpc.make("Explode")
  ),
  events: { said, other: Schema.String }
}

/** The actor a transport has to reach: a room with a bit of everything. */
export class SuiteRoom extends Actor.Tag<SuiteRoom>()("SuiteRoom", definition) {}

/** Another contract with the same rpcs, whose actors must not mix with those of `SuiteRoom`. */
export class SuiteHall extends Actor.Tag<SuiteHall>()("SuiteHall", definition) {}

/** `SuiteRoom` as a client knows it that does not check its parameters. */
class LooseRoom extends Actor.Tag<LooseRoom>()("SuiteRoom", {
  ...definition,
  params: Schema.Struct({ token: Schema.Unknown })
}) {}

/** What a gateway has to serve for the suite. */
export const actors = [SuiteRoom, SuiteHall] as const

/** How a transport is tested. */
export interface Options<R, E> {
  /** A transport to a gateway that serves `actors`. */
  readonly transport: Layer.Layer<Transport | R, E, Connections | SuiteRoom | SuiteHall>
  /** Cuts all links without a word. Without it the tests that need it are left out. */
  readonly cut?: Effect.Effect<unknown, never, R>
  /** How long a case waits when nothing comes, in milliseconds of real time. Default: 10 seconds. */
  readonly patienceMillis?: number
}

const patienceMillisDefault = 10_000

/** A case waits many times. */
const timeoutMillis = 60_000

const callsInRow = 1000

/** 512 KiB, of characters of every length. */
const largeText = "x".repeat(256 * 1024) + "é".repeat(64 * 1024) + "😀".repeat(32 * 1024)

const oddTexts = ["", " ", "\ufeff'\"\\ \u0000\r\n\u2028\ufeff é 漢字 😀", "{\"a\":1}", largeText]

type Client = typeof ActorClient.ActorClient.Service
type Room = Connection<DefinitionOf<SuiteRoom>>

/** What hooks and handlers did, gates that handlers wait at, what the case waits for, and its links. */
class Probe extends Context.Tag("@troupe/testing/TransportSuite/Probe")<Probe, {
  readonly log: SubscriptionRef.SubscriptionRef<ReadonlyArray<string>>
  readonly gates: Map<string, Deferred.Deferred<void>>
  readonly waits: Waits
  readonly links: Links
}>() {
  static readonly layer = (waits: Waits) =>
    Layer.effect(
      Probe,
      Effect.map(SubscriptionRef.make<ReadonlyArray<string>>([]), (log) => ({
        log,
        gates: new Map(),
        waits,
        links: new Links()
      }))
    )
}

/** Waits for something that has a name. */
const waitFor = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Probe, ({ waits }) => waits.for(name, effect))

const note = (entry: string) =>
  Effect.flatMap(Probe, ({ log }) => SubscriptionRef.update(log, (entries) => [...entries, entry]))

const noted = Effect.flatMap(Probe, ({ log }) => SubscriptionRef.get(log))

/** Waits until an entry has been noted, so many times. */
const untilNoted = (entry: string, times = 1) =>
  Effect.flatMap(Probe, ({ log }) =>
    waitFor(
      `the server to note "${entry}"`,
      Stream.runDrain(
        Stream.takeUntil(log.changes, (entries) => entries.filter((other) => other === entry).length >= times)
      )
    ))

const gate = (name: string) =>
  Effect.map(Probe, ({ gates }) => {
    const known = gates.get(name) ?? Effect.runSync(Deferred.make<void>())
    gates.set(name, known)
    return known
  })

const open = (name: string) => Effect.flatMap(gate(name), (gate) => Deferred.succeed(gate, undefined))

const implement = <Self>(contract: typeof SuiteRoom | typeof SuiteHall) =>
  (contract as typeof SuiteRoom).toLayer(
    {
      state: Schema.Struct({ texts: Schema.Array(Schema.String) }),
      initialState: () => ({ texts: [] }),
      connection: Schema.Struct({ name: Schema.String })
    },
    (room) =>
      Effect.gen(function*() {
        const probe = yield* Probe
        const provide = Effect.provideService(Probe, probe)
        return room.behavior({
          onBeforeConnect: ({ params: { token } }) =>
            Effect.zipRight(
              provide(note(`preflight ${token}`)),
              token === "bad" ? new Denied({ reason: "bad token" }) : Effect.succeed({ name: token })
            ),
          onConnect: ({ params: { token } }) =>
            Effect.acquireRelease(provide(note(`acquire ${token}`)), () => provide(note(`release ${token}`))),
          rpcs: {
            Say: Effect.fnUntraced(function*({ text }) {
              const { state } = yield* room.caller
              const { name } = yield* Ref.get(state)
              const count = yield* Ref.modify(
                room.state,
                ({ texts }) => [texts.length + 1, { texts: [...texts, text] }]
              )
              yield* room.broadcast("said", { from: name, text, count })
              if (text === "fail") return yield* new Muted({ until: 7 })
              return count
            }),
            Texts: () => Effect.map(Ref.get(room.state), ({ texts }) => texts),
            Rename: ({ name }) =>
              Effect.flatMap(
                room.caller,
                ({ state }) => Effect.map(Ref.getAndSet(state, { name }), (before) => before.name)
              ),
            WhoAmI: () =>
              Effect.gen(function*() {
                const { id, state } = yield* room.caller
                const online = HashMap.size(yield* Ref.get(room.connections))
                return { id, name: (yield* Ref.get(state)).name, online }
              }),
            Wait: ({ gate: name }) =>
              note(`wait ${name}`).pipe(
                Effect.zipRight(Effect.flatMap(gate(name), Deferred.await)),
                Effect.onInterrupt(() => note(`interrupted ${name}`)),
                provide
              ),
            Kick: Effect.fnUntraced(function*({ id, reason }) {
              const found = HashMap.get(yield* Ref.get(room.connections), id as never)
              if (found._tag === "Some") yield* found.value.disconnect(reason)
            }),
            Explode: () => Effect.die(new Error("secret detail"))
          }
        })
      })
  ) as unknown as Layer.Layer<Self, never, ActorHost.ActorHost | Probe>

const layerServer = (waits: Waits) =>
  Layer.mergeAll(implement<SuiteRoom>(SuiteRoom), implement<SuiteHall>(SuiteHall)).pipe(
    Layer.provideMerge(ActorHost.layer()),
    Layer.provideMerge(Layer.merge(ActorStore.layerMemory, Probe.layer(waits)))
  )

/** The same connection, whose answers have names. */
const named = (waits: Waits, room: Room): Room => {
  const rpcs = Object.entries(room.rpc) as Array<[string, (payload: never) => Effect.Effect<unknown, unknown>]>
  const rpc = rpcs.map(([tag, call]) => [tag, (payload: never) => waits.for(`the answer to ${tag}`, call(payload))])
  return {
    rpc: Object.fromEntries(rpc),
    events: (name) => waits.for(`the subscription to ${name}`, room.events(name)),
    status: room.status,
    pending: room.pending
  }
}

/** Another client of the same server. */
const newClient = Effect.gen(function*() {
  const { waits } = yield* Probe
  const building = Layer.build(Layer.fresh(ActorClient.layer({ schedule: Schedule.spaced("5 millis") })))
  const client = Context.get(yield* waits.for("a client to be built", building), ActorClient.ActorClient)
  const connect = (...[contract, key, options]: Parameters<Client["connect"]>) =>
    Effect.map(
      waits.for(`a connection to ${key}`, client.connect(contract, key, options)),
      (room) => named(waits, room as never)
    )
  return { ...client, connect: connect as Client["connect"] }
})

const join = (token: string, key = "lobby") =>
  Effect.flatMap(newClient, (client) => client.connect(SuiteRoom, key, { params: { token } }))

/** Waits for a status. */
const until = ({ status }: Pick<Room, "status">, tag: ConnectionStatus["_tag"]) =>
  waitFor(
    `the status ${tag}`,
    Effect.flatMap(Stream.runHead(Stream.filter(status.changes, ({ _tag }) => _tag === tag)), (found) =>
      Effect.orDie(found))
  )

/** Until it is known to the server that it has the connection again. */
const resumed = (client: Client, room: Room) => Effect.zipRight(client.resume, until(room, "Connected"))

const takeSaid = (stream: Stream.Stream<(typeof said)["Type"] | Gap.Gap, unknown>, count: number) =>
  waitFor(`${count} events`, Stream.runCollect(Stream.take(Gap.ignore(stream), count))).pipe(
    Effect.map((items) => Chunk.toReadonlyArray(items).map(({ text }) => text)),
    Effect.orDie
  )

type Needs = Probe | Transport | Scope.Scope

const texts = (count: number, prefix = "") => Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`)

const withoutCuts: Record<string, Effect.Effect<void, unknown, Needs>> = {
  "A1 parameters are decoded before any hook; bad ones are refused with a readable error": Effect.gen(function*() {
    const client = yield* newClient
    const connecting = client.connect(LooseRoom, "lobby", { params: { token: 7 } })
    const error = yield* Effect.flip(Effect.scoped(connecting))
    assert.instanceOf(error, ConnectionClosed)
    assert.strictEqual(error.reason._tag, "InvalidParams")
    assert.include(error.message, "token")
    assert.deepStrictEqual(yield* noted, [])
    yield* client.connect(LooseRoom, "lobby", { params: { token: "ann" } })
    assert.deepStrictEqual(yield* noted, ["preflight ann", "acquire ann"])
  }),

  "A2 the connection's state comes from onBeforeConnect, and what a handler makes of it stays": Effect.gen(function*() {
    const room = yield* join("ann")
    assert.strictEqual((yield* room.rpc.WhoAmI()).name, "ann")
    assert.strictEqual(yield* room.rpc.Rename({ name: "Ann" }), "ann")
    assert.strictEqual((yield* room.rpc.WhoAmI()).name, "Ann")
    assert.strictEqual(yield* room.rpc.Rename({ name: "A." }), "Ann")
    assert.strictEqual((yield* (yield* join("bob")).rpc.WhoAmI()).name, "bob")
  }),

  "A3 a typed refusal is the error of connect, after one attempt": Effect.gen(function*() {
    for (const times of [1, 2]) {
      assert.deepStrictEqual(yield* Effect.flip(Effect.scoped(join("bad"))), new Denied({ reason: "bad token" }))
      assert.deepStrictEqual(yield* noted, Array.from({ length: times }, () => "preflight bad"))
    }
  }),

  "A7 disconnect closes the client for good, with the reason, and settles its calls": Effect.gen(function*() {
    const bob = yield* join("bob")
    for (const reason of ["spam", undefined]) {
      const ann = yield* join("ann")
      const { id } = yield* ann.rpc.WhoAmI()
      const waiting = yield* Effect.fork(ann.rpc.Wait({ gate: `gate ${reason}` }))
      yield* untilNoted(`wait gate ${reason}`)
      const behind = yield* Effect.fork(ann.rpc.Say({ text: "behind" }))
      const kicking = yield* Effect.fork(bob.rpc.Kick({ id, ...(reason === undefined ? {} : { reason }) }))
      yield* open(`gate ${reason}`)
      yield* Fiber.join(waiting)
      yield* Fiber.join(kicking)
      const closed = yield* until(ann, "Closed")
      assert.deepStrictEqual(
        closed,
        { _tag: "Closed", reason: { _tag: "Disconnected", ...(reason === undefined ? {} : { reason }) } } as never
      )
      const fate = yield* Effect.exit(Fiber.join(behind))
      if (Exit.isFailure(fate)) {
        assert.deepInclude(Cause.failureOption(fate.cause), { _tag: "Some" })
        assert.include((yield* Effect.flip(fate)).message, "may have run")
      }
      const later = yield* Effect.flip(ann.rpc.WhoAmI())
      assert.strictEqual((later as ConnectionClosed).sent, "no")
      assert.strictEqual((yield* ann.status.get)._tag, "Closed")
      assert.strictEqual((yield* bob.rpc.WhoAmI()).online, 1)
    }
  }),

  "A8 connections, keys and contracts over one link do not mix": Effect.gen(function*() {
    const client = yield* newClient
    const connections = [
      yield* client.connect(SuiteRoom, "one", { params: { token: "1" } }),
      yield* client.connect(SuiteRoom, "one", { params: { token: "2" } }),
      yield* client.connect(SuiteRoom, "two", { params: { token: "3" } }),
      yield* client.connect(SuiteHall, "one", { params: { token: "4" } })
    ] as ReadonlyArray<Room>
    const streams = yield* Effect.forEach(connections, (room) => room.events("said"))
    const heard = yield* Effect.forEach(streams, (stream, i) => Effect.fork(takeSaid(stream, i < 2 ? 2 : 1)))
    for (const room of connections) {
      const { name } = yield* room.rpc.WhoAmI()
      yield* room.rpc.Say({ text: `said by ${name}` })
    }
    assert.deepStrictEqual(yield* Effect.forEach(heard, Fiber.join), [
      ["said by 1", "said by 2"],
      ["said by 1", "said by 2"],
      ["said by 3"],
      ["said by 4"]
    ])
    const ids = yield* Effect.forEach(
      connections,
      (room) => Effect.map(room.rpc.WhoAmI(), ({ id, online }) => ({ id, online }))
    )
    assert.notStrictEqual(ids[0]!.id, ids[1]!.id)
    assert.deepStrictEqual(ids.map(({ online }) => online), [2, 2, 1, 1])
  }),

  "B1 success, typed failure and defect reach their caller; a defect has an id and no message": Effect.gen(function*() {
    const room = yield* join("ann")
    const [one, failed, two, died] = yield* Effect.all([
      Effect.exit(room.rpc.Say({ text: "one" })),
      Effect.exit(room.rpc.Say({ text: "fail" })),
      Effect.exit(room.rpc.Say({ text: "two" })),
      Effect.exit(room.rpc.Explode())
    ], { concurrency: "unbounded" })
    assert.deepStrictEqual(one, Exit.succeed(1))
    assert.deepStrictEqual(failed, Exit.fail(new Muted({ until: 7 })))
    assert.deepStrictEqual(two, Exit.succeed(2))
    const defect = Exit.isFailure(died) ? Chunk.unsafeHead(Cause.defects(died.cause)) : undefined
    assert.instanceOf(defect, ServerDefect)
    assert.notInclude(JSON.stringify(defect), "secret")
    assert.deepStrictEqual(yield* room.rpc.Texts(), ["one", "two"])
  }),

  "B3 calls run in the order they were made; replies and events come in commit order": Effect.gen(function*() {
    const room = yield* join("ann")
    const events = yield* room.events("said")
    const expected = texts(200)
    const order: Array<string> = []
    const hearing = yield* Effect.fork(takeSaid(events, expected.length))
    const replies = yield* Effect.forEach(
      expected,
      (text) => Effect.tap(room.rpc.Say({ text }), () => void order.push(text)),
      { concurrency: "unbounded" }
    )
    assert.deepStrictEqual(replies, expected.map(Number))
    assert.deepStrictEqual(order, expected)
    assert.deepStrictEqual(yield* Fiber.join(hearing), expected)
    assert.deepStrictEqual(yield* room.rpc.Texts(), expected)
  }),

  "B3 texts of 512 KiB and of every kind arrive as they went, in calls, events and answers": Effect.gen(function*() {
    const ann = yield* join("ann")
    const bob = yield* join("bob")
    const events = yield* bob.events("said")
    const heard: Array<string> = []
    for (const [i, text] of oddTexts.entries()) {
      assert.strictEqual(yield* ann.rpc.Say({ text }), i + 1)
      heard.push(...yield* takeSaid(events, 1))
    }
    const kept = yield* bob.rpc.Texts()
    for (const [i, text] of oddTexts.entries()) {
      assert.isTrue(kept[i] === text, `text ${i} has changed on its way there, or in an answer`)
      assert.isTrue(heard[i] === text, `text ${i} has changed in an event`)
    }
  }),

  "B3 1000 calls one after another take one link": Effect.gen(function*() {
    const room = yield* join("0")
    for (let i = 0; i < callsInRow; i++) assert.strictEqual(yield* room.rpc.Rename({ name: `${i + 1}` }), `${i}`)
    assert.strictEqual((yield* Probe).links.dials, 1, "so many dials were needed")
  }),

  "B4 interrupting a call interrupts its handler; one that is queued never runs": Effect.gen(function*() {
    const room = yield* join("ann")
    for (const times of [1, 2]) {
      const running = yield* Effect.fork(room.rpc.Wait({ gate: "never" }))
      yield* untilNoted("wait never", times)
      const queued = yield* Effect.fork(room.rpc.Say({ text: "queued" }))
      yield* Effect.yieldNow()
      const behind = yield* Effect.fork(room.rpc.Say({ text: `${times}` }))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(queued)
      yield* Fiber.interrupt(running)
      yield* untilNoted("interrupted never", times)
      assert.strictEqual(yield* Fiber.join(behind), times)
      assert.deepStrictEqual(yield* room.rpc.Texts(), texts(times))
    }
  }),

  "E1 a subscription is live when `events` returns, and ends with its scope": Effect.gen(function*() {
    const ann = yield* join("ann")
    const bob = yield* join("bob")
    for (const round of ["a", "b"]) {
      const heard = yield* Effect.scoped(Effect.gen(function*() {
        const events = yield* ann.events("said")
        yield* bob.rpc.Say({ text: `${round}1` })
        yield* bob.rpc.Say({ text: `${round}2` })
        return yield* takeSaid(events, 2)
      }))
      assert.deepStrictEqual(heard, [`${round}1`, `${round}2`])
      // behind the end of the subscription
      yield* ann.rpc.WhoAmI()
      yield* bob.rpc.Say({ text: "not heard" })
    }
  }),

  "C4 calls made offline wait, and take effect once, in order, before newer ones": Effect.gen(function*() {
    const client = yield* newClient
    const room = yield* client.connect(SuiteRoom, "lobby", { params: { token: "ann" } })
    const expected: Array<string> = []
    for (const round of ["a", "b"]) {
      yield* client.pause
      const calls = yield* Effect.forEach(texts(20, round), (text) => Effect.fork(room.rpc.Say({ text })))
      yield* Effect.yieldNow()
      assert.strictEqual(yield* room.pending.get, 20)
      yield* client.resume
      yield* until(room, "Connected")
      const newer = yield* room.rpc.Say({ text: `${round} newer` })
      expected.push(...texts(20, round), `${round} newer`)
      assert.strictEqual(newer, expected.length)
      for (const call of calls) yield* Fiber.join(call)
      assert.deepStrictEqual(yield* room.rpc.Texts(), expected)
    }
  }),

  "C6 a call that is interrupted before it was sent never runs; one that was sent is cancelled": Effect.gen(
    function*() {
      const client = yield* newClient
      const room = yield* client.connect(SuiteRoom, "lobby", { params: { token: "ann" } })
      for (const times of [1, 2]) {
        const sent = yield* Effect.fork(room.rpc.Wait({ gate: "never" }))
        yield* untilNoted("wait never", times)
        yield* client.pause
        const unsent = yield* Effect.fork(room.rpc.Say({ text: "unsent" }))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(sent)
        yield* Fiber.interrupt(unsent)
        const newer = yield* Effect.fork(room.rpc.Say({ text: `${times}` }))
        yield* client.resume
        assert.strictEqual(yield* Fiber.join(newer), times)
        yield* untilNoted("interrupted never", times)
        assert.deepStrictEqual(yield* room.rpc.Texts(), texts(times))
      }
    }
  ),

  "E2 S1 a pause loses no event and repeats none, and the connection is the same": Effect.gen(function*() {
    const client = yield* newClient
    const ann = yield* client.connect(SuiteRoom, "lobby", { params: { token: "ann" } })
    const bob = yield* join("bob")
    const events = yield* ann.events("said")
    yield* ann.rpc.Rename({ name: "Ann" })
    const me = yield* ann.rpc.WhoAmI()
    const log = yield* noted
    const expected: Array<string> = []
    for (const round of ["a", "b"]) {
      yield* bob.rpc.Say({ text: `${round} before` })
      yield* client.pause
      for (const text of texts(10, round)) yield* bob.rpc.Say({ text })
      yield* resumed(client, ann)
      assert.deepStrictEqual(yield* ann.status.get, { _tag: "Connected", resumed: true } as never)
      yield* bob.rpc.Say({ text: `${round} after` })
      expected.push(`${round} before`, ...texts(10, round), `${round} after`)
      assert.deepStrictEqual(yield* ann.rpc.WhoAmI(), me)
    }
    assert.deepStrictEqual(yield* takeSaid(events, expected.length), expected)
    assert.deepStrictEqual(yield* noted, log)
  }),

  "C11 what a closed connection waits for is settled": Effect.gen(function*() {
    for (const times of [1, 2]) {
      const waiting = yield* Effect.scoped(Effect.gen(function*() {
        const room = yield* join("ann", `room ${times}`)
        const waiting = yield* Effect.forkDaemon(room.rpc.Wait({ gate: "never" }))
        yield* untilNoted("wait never", times)
        return waiting
      }))
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.deepStrictEqual(error, new ConnectionClosed({ reason: { _tag: "ClientClosed" }, sent: "maybe" }))
      yield* untilNoted("release ann", times)
      yield* untilNoted("interrupted never", times)
    }
  }),

  "C11 the link of a client goes with it, and leaves those of others alone": Effect.gen(function*() {
    const { links } = yield* Probe
    const bob = yield* join("bob")
    for (const times of [1, 2]) {
      yield* Effect.scoped(join("ann", `room ${times}`))
      yield* waitFor("the link of a client that has left to close", links.standingAtMost(1))
      yield* untilNoted("release ann", times)
      assert.strictEqual((yield* bob.rpc.WhoAmI()).name, "bob")
      assert.strictEqual(links.dials, 1 + times, "so many dials were needed")
    }
  })
}

/** Cuts the links, and then waits until they are known to be cut: a cut that cuts nothing would prove nothing. */
const cutting = (cut: Effect.Effect<unknown>) => (meanwhile: Effect.Effect<unknown, unknown> = Effect.void) =>
  Effect.gen(function*() {
    const { links } = yield* Probe
    const { standing } = links
    yield* cut
    yield* meanwhile
    yield* waitFor("the links that `cut` was to cut to close", links.standingAtMost(0, standing))
  })

const withCuts = (cut: Effect.Effect<unknown>): Record<string, Effect.Effect<void, unknown, Needs>> => ({
  "C4 C7 E2 S1 calls and events survive cuts: once, in order, over one connection": Effect.gen(function*() {
    const ann = yield* join("ann")
    const bob = yield* join("bob")
    const events = yield* ann.events("said")
    const me = yield* ann.rpc.WhoAmI()
    const expected: Array<string> = []
    for (const round of texts(8)) {
      const batch = texts(10, `${round}.`)
      const calls = yield* Effect.forEach(batch, (text) => Effect.fork(bob.rpc.Say({ text })))
      yield* Effect.repeatN(Effect.yieldNow(), Number(round))
      yield* cutting(cut)()
      expected.push(...batch)
      for (const call of calls) yield* Fiber.join(call)
    }
    assert.deepStrictEqual(yield* ann.rpc.Texts(), expected)
    assert.deepStrictEqual(yield* takeSaid(events, expected.length), expected)
    assert.deepStrictEqual(yield* ann.rpc.WhoAmI(), me)
    assert.deepStrictEqual(yield* noted, ["preflight ann", "acquire ann", "preflight bob", "acquire bob"])
  }),

  "C7 a call in flight when the link is cut runs once, and is answered": Effect.gen(function*() {
    const room = yield* join("ann")
    for (const gate of ["one", "two"]) {
      const waiting = yield* Effect.fork(room.rpc.Wait({ gate }))
      yield* untilNoted(`wait ${gate}`)
      yield* cutting(cut)(cut)
      yield* open(gate)
      yield* Fiber.join(waiting)
      assert.lengthOf((yield* noted).filter((entry) => entry === `wait ${gate}`), 1)
    }
  }),

  "C6 a call that is interrupted while the link is down is cancelled when it is up again": Effect.gen(function*() {
    const room = yield* join("ann")
    for (const times of [1, 2]) {
      const waiting = yield* Effect.fork(room.rpc.Wait({ gate: "never" }))
      yield* untilNoted("wait never", times)
      yield* cutting(cut)(Fiber.interrupt(waiting))
      assert.strictEqual(yield* room.rpc.Say({ text: "next" }), times)
      yield* untilNoted("interrupted never", times)
    }
  })
})

/** One test of the suite. */
export interface Case {
  readonly title: string
  /** Fails, or is a defect, if the transport does not do what it has to. */
  readonly check: Effect.Effect<void, unknown>
}

/** The suite for one transport. Each case builds its own server, and the transport to it. */
export const cases = <R = never, E = never>(
  { cut, patienceMillis = patienceMillisDefault, transport }: Options<R, E>
): ReadonlyArray<Case> => {
  const watched = Layer.effect(
    Transport,
    Effect.flatMap(Probe, ({ links }) => Effect.map(Transport, (transport) => links.watch(transport)))
  )

  const run = (test: Effect.Effect<void, unknown, Needs | R>, waits: Waits) =>
    Effect.gen(function*() {
      const layer = watched.pipe(Layer.provideMerge(transport), Layer.provideMerge(layerServer(waits)))
      const context = yield* waits.for("the transport and its server to be built", Layer.build(layer))
      yield* Effect.provide(test, context)
      assert.deepStrictEqual(Context.get(context, Probe).links.problems, [])
    })

  const toCase = ([title, test]: readonly [string, Effect.Effect<void, unknown, Needs | R>]): Case => ({
    title,
    check: Effect.suspend(() => {
      const waits = new Waits(patienceMillis)
      return waits.guard(Effect.acquireUseRelease(
        Scope.make(),
        (scope) => Scope.extend(run(test, waits), scope),
        (scope, exit) => waits.for("the clients and their server to close", Scope.close(scope, exit))
      ))
    })
  })

  const cutCase = (title: string): Case =>
    toCase([
      title,
      Effect.flatMap(Effect.context<R>(), (context) => withCuts(Effect.provide(cut!, context))[title]!)
    ])

  const simple = Object.entries(withoutCuts).map(toCase)
  return cut ? [...simple, ...Object.keys(withCuts(Effect.void)).map(cutCase)] : simple
}

/** Registers the suite for one transport, as tests. */
export const register = <R = never, E = never>(name: string, options: Options<R, E>): void => {
  describe(name, () => {
    for (const { check, title } of cases(options)) it.live(title, () => check, timeoutMillis)
  })
}
