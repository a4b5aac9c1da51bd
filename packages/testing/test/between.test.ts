/**
 * Calls between actors: named after the call that makes them, so that a turn which runs again after a crash finds what it
 * has done; and what a handler can hold on to for effects on the outside.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, type ActorError, Address, type Behavior, Delivery, type Request } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport, RawClient, TestStore } from "@troupe/testing"
import { Context, Deferred, Effect, Either, Exit, Fiber, Layer, Ref, Schedule, Schema, Scope, TestClock } from "effect"
import { pass, settle } from "./support/lab.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { by: Schema.String }) {}

const item = { item: Schema.String }

/** Books what it is told, and refuses what it is told to. */
class Ledger extends Actor.Tag<Ledger>()("Ledger", {
  internal: RpcGroup.make(
    Rpc.make("Book", { payload: item, success: Schema.Number, error: Refused }),
    Rpc.make("Forward", { payload: { item: Schema.String, to: Schema.String }, success: Schema.Number }),
    Rpc.make("Close", { success: Schema.Array(Schema.String) }),
    Rpc.make("Peek", { payload: item, success: Schema.Number }).annotate(Delivery.Delivery, "idempotent"),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) })
  )
}) {}

/** Does what a test wants with ledgers. */
class Desk extends Actor.Tag<Desk>()("Desk", {
  rpcs: RpcGroup.make(
    Rpc.make("Do", { payload: { what: Schema.String }, success: Schema.Unknown, error: Refused }),
    Rpc.make("DoAgain", { payload: { what: Schema.String }, success: Schema.Unknown, error: Refused })
      .annotate(Delivery.Delivery, "idempotent")
  ),
  internal: RpcGroup.make(Rpc.make("DoInternally", { payload: { what: Schema.String }, success: Schema.Unknown }))
}) {}

type Room = Parameters<Parameters<typeof Desk.toLayer<typeof DeskState, any>>[1]>[0]
type Work = Effect.Effect<unknown, Refused | ActorError.ActorError, Request.Request<Desk>>

const DeskState = Schema.Struct({ done: Schema.Array(Schema.String) })

/** What tests put into the handlers, and what these leave. */
class Bench extends Context.Tag("test/Bench")<Bench, {
  readonly work: { [what: string]: (room: Room, ledgers: Context.Tag.Service<typeof Ledger>) => Work }
  /** How often a ledger has run a handler, in memory: whatever was committed. */
  readonly runs: Array<string>
  readonly refuse: Set<string>
  readonly hold: Map<string, Deferred.Deferred<void>>
}>() {}

const done = (room: Room, what: string) => Ref.update(room.state, ({ done }) => ({ done: [...done, what] }))

const DeskLive = Desk.toLayer(
  { state: DeskState, initialState: () => ({ done: [] }) },
  (room) =>
    Effect.gen(function*() {
      const { work } = yield* Bench
      const ledgers = yield* Ledger.client
      const run = (what: string) =>
        Effect.catchIf(work[what]!(room, ledgers), (error) => error._tag !== "Refused", Effect.die)
      return room.behavior({
        rpcs: {
          Do: ({ what }) => run(what) as Effect.Effect<unknown, Refused, Request.Request<Desk>>,
          DoAgain: ({ what }) => run(what) as Effect.Effect<unknown, Refused, Request.Request<Desk>>
        },
        internal: { DoInternally: ({ what }) => Effect.orDie(run(what)) }
      })
    })
)

const ledgerLive = (durability: Behavior.Durability = "commit") =>
  Ledger.toLayer(
    {
      durability,
      state: Schema.Struct({ entries: Schema.Array(Schema.String) }),
      initialState: () => ({ entries: [] })
    },
    (ledger) =>
      Effect.gen(function*() {
        const { hold, refuse, runs } = yield* Bench
        const ledgers = yield* Ledger.client
        const book = (item: string) =>
          Effect.gen(function*() {
            runs.push(`${ledger.key} ${item}`)
            const gate = hold.get(item)
            if (gate) yield* Deferred.await(gate)
            const { entries } = yield* Ref.updateAndGet(
              ledger.state,
              ({ entries }) => ({ entries: [...entries, item] })
            )
            return entries.length
          })
        return ledger.behavior({
          internal: {
            Book: ({ item }) => refuse.has(item) ? Effect.zipRight(book(item), new Refused({ by: item })) : book(item),
            Forward: ({ item, to }) => Effect.zipRight(book(item), Effect.orDie(ledgers.get(to).Book({ item }))),
            Close: () =>
              Effect.gen(function*() {
                runs.push(`${ledger.key} closes`)
                yield* ledger.destroy
                return (yield* Ref.get(ledger.state)).entries
              }),
            Peek: ({ item }) => book(item),
            Entries: () => Effect.map(Ref.get(ledger.state), ({ entries }) => entries)
          }
        })
      })
  )

