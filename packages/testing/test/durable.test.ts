/** What happens to turns whose commit cannot be, and to owners that are not the newest. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ServerDefect } from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { MemoryTransport, TestStore } from "@troupe/testing"
import { Cause, Effect, Exit, Fiber, Layer, Ref, Schedule, Schema, TestClock } from "effect"

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
