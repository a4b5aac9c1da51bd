/** What happens to turns whose commit cannot be, and to owners that are not the newest. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient, type Connection } from "@troupe/client"
import { Actor, type Contract, ServerDefect } from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { MemoryTransport, TestStore } from "@troupe/testing"
import { Cause, Effect, Exit, Fiber, HashMap, Layer, Ref, Schedule, Schema, TestClock } from "effect"

/** Adds up anything but 13, with which its state cannot be encoded any more. */
class Sum extends Actor.Tag<Sum>()("Sum", {
  rpcs: RpcGroup.make(
    Rpc.make("Add", { payload: { by: Schema.Number }, success: Schema.Number }),
    Rpc.make("Refuse", { payload: { by: Schema.Number }, error: Schema.String })
  )
}) {}

const State = Schema.Struct({
  sum: Schema.Number,
  calls: Schema.Array(Schema.Number.pipe(Schema.filter((n) => n !== 13)))
})

const SumLive = Sum.toLayer(
  { state: State, initialState: () => ({ sum: 0, calls: [] }) },
  (sum) =>
    Effect.succeed(sum.behavior({
      rpcs: {
        Add: ({ by }) =>
          Ref.modify(sum.state, (state) => [
            state.sum + by,
            { sum: state.sum + by, calls: [...state.calls, by] }
          ]),
        Refuse: ({ by }) =>
          Effect.zipRight(Ref.update(sum.state, (state) => ({ ...state, sum: by })), Effect.fail("no"))
      }
    }))
)

const Live = ActorClient.layer({ schedule: Schedule.spaced("1 second") }).pipe(
  Layer.provide(MemoryTransport.layerServer({ actors: [Sum] })),
  Layer.provide(SumLive),
  Layer.provide(ActorHost.layer()),
  Layer.provideMerge(Layer.mergeAll(TestStore.layer, MemoryTransport.layer))
)

interface Tree {
  readonly at?: Date
  readonly children: ReadonlyArray<Tree>
}

const Tree: Schema.Schema<Tree> = Schema.Struct({
  at: Schema.optionalWith(Schema.DateFromSelf, { exact: true }),
  children: Schema.Array(Schema.suspend(() => Tree))
})

const settled = <A, E>(fibers: ReadonlyArray<Fiber.Fiber<A, E>>) =>
  Effect.zipRight(TestClock.adjust("30 seconds"), Effect.forEach(fibers, Fiber.await))

it.scoped("T11 a turn whose state does not encode fails alone, with a recorded defect, and the actor goes on", () =>
  Effect.gen(function*() {
    const control = yield* TestStore.TestStore
    const sum = yield* ActorClient.connect(Sum, "a")
    let total = 0
    for (const round of [1, 2]) {
      // together, so that the guilty turn is in one commit with others
      const calls = yield* Effect.forEach([1, 13, 2], (by) => Effect.fork(sum.rpc.Add({ by })))
      const [first, second, third] = yield* settled(calls)
      assert.deepStrictEqual(first, Exit.succeed(total + 1))
      assert.deepStrictEqual(third, Exit.succeed(total + 3))
      const defect = Exit.isFailure(second!) ? Cause.dieOption(second.cause) : undefined
      assert.instanceOf(defect?._tag === "Some" ? defect.value : undefined, ServerDefect.ServerDefect)
      total += 3
      assert.strictEqual(yield* sum.rpc.Add({ by: 0 }), total, `${round}`)
    }
    const replies = control.asked.flatMap(({ replies }) => replies).filter(({ exit }) => exit.includes("ServerDefect"))
    assert.strictEqual(replies.length, 2)
  }).pipe(Effect.provide(Live)))