const BenchLive = Layer.sync(Bench, () => ({ work: {}, runs: [], refuse: new Set<string>(), hold: new Map() }))

type HostOptions = Parameters<typeof ActorHost.layer>[0]

const Live = (host: HostOptions = {}, ledgers = ledgerLive()) =>
  ActorClient.layer({ schedule: Schedule.spaced("1 second") }).pipe(
    Layer.provideMerge(MemoryTransport.layerServer({ actors: [Desk] })),
    Layer.provideMerge(Layer.merge(DeskLive, ledgers)),
    Layer.provideMerge(ActorHost.layer(host)),
    Layer.provideMerge(Layer.mergeAll(TestStore.layer, MemoryTransport.layer, BenchLive))
  )

const run = <A, E, R>(
  body: Effect.Effect<A, E, R>,
  host?: HostOptions,
  ledgers?: ReturnType<typeof ledgerLive>
) => body.pipe(Effect.scoped, Effect.provide(Live(host, ledgers)))

const entriesOf = (key: string) => Effect.flatMap(Ledger, (ledgers) => ledgers.get(key).Entries())

/** Lets a second pass, in which clients come back. */
const later = Effect.repeatN(Effect.zipRight(settle, Effect.zipRight(TestClock.adjust("1 second"), settle)), 2)

const repliesOf = (contract: string, key: string) =>
  Effect.flatMap(
    TestStore.TestStore,
    ({ store }) =>
      Effect.map(store.replies(Address.make(contract, key)), (segments) => segments.flatMap(({ replies }) => replies))
  )

