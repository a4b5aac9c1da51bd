/** A server that shuts down, in memory: what becomes of turns that go on after the gateway has gone. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Ref, Schedule, Schema, Scope } from "effect"
import { Lab, labLive, layerOutside, Probe } from "./support/lab.ts"
import { pass, settle } from "./support/world.ts"

const entry = { entry: Schema.String }

class Book extends Actor.Tag<Book>()("Book", {
  rpcs: RpcGroup.make(Rpc.make("Entries", { success: Schema.Array(Schema.String) })),
  internal: RpcGroup.make(Rpc.make("Enter", { payload: entry }))
}) {}

class Desk extends Actor.Tag<Desk>()("Desk", {
  rpcs: RpcGroup.make(
    Rpc.make("Both", { payload: entry, success: Schema.Number }),
    Rpc.make("BothLater", { payload: entry }),
    Rpc.make("Later", { payload: entry }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) })
  ),
  internal: RpcGroup.make(
    Rpc.make("FireBoth", { payload: entry, success: Schema.Number }),
    Rpc.make("Fire", { payload: entry })
  )
}) {}

const options = { state: Schema.Array(Schema.String), initialState: (): ReadonlyArray<string> => [] }

class Gates extends Context.Tag("test/Gates")<Gates, {
  /** What waits in front of the gate, and what has been built and released. */
  readonly notes: Array<string>
  gate: Deferred.Deferred<void>
}>() {}

const BookLive = Book.toLayer(options, (book) =>
  Effect.succeed(book.behavior({
    rpcs: { Entries: () => Ref.get(book.state) },
    internal: { Enter: ({ entry }) => Ref.update(book.state, (entries) => [...entries, entry]) }
  })))

const DeskLive = Desk.toLayer(options, (desk) =>
  Effect.gen(function*() {
    const gates = yield* Gates
    const books = yield* Book.client
    const both = ({ entry }: { readonly entry: string }) =>
      Effect.gen(function*() {
        gates.notes.push(entry)
        yield* Deferred.await(gates.gate)
        yield* Effect.orDie(books.get("a").Enter({ entry }))
        return (yield* Ref.updateAndGet(desk.state, (entries) => [...entries, entry])).length
      })
    return desk.behavior({
      rpcs: {
        Both: both,
        BothLater: ({ entry }) => desk.alarm(0, "FireBoth", { entry }),
        Later: ({ entry }) => desk.alarm(0, "Fire", { entry }),
        Entries: () => Ref.get(desk.state)
      },
      internal: {
        FireBoth: both,
        Fire: ({ entry }) =>
          Effect.gen(function*() {
            gates.notes.push(entry)
            yield* Deferred.await(gates.gate)
            yield* Ref.update(desk.state, (entries) => [...entries, entry])
          })
      }
    })
  }))

type Live = Layer.Layer<Book | Desk, never, ActorHost.ActorHost | Gates>

/** What outlives a server; `serve` starts one, and says how to stop it. */
const makeOutside = Effect.gen(function*() {
  const gates: typeof Gates.Service = { notes: [], gate: yield* Deferred.make<void>() }
  const outside = Layer.succeedContext(
    yield* Layer.build(Layer.mergeAll(ActorStore.layerMemory, MemoryTransport.layer, Layer.succeed(Gates, gates)))
  )
  const serve = (live: Live, logger?: Logger.Logger<unknown, void>) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        MemoryTransport.layerServer({ actors: [Book, Desk], drainTimeout: "2 seconds" }).pipe(
          Layer.provide(live),
          Layer.provide(ActorHost.layer({ shutdownTimeout: "5 seconds" })),
          Layer.provide(logger ? Logger.replace(Logger.defaultLogger, logger) : Layer.empty),
          Layer.provide(outside)
        ),
        scope
      )
      return { stop: Scope.close(scope, Exit.void) }
    })
  const client = yield* Layer.build(
    ActorClient.layer({ schedule: Schedule.spaced("1 second") }).pipe(Layer.provide(outside))
  )
  return { gates, serve, client: Context.get(client, ActorClient.ActorClient) }
})

/** Which implementation leaves first. */
const orders = {
  "together": Layer.merge(BookLive, DeskLive),
  "the callee first": Layer.provideMerge(BookLive, DeskLive),
  "the caller first": Layer.provideMerge(DeskLive, BookLive)
}