it.scoped("T11 X4 a turn after which the state has a number that JSON does not have fails alone, and nothing is lost", () =>
  Effect.gen(function*() {
    const sum = yield* ActorClient.connect(Sum, "a")
    yield* sum.rpc.Add({ by: 1.7e308 })
    for (const _ of [1, 2]) {
      const [fiber] = yield* settled([yield* Effect.fork(sum.rpc.Add({ by: 1.7e308 }))])
      const defect = Exit.isFailure(fiber!) ? Cause.dieOption(fiber.cause) : undefined
      assert.instanceOf(defect?._tag === "Some" ? defect.value : undefined, ServerDefect.ServerDefect)
      assert.strictEqual(yield* sum.rpc.Add({ by: 0 }), 1.7e308)
    }
  }).pipe(Effect.provide(Live)))

/** States that their schemas encode, and JSON does not give back; what they become, and what they are at first. */
const unreadable: Readonly<Record<string, readonly [state: Schema.Schema<any, any>, first: unknown, then: unknown]>> = {
  "nothing at all": [Schema.UndefinedOr(Schema.Number), 1, undefined],
  "nothing in a list": [Schema.Array(Schema.UndefinedOr(Schema.Number)), [1], [1, undefined]],
  "a Date": [Schema.Struct({ at: Schema.NullOr(Schema.DateFromSelf) }), { at: null }, { at: new Date(0) }],
  "a HashMap": [
    Schema.Union(Schema.Null, Schema.HashMapFromSelf({ key: Schema.String, value: Schema.Number })),
    null,
    HashMap.make(["a", 1])
  ],
  "a Date in a tree": [Tree, { children: [] }, { children: [{ at: new Date(0), children: [] }] }]
}

/** Others, which are not only JSON either, and which it gives back. */
const readable: typeof unreadable = {
  "nothing at all": [Schema.Void, undefined, undefined],
  "nothing for a key": [Schema.Struct({ a: Schema.UndefinedOr(Schema.Number) }), { a: 1 }, { a: undefined }],
  "a Date": [Schema.Struct({ at: Schema.NullOr(Schema.Date) }), { at: null }, { at: new Date(0) }],
  "a type of one's own": [
    Schema.Struct({ a: Schema.declare((value): value is string => typeof value === "string") }),
    { a: "x" },
    { a: "y" }
  ]
}

class Holder extends Actor.Tag<Holder>()("Holder", {
  rpcs: RpcGroup.make(Rpc.make("Turn"), Rpc.make("Wakes", { success: Schema.Int }))
}) {}

const holding = (state: Schema.Schema<any, any>, first: unknown, then: unknown) => {
  let wakes = 0
  return ActorClient.layer({ schedule: Schedule.spaced("1 second") }).pipe(
    Layer.provide(MemoryTransport.layerServer({ actors: [Holder] })),
    Layer.provide(
      Holder.toLayer({ state, initialState: () => first, idleTimeout: "1 second" }, (holder) =>
        Effect.sync(() => {
          wakes++
          return holder.behavior({
            rpcs: { Turn: () => Ref.set(holder.state, then), Wakes: () => Effect.sync(() => wakes) }
          })
        }))
    ),
    Layer.provide(ActorHost.layer()),
    Layer.provideMerge(Layer.mergeAll(TestStore.layer, MemoryTransport.layer))
  )
}

const turnAndWake = Effect.gen(function*() {
  const visit = <A, E>(
    use: (connection: Connection.Connection<Contract.DefinitionOf<Holder>>) => Effect.Effect<A, E>
  ) => Effect.scoped(Effect.flatMap(ActorClient.connect(Holder, "a"), use))
  const [turn] = yield* settled([yield* Effect.fork(visit(({ rpc }) => rpc.Turn()))])
  yield* TestClock.adjust("10 seconds")
  const [wakes] = yield* settled([yield* Effect.fork(visit(({ rpc }) => rpc.Wakes()))])
  return { turn: turn!, wakes: wakes! }
})

it.effect.each(Object.entries(unreadable))(
  "T11 a turn after which the state could not be read again fails alone, and nothing is lost: %s",
  ([, [state, first, then]]) =>
    Effect.gen(function*() {
      const { turn, wakes } = yield* turnAndWake
      const defect = Exit.isFailure(turn) ? Cause.dieOption(turn.cause) : undefined
      assert.instanceOf(defect?._tag === "Some" ? defect.value : undefined, ServerDefect.ServerDefect)
      assert.isTrue(Exit.isSuccess(wakes))
    }).pipe(Effect.scoped, Effect.provide(holding(state, first, then)))
)