it.effect("T3 a turn that runs again after its commit was lost finds what it has done at other actors", () =>
  run(Effect.gen(function*() {
    const { runs, work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desk = yield* ActorClient.connect(Desk, "a")
    let times = 0
    work["twice"] = (room, ledgers) =>
      Effect.gen(function*() {
        times++
        const main = ledgers.get("main")
        // two that are equal are two calls
        const booked = [
          yield* main.Book({ item: "x" }),
          yield* main.Book({ item: "x" }),
          yield* main.Book({ item: "y" })
        ]
        const far = yield* ledgers.get("far").Forward({ item: "z", to: "further" })
        if (times % 2 === 1) yield* control.fail("before")
        yield* done(room, "twice")
        return [...booked, far]
      })
    for (const round of [0, 1]) {
      const call = yield* Effect.fork(desk.rpc.Do({ what: "twice" }))
      yield* later
      const n = round * 3
      assert.deepStrictEqual(yield* Fiber.join(call), [n + 1, n + 2, n + 3, round + 1])
      assert.strictEqual(times, 2 * (round + 1), "it ran again")
      assert.deepStrictEqual((yield* entriesOf("main")).length, n + 3)
      assert.deepStrictEqual((yield* entriesOf("far")).length, round + 1)
      assert.deepStrictEqual((yield* entriesOf("further")).length, round + 1)
      assert.strictEqual(runs.length, 5 * (round + 1))
    }
  })))

it.effect("T3 also if the other actor has been lost, or asleep, in between", () =>
  run(
    Effect.gen(function*() {
      const { runs, work } = yield* Bench
      const control = yield* TestStore.TestStore
      const desk = yield* ActorClient.connect(Desk, "a")
      let times = 0
      work["book"] = (room, ledgers) =>
        Effect.gen(function*() {
          const n = yield* ledgers.get("main").Book({ item: "x" })
          // the desk is lost, and comes back only when the ledger sleeps
          if (times++ === 0) yield* control.fail("before")
          yield* done(room, "book")
          return n
        })
      yield* control.hold
      const call = yield* Effect.fork(desk.rpc.Do({ what: "book" }))
      yield* control.waiting
      yield* control.releaseOne
      yield* settle
      yield* control.release
      yield* later
      assert.strictEqual(yield* Fiber.join(call), 1)
      assert.deepStrictEqual(yield* entriesOf("main"), ["x"])
      // the ledger's own commit fails: the call is made again, by the host
      yield* control.fail("before", "after")
      const again = yield* Effect.fork(desk.rpc.Do({ what: "book" }))
      yield* later
      assert.strictEqual(yield* Fiber.join(again), 2)
      assert.deepStrictEqual(yield* entriesOf("main"), ["x", "x"])
      assert.isAtLeast(runs.length, 3)
    }),
    { idleTimeout: "500 millis" }
  ))

for (const durability of ["commit", "memory"] as const) {
  it.effect(`T3 L4 also if the other actor has ended with what it was called for [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const { runs, work } = yield* Bench
        const control = yield* TestStore.TestStore
        const desk = yield* ActorClient.connect(Desk, "a")
        let times = 0
        work["close"] = (room, ledgers) =>
          Effect.gen(function*() {
            const main = ledgers.get("main")
            const booked = yield* main.Book({ item: "x" })
            const closed = yield* main.Close()
            const anew = yield* main.Book({ item: "y" })
            // the desk is lost
            if (times++ % 2 === 0) yield* control.fail("before")
            yield* done(room, "close")
            return [booked, closed, anew]
          })
        for (const round of [1, 2]) {
          runs.length = 0
          const call = yield* Effect.fork(desk.rpc.Do({ what: "close" }))
          yield* later
          assert.deepStrictEqual(yield* Fiber.join(call), [1, ["x"], 1])
          assert.strictEqual(times, 2 * round, "it ran again")
          assert.deepStrictEqual(runs, ["main x", "main closes", "main y"])
          assert.deepStrictEqual(yield* entriesOf("main"), ["y"])
          // what is kept goes when the next life has been told that nobody will ask again
          yield* Effect.flatMap(Ledger, (ledgers) => ledgers.get("main").Book({ item: "z" }))
          yield* settle
          assert.deepStrictEqual(yield* repliesOf("Ledger", "main"), [])
          yield* Effect.flatMap(Ledger, (ledgers) => ledgers.get("main").Close())
        }
      }),
      {},
      ledgerLive(durability)
    ))

  it.effect(`T3 L4 also if others have ended it, several times, and it slept in between [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const { runs, work } = yield* Bench
        const control = yield* TestStore.TestStore
        const desk = yield* ActorClient.connect(Desk, "a")
        const main = (yield* Ledger).get("main")
        const gate = yield* Deferred.make<void>()
        let times = 0
        work["book"] = (room, ledgers) =>
          Effect.gen(function*() {
            const booked = yield* ledgers.get("main").Book({ item: "x" })
            if (times++ === 0) {
              yield* Deferred.await(gate)
              yield* control.fail("before")
            }
            yield* done(room, "book")
            return booked
          })
        const call = yield* Effect.fork(desk.rpc.Do({ what: "book" }))
        yield* settle
        for (const item of ["y", "z"]) {
          yield* later
          assert.lengthOf(yield* main.Close(), 1)
          yield* later
          yield* main.Book({ item })
        }
        yield* Deferred.succeed(gate, undefined)
        yield* later
        assert.strictEqual(yield* Fiber.join(call), 1)
        assert.strictEqual(times, 2, "it ran again")
        assert.deepStrictEqual(runs, ["main x", "main closes", "main y", "main closes", "main z"])
        assert.deepStrictEqual(yield* entriesOf("main"), ["z"])
      }),
      { idleTimeout: "500 millis" },
      ledgerLive(durability)
    ))
}

class Memory extends Context.Tag("test/Memory")<Memory, { lost: boolean }>() {}