it.scoped("L5 a gateway that has to wait for calls says so, and when it no longer does; one that has not says nothing", () =>
  Effect.gen(function*() {
    const { client, gates, serve } = yield* makeOutside
    const lines: Array<string> = []
    const listening = Logger.make<unknown, void>(({ logLevel, message }) =>
      void lines.push(`${logLevel.label} ${String(message)}`)
    )
    const said = () => lines.splice(0).filter((line) => /drain/.test(line))
    const idle = yield* serve(orders.together, listening)
    const desk = yield* client.connect(Desk, "desk")
    yield* idle.stop
    assert.deepStrictEqual(said(), [])
    const busy = yield* serve(orders.together, listening)
    yield* pass("2 seconds")
    const call = yield* Effect.fork(desk.rpc.Both({ entry: "a" }))
    yield* settle
    const stopping = yield* Effect.fork(busy.stop)
    yield* settle
    assert.deepStrictEqual(said(), ["INFO draining: calls are in flight on 1 of 1 links, and may take 2s"])
    yield* pass("2 seconds")
    assert.deepStrictEqual(said(), ["WARN drainTimeout is over: 1 links are closed with calls in flight"])
    for (let i = 0; i < 20; i++) yield* pass("1 second")
    yield* Fiber.join(stopping)
    // one that throws does not matter
    const broken = Logger.make(() => {
      throw new Error("the logger is broken")
    })
    const last = yield* serve(orders.together, broken)
    for (let i = 0; i < 3; i++) yield* pass("1 second")
    const end = yield* Effect.fork(last.stop)
    for (let i = 0; i < 20; i++) yield* pass("1 second")
    yield* Fiber.join(end)
    yield* Deferred.succeed(gates.gate, undefined)
    yield* serve(orders.together)
    for (let i = 0; i < 3; i++) yield* pass("1 second")
    assert.strictEqual(yield* Fiber.join(call), 1)
  }))

for (const [order, live] of Object.entries(orders)) {
  it.scoped(`L5 a turn that needs an actor whose contract has left already is cut off and runs in the next server: ${order}`, () =>
    Effect.gen(function*() {
      const { client, gates, serve } = yield* makeOutside
      let server = yield* serve(live)
      const ofCall = yield* client.connect(Desk, "call")
      const ofAlarm = yield* client.connect(Desk, "alarm")
      const book = yield* client.connect(Book, "a")
      for (const round of [1, 2]) {
        gates.gate = yield* Deferred.make<void>()
        gates.notes.length = 0
        yield* ofAlarm.rpc.BothLater({ entry: `${round} by alarm` })
        const call = yield* Effect.fork(ofCall.rpc.Both({ entry: `${round} by call` }))
        yield* settle
        assert.lengthOf(gates.notes, 2)
        const stopping = yield* Effect.fork(server.stop)
        // the gateway has given up waiting for the call, and the actors are asked to leave
        yield* pass("2 seconds")
        yield* Deferred.succeed(gates.gate, undefined)
        yield* settle
        for (let i = 0; i < 20; i++) yield* pass("1 second")
        yield* Fiber.join(stopping)
        server = yield* serve(live)
        for (let i = 0; i < 3; i++) yield* pass("1 second")
        assert.strictEqual(yield* Fiber.join(call), round)
        const rounds = [1, 2].slice(0, round)
        assert.deepStrictEqual(yield* ofCall.rpc.Entries(), rounds.map((round) => `${round} by call`))
        assert.deepStrictEqual(yield* ofAlarm.rpc.Entries(), rounds.map((round) => `${round} by alarm`))
        const entries = rounds.flatMap((round) => [`${round} by alarm`, `${round} by call`])
        assert.deepStrictEqual(Array.from(yield* book.rpc.Entries()).sort(), entries)
      }
    }))
}

it.scoped("L5 L3 alarms that run when the gateway has gone end and are committed if they do so in time; if not, they fire again", () =>
  Effect.gen(function*() {
    const { client, gates, serve } = yield* makeOutside
    const live = Layer.merge(BookLive, DeskLive)
    let server = yield* serve(live)
    const desk = yield* client.connect(Desk, "a")
    const expected: Array<string> = []
    for (const ending of ["in time", "late", "in time again", "late again"]) {
      gates.gate = yield* Deferred.make<void>()
      gates.notes.length = 0
      yield* desk.rpc.Later({ entry: ending })
      yield* settle
      assert.deepStrictEqual(gates.notes, [ending])
      const stopping = yield* Effect.fork(server.stop)
      yield* pass("3 seconds")
      assert.isNull(stopping.unsafePoll())
      if (ending.startsWith("late")) yield* pass("2 seconds")
      yield* Deferred.succeed(gates.gate, undefined)
      yield* settle
      assert.isNotNull(stopping.unsafePoll())
      server = yield* serve(live)
      for (let i = 0; i < 3; i++) yield* pass("1 second")
      expected.push(ending)
      assert.deepStrictEqual(gates.notes, ending.startsWith("late") ? [ending, ending] : [ending])
      assert.deepStrictEqual(yield* desk.rpc.Entries(), expected)
    }
  }))