it.effect.each(Object.entries(readable))(
  "T11 a state that is more than JSON and is read again is kept: %s",
  ([, one]) =>
    Effect.gen(function*() {
      const { turn, wakes } = yield* turnAndWake
      assert.deepStrictEqual([turn, wakes], [Exit.void, Exit.succeed(2)])
    }).pipe(Effect.scoped, Effect.provide(holding(...one)))
)

it.scoped("T10 failures are recorded too: asked again after a loss, a client's calls are answered in their order", () =>
  Effect.gen(function*() {
    const control = yield* TestStore.TestStore
    const sum = yield* ActorClient.connect(Sum, "a")
    for (const round of [1, 2]) {
      const before = yield* sum.rpc.Add({ by: 0 })
      // the commit is applied, and its answer lost: the activation is lost, and the client asks the next one
      yield* control.fail("after")
      const calls = yield* Effect.all([
        Effect.fork(Effect.exit(sum.rpc.Add({ by: 1 }))),
        Effect.fork(Effect.exit(sum.rpc.Refuse({ by: 100 }))),
        Effect.fork(Effect.exit(sum.rpc.Add({ by: 2 })))
      ])
      const [added, refused, last] = yield* Effect.zipRight(
        TestClock.adjust("30 seconds"),
        Effect.all([Fiber.join(calls[0]), Fiber.join(calls[1]), Fiber.join(calls[2])])
      )
      assert.deepStrictEqual([added, refused, last], [
        Exit.succeed(before + 1),
        Exit.fail("no"),
        Exit.succeed(before + 3)
      ])
      assert.strictEqual(yield* sum.rpc.Add({ by: 0 }), before + 3, `${round}`)
    }
  }).pipe(Effect.provide(Live)))

it.scoped("T9 a commit that fails while the next is on its way: neither is applied twice, neither answers wrongly", () =>
  Effect.gen(function*() {
    const control = yield* TestStore.TestStore
    const sum = yield* ActorClient.connect(Sum, "a")
    let total = yield* sum.rpc.Add({ by: 1 })
    for (const failure of ["before", "after", "failed", "superseded"] as const) {
      yield* control.hold
      const first = yield* Effect.fork(sum.rpc.Add({ by: 1 }))
      yield* control.waiting
      // these turns build on the first one, whose commit is about to fail
      const rest = yield* Effect.forEach([2, 3], (by) => Effect.fork(sum.rpc.Add({ by })))
      yield* control.fail(failure)
      yield* control.release
      assert.deepStrictEqual(
        yield* settled([first, ...rest]),
        [Exit.succeed(total + 1), Exit.succeed(total + 3), Exit.succeed(total + 6)],
        failure
      )
      total += 6
      assert.strictEqual(yield* sum.rpc.Add({ by: 0 }), total)
    }
  }).pipe(Effect.provide(Live)))

it.scoped("T6 an older owner can neither commit nor answer: its clients are told to open anew, and nothing runs twice", () =>
  Effect.gen(function*() {
    const { store } = yield* TestStore.TestStore
    const sum = yield* ActorClient.connect(Sum, "a")
    let total = yield* sum.rpc.Add({ by: 1 })
    for (const by of [1, 2]) {
      // somebody else takes the actor over, and commits
      const { address } = (yield* TestStore.TestStore).asked.at(-1)!
      const { epoch, version } = yield* store.claim(address)
      const state = JSON.stringify({ sum: total + 10, calls: [] })
      yield* store.commit([{ epoch, version, address, state, replies: [], settledSegments: [], fsync: false }])
      const call = yield* Effect.fork(sum.rpc.Add({ by }))
      assert.deepStrictEqual(yield* settled([call]), [Exit.succeed(total + 10 + by)])
      total += 10 + by
    }
  }).pipe(Effect.provide(Live)))