/** A store that keeps replies for ten minutes, or says so and has lost them already. */
const forgetful = TestStore.layerOver.pipe(
  Layer.provide(Layer.effect(
    ActorStore.ActorStore,
    Effect.map(Effect.all([ActorStore.ActorStore, Memory]), ([store, memory]) => ({
      ...store,
      retentionMillis: 600_000,
      replies: (address: Address.Address) => memory.lost ? Effect.succeed([]) : store.replies(address)
    }))
  )),
  Layer.provide(ActorStore.layerMemory),
  Layer.provideMerge(Layer.sync(Memory, () => ({ lost: false })))
)

const Forgetful = ActorClient.layer({ schedule: Schedule.spaced("1 second") }).pipe(
  Layer.provideMerge(MemoryTransport.layerServer({ actors: [Desk], silence: "1 hour", openTimeout: "1 hour" })),
  Layer.provideMerge(Layer.merge(DeskLive, ledgerLive())),
  Layer.provideMerge(ActorHost.layer({ idleTimeout: "10 seconds", resumeWindow: "1 hour", window: 4 })),
  Layer.provideMerge(Layer.mergeAll(forgetful, MemoryTransport.layer, BenchLive))
)

it.effect("C15 T3 a turn that runs again does not call actors that may have forgotten its first run: it ends unknown", () =>
  Effect.gen(function*() {
    const { runs, work } = yield* Bench
    const control = yield* TestStore.TestStore
    const memory = yield* Memory
    const desk = yield* ActorClient.connect(Desk, "a")
    const ways: Record<string, (room: Room, ledgers: Context.Tag.Service<typeof Ledger>) => Work> = {
      directly: (_, ledgers) => ledgers.get("main").Book({ item: "x" }),
      // the one between has not committed either
      indirectly: (_, ledgers) => ledgers.get("far").Forward({ item: "z", to: "main" }),
      // whoever catches everything cannot make it a success
      stubbornly: (_, ledgers) => Effect.catchAllCause(ledgers.get("main").Book({ item: "x" }), () => Effect.succeed(0))
    }
    let booked = 0
    for (const [way, call] of Object.entries(ways)) {
      for (const waits of [30, 90]) {
        memory.lost = false
        const gate = yield* Deferred.make<void>()
        let times = 0
        work[`${way} ${waits}`] = (room, ledgers) =>
          Effect.gen(function*() {
            if (++times === 2) yield* Deferred.await(gate)
            const n = yield* call(room, ledgers)
            if (times === 1) yield* control.fail("before")
            yield* done(room, way)
            return n
          })
        const calling = yield* Effect.fork(desk.rpc.Do({ what: `${way} ${waits}` }))
        yield* later
        assert.strictEqual(times, 2)
        booked++
        assert.lengthOf(yield* entriesOf("main"), booked)
        yield* pass(`${waits} seconds`)
        // nobody else keeps it in memory
        memory.lost = waits > 60
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        const end = yield* Effect.either(Fiber.join(calling))
        if (waits < 60) assert.isTrue(Either.isRight(end), "it was in time, and has found what it had done")
        else assert.strictEqual(Either.isLeft(end) && (end.left as { readonly _tag: string })._tag, "OutcomeUnknown")
        assert.lengthOf(yield* entriesOf("main"), booked)
        // the connection stands, and its credit has been given back
        work["other"] = () => Effect.succeed("other")
        assert.strictEqual(yield* desk.rpc.Do({ what: "other" }), "other")
      }
    }
    assert.isAtLeast(runs.length, 6)
  }).pipe(Effect.scoped, Effect.provide(Forgetful)))