/** Waits before it is there. */
const SlowDeskLive = Desk.toLayer(options, (desk) =>
  Effect.gen(function*() {
    const { gate, notes } = yield* Gates
    yield* Effect.acquireRelease(
      Effect.sync(() => void notes.push("built")),
      () => Effect.sync(() => void notes.push("released"))
    )
    yield* Deferred.await(gate)
    return desk.behavior({
      rpcs: {
        Both: () => Effect.succeed(0),
        BothLater: () => Effect.void,
        Later: () => Effect.void,
        Entries: () => Ref.get(desk.state)
      },
      internal: { FireBoth: () => Effect.succeed(0), Fire: () => Effect.void }
    })
  }))

it.scoped("L5 an actor that is being built when the server stops is released before the server has stopped", () =>
  Effect.gen(function*() {
    const { client, gates, serve } = yield* makeOutside
    const live = Layer.merge(BookLive, SlowDeskLive)
    for (const _ of [1, 2]) {
      gates.gate = yield* Deferred.make<void>()
      gates.notes.length = 0
      const server = yield* serve(live)
      const connecting = yield* Effect.fork(client.connect(Desk, "a"))
      for (let i = 0; i < 3; i++) yield* pass("1 second")
      assert.deepStrictEqual(gates.notes, ["built"])
      const stopping = yield* Effect.fork(server.stop)
      for (let i = 0; i < 3; i++) yield* pass("1 second")
      assert.isNull(stopping.unsafePoll())
      yield* Deferred.succeed(gates.gate, undefined)
      yield* settle
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(gates.notes, ["built", "released"])
      // the client finds the next server
      const next = yield* serve(live)
      for (let i = 0; i < 3; i++) yield* pass("1 second")
      assert.deepStrictEqual(yield* (yield* Fiber.join(connecting)).rpc.Entries(), [])
      yield* next.stop
    }
  }))

it.scoped("L5 who waits for an actor that is not built before its host has gone is told so", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const never = Book.toLayer(options, () => Effect.never)
    const live = never.pipe(Layer.provideMerge(ActorHost.layer()), Layer.provide(ActorStore.layerMemory))
    const books = yield* Effect.provide(Book, yield* Layer.buildWithScope(live, scope))
    const entering = yield* Effect.fork(Effect.flip(books.get("a").Enter({ entry: "x" })))
    yield* settle
    const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
    for (let i = 0; i < 6; i++) yield* pass("1 second")
    yield* Fiber.join(stopping)
    assert.isNotNull(entering.unsafePoll())
    assert.strictEqual((yield* Fiber.join(entering))._tag, "ActorUnavailable")
    assert.strictEqual((yield* Effect.flip(books.get("a").Enter({ entry: "x" })))._tag, "ActorUnavailable")
  }))

it.scoped("L5 an alarm that comes due while its actor falls asleep, and the server stops, is left to the next, which is no error", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.build = () => Effect.addFinalizer(() => probe.wait("asleep"))
    const scope = yield* Scope.make()
    const host = ActorHost.layer({ idleTimeout: "1 minute" })
    const live = Layer.provide(labLive(), host)
    const labs = yield* Effect.provide(Lab, yield* Layer.buildWithScope(live, scope))
    probe.internals["set"] = (lab) => Effect.as(lab.alarm("61 seconds", "Add", { item: "rung" }), "set")
    yield* labs.get("main").Script({ script: "set" })
    yield* pass("62 seconds")
    assert.strictEqual(probe.count("build main"), 1)
    const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* settle
    assert.isNull(stopping.unsafePoll())
    yield* probe.open("asleep")
    yield* Fiber.join(stopping)
    yield* pass("1 minute")
    assert.deepStrictEqual(probe.logs.filter(({ level }) => level !== "INFO"), [])
    assert.strictEqual(probe.count("build main"), 1)
    // it has not been lost
    yield* Layer.buildWithScope(live, yield* Scope.make())
    yield* settle
    assert.strictEqual(probe.count("build main"), 2)
  }).pipe(Effect.provide(layerOutside)))

it.scoped("L5 an actor whose build hangs, and cannot be interrupted, does not keep the server from stopping", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.build = () => Effect.uninterruptible(probe.wait("hung"))
    yield* Effect.addFinalizer(() => probe.open("hung"))
    const scope = yield* Scope.make()
    const live = labLive().pipe(Layer.provide(ActorHost.layer({ shutdownTimeout: "5 seconds" })))
    const labs = yield* Effect.provide(Lab, yield* Layer.buildWithScope(live, scope))
    const counting = yield* Effect.fork(Effect.flip(labs.get("main").Count()))
    yield* settle
    const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* pass("11 seconds")
    assert.isNotNull(stopping.unsafePoll())
    assert.isNotNull(counting.unsafePoll())
    assert.strictEqual((yield* Fiber.join(counting))._tag, "ActorUnavailable")
    // what it has acquired is released all the same, if it is still there
    yield* probe.open("hung")
    yield* settle
    assert.strictEqual(probe.count("sleep main"), 1)
  }).pipe(Effect.provide(layerOutside)))