it.effect("C15 T3 a call that is not waited for leaves with its turn: one that runs again later makes it once", () =>
  Effect.gen(function*() {
    const { work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desk = yield* ActorClient.connect(Desk, "a")
    for (const waits of [30, 90]) {
      const gate = yield* Deferred.make<void>()
      const item = `${waits}`
      let times = 0
      work[item] = (room, ledgers) =>
        Effect.gen(function*() {
          if (++times === 1) yield* control.fail("before")
          else {
            yield* Deferred.await(gate)
            yield* ledgers.get("main").Book({ item }, { discard: true })
          }
          yield* done(room, item)
          return item
        })
      const calling = yield* Effect.fork(desk.rpc.Do({ what: item }))
      yield* later
      yield* pass(`${waits} seconds`)
      yield* Deferred.succeed(gate, undefined)
      yield* later
      assert.strictEqual(yield* Fiber.join(calling), item)
      yield* later
    }
    assert.deepStrictEqual(yield* entriesOf("main"), ["30", "90"])
  }).pipe(Effect.scoped, Effect.provide(Forgetful)))

it.effect("T3 a call that is not waited for leaves when its turn is durable, and not at all if that fails", () =>
  run(Effect.gen(function*() {
    const { work, runs } = yield* Bench
    const control = yield* TestStore.TestStore
    const desk = yield* ActorClient.connect(Desk, "a")
    const gate = yield* Deferred.make<void>()
    work["fails"] = (_, ledgers) =>
      Effect.zipRight(ledgers.get("main").Book({ item: "x" }, { discard: true }), new Refused({ by: "the desk" }))
    work["waits"] = (room, ledgers) =>
      ledgers.get("main").Book({ item: "y" }, { discard: true }).pipe(
        Effect.zipRight(Deferred.await(gate)),
        Effect.zipRight(done(room, "y"))
      )
    yield* Effect.flip(desk.rpc.Do({ what: "fails" }))
    const call = yield* Effect.fork(desk.rpc.Do({ what: "waits" }))
    yield* settle
    assert.deepStrictEqual(runs, [])
    yield* control.hold
    yield* Deferred.succeed(gate, undefined)
    yield* settle
    assert.deepStrictEqual(runs, [], "its commit is not there")
    yield* control.release
    yield* settle
    yield* Fiber.join(call)
    assert.deepStrictEqual(runs, ["main y"])
  })))

it.effect("C8 what an idempotent call does elsewhere may be done again when it has been forgotten there", () =>
  Effect.gen(function*() {
    const { work } = yield* Bench
    const control = yield* TestStore.TestStore
    const memory = yield* Memory
    const desk = yield* ActorClient.connect(Desk, "a")
    const gate = yield* Deferred.make<void>()
    let times = 0
    work["x"] = (room, ledgers) =>
      Effect.gen(function*() {
        if (++times === 2) yield* Deferred.await(gate)
        yield* ledgers.get("main").Book({ item: "x" })
        if (times === 1) yield* control.fail("before")
        yield* done(room, "x")
        return times
      })
    const calling = yield* Effect.fork(desk.rpc.DoAgain({ what: "x" }))
    yield* later
    yield* pass("90 seconds")
    memory.lost = true
    yield* Deferred.succeed(gate, undefined)
    yield* settle
    assert.strictEqual(yield* Fiber.join(calling), 2)
    assert.deepStrictEqual(yield* entriesOf("main"), ["x", "x"])
  }).pipe(Effect.scoped, Effect.provide(Forgetful)))

it.effect("C15 B8 a call that is lost is told to the connection that asks for it, and gives its credit back once", () =>
  Effect.gen(function*() {
    const { work } = yield* Bench
    const gate = yield* Deferred.make<void>()
    work["first"] = () => Effect.as(Effect.uninterruptible(Deferred.await(gate)), 1)
    for (const item of ["b", "c", "d"]) work[item] = (_, ledgers) => ledgers.get("main").Book({ item })
    const session = "1".repeat(32)
    const open = (opening: number) => RawClient.open(Desk, "a", { session, opening, pending: [1, 2, 3, 4] })
    const calls = ["first", "b", "c", "d"].map((what, i) => RawClient.request(i + 1, "Do", { what }))
    const one = yield* RawClient.make
    yield* one.say(RawClient.hello, open(1))
    yield* one.say(...calls)
    yield* pass("90 seconds")
    const two = yield* RawClient.make
    yield* two.say(RawClient.hello, open(2))
    yield* Deferred.succeed(gate, undefined)
    yield* later
    const answers = () => two.of("Message").map(({ payload }) => `${payload._tag} ${(payload as any).requestId}`)
    // some may have been told already: they were late before the connection stood
    yield* two.say(...calls)
    yield* later
    assert.deepStrictEqual(answers().sort(), ["Exit 1", "Lost 2", "Lost 3", "Lost 4"])
    // a client that has heard all of that may have four calls in flight
    const gateOfMore = yield* Deferred.make<void>()
    work["more"] = () => Effect.as(Deferred.await(gateOfMore), "more")
    yield* two.say(...[5, 6, 7, 8].map((seq) => RawClient.request(seq, "Do", { what: "more" })))
    yield* Deferred.succeed(gateOfMore, undefined)
    yield* later
    assert.deepStrictEqual(two.of("Close"), [])
    assert.deepStrictEqual(answers().slice(4), ["Exit 5", "Exit 6", "Exit 7", "Exit 8"])
    // the next activation knows that too: if they ran now, they would come after what was called later
    yield* (yield* TestStore.TestStore).fail("before")
    work["change"] = (room) => done(room, "change")
    yield* two.say(RawClient.request(9, "Do", { what: "change" }))
    yield* later
    assert.lengthOf(two.of("Close"), 1)
    const three = yield* RawClient.make
    yield* three.say(RawClient.hello, open(3))
    yield* three.say(...calls)
    yield* later
    assert.deepStrictEqual(
      three.of("Message").map(({ payload }) => payload._tag).sort(),
      ["Exit", "Lost", "Lost", "Lost"]
    )
    assert.deepStrictEqual(yield* entriesOf("main"), [])
  }).pipe(Effect.scoped, Effect.provide(Forgetful)))

it.effect("T10 a failure of another actor is found again too", () =>
  run(Effect.gen(function*() {
    const { refuse, runs, work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desk = yield* ActorClient.connect(Desk, "a")
    refuse.add("bad")
    let times = 0
    work["book"] = (room, ledgers) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(ledgers.get("main").Book({ item: "bad" }))
        if (times++ === 0) {
          yield* control.fail("after")
          // it would not refuse any more
          refuse.clear()
        }
        yield* done(room, "book")
        return Exit.isFailure(exit) ? "refused" : "booked"
      })
    const call = yield* Effect.fork(desk.rpc.Do({ what: "book" }))
    yield* later
    assert.strictEqual(yield* Fiber.join(call), "refused")
    assert.strictEqual(runs.length, 1)
    assert.deepStrictEqual(yield* entriesOf("main"), [])
  })))

it.effect("T7 what is recorded for calls between actors stays until the root call is settled, and goes then", () =>
  run(Effect.gen(function*() {
    const { work } = yield* Bench
    const desk = yield* ActorClient.connect(Desk, "a")
    work["forward"] = (room, ledgers) =>
      Effect.zipRight(ledgers.get("main").Forward({ item: "x", to: "far" }), done(room, "forward"))
    work["nothing"] = (room) => done(room, "nothing")
    for (let i = 0; i < 20; i++) yield* desk.rpc.Do({ what: "forward" })
    yield* settle
    // the next commits delete what is settled
    yield* desk.rpc.Do({ what: "forward" })
    yield* settle
    for (const [contract, key] of [["Desk", "a"], ["Ledger", "main"], ["Ledger", "far"]] as const) {
      assert.isAtMost((yield* repliesOf(contract, key)).length, 2, `${contract} ${key}`)
    }
    yield* TestClock.adjust("1 minute")
    yield* settle
    for (const key of ["main", "far"]) assert.deepStrictEqual(yield* repliesOf("Ledger", key), [], key)
  })))

it.effect("T2 a call to another actor waits for the commits of the turns before it", () =>
  run(Effect.gen(function*() {
    const { runs, work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desk = yield* ActorClient.connect(Desk, "a")
    work["state"] = (room) => done(room, "state")
    work["book"] = (_, ledgers) => ledgers.get("main").Book({ item: "x" })
    for (const round of [1, 2]) {
      yield* control.hold
      const first = yield* Effect.fork(desk.rpc.Do({ what: "state" }))
      yield* control.waiting
      const second = yield* Effect.fork(desk.rpc.Do({ what: "book" }))
      yield* settle
      assert.lengthOf(runs, round - 1)
      yield* control.release
      yield* Fiber.join(first)
      assert.strictEqual(yield* Fiber.join(second), round)
      assert.lengthOf(runs, round)
    }
  })))

it.effect("T2 room.committed waits until what the turn has seen is durable", () =>
  run(Effect.gen(function*() {
    const { work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desk = yield* ActorClient.connect(Desk, "a")
    const charged: Array<string> = []
    work["state"] = (room) => done(room, "state")
    work["charge"] = (room) =>
      Effect.zipRight(room.committed, Effect.map(room.requestId, (id) => void charged.push(id)))
    for (const round of [1, 2]) {
      yield* control.hold
      const first = yield* Effect.fork(desk.rpc.Do({ what: "state" }))
      yield* control.waiting
      const second = yield* Effect.fork(desk.rpc.Do({ what: "charge" }))
      yield* settle
      assert.lengthOf(charged, round - 1, "it rests on what may be taken back")
      yield* control.release
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      assert.lengthOf(charged, round)
    }
    // and if it is taken back, it never happens
    yield* control.hold
    const first = yield* Effect.fork(desk.rpc.Do({ what: "state" }))
    yield* control.waiting
    const second = yield* Effect.fork(desk.rpc.Do({ what: "charge" }))
    yield* settle
    yield* control.fail("before")
    yield* control.releaseOne
    yield* later
    // both are handled again, and the first is being committed again
    assert.lengthOf(charged, 2)
    yield* control.release
    yield* later
    yield* Fiber.join(first)
    yield* Fiber.join(second)
    assert.lengthOf(charged, 3)
  })))

it.effect("T3 room.requestId is the same when a call is handled again, and different for every other call", () =>
  run(Effect.gen(function*() {
    const { work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desks = yield* Desk
    const ann = yield* ActorClient.connect(Desk, "a")
    const bob = yield* ActorClient.connect(Desk, "a")
    const seen: Array<string> = []
    const note = (room: Room) => Effect.map(room.requestId, (id) => void seen.push(id))
    work["note"] = (room) => Effect.zipRight(note(room), done(room, "note"))
    work["alarm"] = (room) => room.alarm("1 second", "DoInternally", { what: "note" })
    for (const desk of [ann, bob, ann]) {
      yield* control.fail("before")
      const call = yield* Effect.fork(desk.rpc.Do({ what: "note" }))
      yield* later
      yield* Fiber.join(call)
    }
    yield* ann.rpc.Do({ what: "alarm" })
    yield* control.fail("before")
    yield* later
    yield* later
    const handled = [0, 2, 4, 6].map((i) => seen[i]!)
    assert.lengthOf(seen, 8)
    handled.forEach((id, i) => {
      assert.match(id, /^[0-9a-f]{32}$/)
      assert.strictEqual(seen[2 * i + 1], id, `handled again: ${i}`)
    })
    assert.strictEqual(new Set(handled).size, 4)
    yield* desks.get("a").DoInternally({ what: "note" })
    yield* desks.get("a").DoInternally({ what: "note" })
    assert.strictEqual(new Set([...handled, ...seen.slice(8)]).size, 6, "a backend's calls are all different")
  })))

it.effect("L3 an alarm that is tried again does not do again what has succeeded elsewhere, but what has failed", () =>
  run(Effect.gen(function*() {
    const { refuse, runs, work } = yield* Bench
    const desks = yield* Desk
    refuse.add("second")
    work["alarm"] = (room) => room.alarm("1 second", "DoInternally", { what: "book" })
    work["book"] = (_, ledgers) =>
      Effect.zipRight(ledgers.get("main").Book({ item: "first" }), ledgers.get("main").Book({ item: "second" }))
    yield* desks.get("a").DoInternally({ what: "alarm" })
    yield* later
    yield* later
    assert.strictEqual(runs.filter((run) => run === "main first").length, 1)
    const refusals = runs.filter((run) => run === "main second").length
    assert.isAbove(refusals, 1)
    refuse.clear()
    yield* TestClock.adjust("1 minute")
    yield* settle
    assert.deepStrictEqual(yield* entriesOf("main"), ["first", "second"])
    // another firing is another call
    yield* desks.get("a").DoInternally({ what: "alarm" })
    yield* later
    assert.deepStrictEqual(yield* entriesOf("main"), ["first", "second", "first", "second"])
  })))

it.effect("L3 an alarm whose commit was lost fires again, and finds what it has done", () =>
  run(Effect.gen(function*() {
    const { runs, work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desks = yield* Desk
    work["alarm"] = (room) => room.alarm("1 second", "DoInternally", { what: "book" })
    let fired = 0
    work["book"] = (room, ledgers) =>
      Effect.gen(function*() {
        yield* ledgers.get("main").Book({ item: "x" })
        if (fired++ === 0) yield* control.fail("before")
        yield* done(room, "book")
      })
    yield* desks.get("a").DoInternally({ what: "alarm" })
    yield* later
    yield* later
    assert.strictEqual(fired, 2)
    assert.lengthOf(runs, 1)
    assert.deepStrictEqual(yield* entriesOf("main"), ["x"])
  })))

it.effect("C8 an idempotent call between actors may run again, and is not recorded", () =>
  run(Effect.gen(function*() {
    const { work } = yield* Bench
    const control = yield* TestStore.TestStore
    const desk = yield* ActorClient.connect(Desk, "a")
    let times = 0
    work["peek"] = (room, ledgers) =>
      Effect.gen(function*() {
        yield* ledgers.get("main").Peek({ item: "x" })
        if (times++ === 0) yield* control.fail("before")
        yield* done(room, "peek")
      })
    const call = yield* Effect.fork(desk.rpc.Do({ what: "peek" }))
    yield* later
    yield* Fiber.join(call)
    assert.deepStrictEqual(yield* entriesOf("main"), ["x", "x"])
    assert.deepStrictEqual(yield* repliesOf("Ledger", "main"), [])
  })))

it.effect("L7 a chain of calls has a deadline, typed; what it has not done by then is not done later", () =>
  run(
    Effect.gen(function*() {
      const { hold, work } = yield* Bench
      const desk = yield* ActorClient.connect(Desk, "a")
      hold.set("slow", Effect.runSync(Deferred.make<void>()))
      work["book"] = (room, ledgers) =>
        Effect.gen(function*() {
          const exit = yield* Effect.either(ledgers.get("main").Book({ item: "slow" }))
          yield* done(room, "book")
          return Either.isLeft(exit) ? exit.left.message : "booked"
        })
      for (const _ of [1, 2]) {
        const call = yield* Effect.fork(desk.rpc.Do({ what: "book" }))
        yield* settle
        yield* TestClock.adjust("30 seconds")
        yield* settle
        assert.strictEqual(yield* Fiber.join(call), "Ledger/main did not answer within 30000 ms")
        yield* Deferred.succeed(hold.get("slow")!, undefined)
        yield* settle
        assert.deepStrictEqual(yield* entriesOf("main"), [])
        hold.set("slow", Effect.runSync(Deferred.make<void>()))
      }
    })
  ))

it.effect("T7 what a caller that is lost never asks for again is given up after the retention, while the callee is awake", () =>
  Effect.gen(function*() {
    const { work } = yield* Bench
    const control = yield* TestStore.TestStore
    const network = yield* MemoryTransport.MemoryNetwork
    work["lost"] = (_, ledgers) =>
      ledgers.get("main").Book({ item: "x" }).pipe(
        Effect.zipLeft(network.setReachability("refused")),
        Effect.zipLeft(control.fail("before"))
      )
    const scope = yield* Scope.make()
    const client = yield* ActorClient.connect(Desk, "a").pipe(Scope.extend(scope))
    yield* Effect.fork(client.rpc.Do({ what: "lost" }))
    yield* settle
    yield* network.cut
    yield* Scope.close(scope, Exit.void)
    yield* network.setReachability("reachable")
    const [lost] = yield* repliesOf("Ledger", "main")
    const isKept = Effect.map(
      repliesOf("Ledger", "main"),
      (replies) => replies.some((reply) => reply.session === lost!.session)
    )
    work["other"] = (_, ledgers) => ledgers.get("main").Book({ item: "y" })
    const other = yield* ActorClient.connect(Desk, "b")
    for (let seconds = 0; seconds < 610; seconds += 5) {
      yield* other.rpc.Do({ what: "other" })
      yield* pass("5 seconds")
      if (seconds < 590) assert.isTrue(yield* isKept)
    }
    assert.isFalse(yield* isKept)
  }).pipe(Effect.scoped, Effect.provide(Forgetful)))
