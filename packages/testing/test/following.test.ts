/** The committed state of an actor as a stream. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, type Behavior } from "@troupe/contract"
import { TestKit, TestStore } from "@troupe/testing"
import { Effect, Exit, Ref, Schedule, Schema, Scope, Stream } from "effect"
import { begin, collect, failure, pass, result, settle } from "./support/world.ts"

class Sum extends Actor.Tag<Sum>()("Sum", {
  rpcs: RpcGroup.make(
    Rpc.make("Add", { payload: { by: Schema.Number } }),
    Rpc.make("Fail"),
    Rpc.make("Follow", { success: Schema.Number, stream: true }),
    Rpc.make("Destroy")
  )
}) {}

/** What fibers of `build` have seen, of each activation: all of it, and what one sees that takes a second for each. */
const seen = { all: [] as Array<Array<number>>, slow: [] as Array<number> }

const layer = (durability: Behavior.Durability) =>
  TestKit.layer({
    actors: [Sum],
    implementations: Sum.toLayer({ state: Schema.Number, initialState: () => 0, durability }, (sum) =>
      Effect.gen(function*() {
        const all: Array<number> = []
        seen.all.push(all)
        yield* Effect.forkScoped(Stream.runForEach(sum.changes, (state) =>
          Effect.sync(() => all.push(state))))
        yield* Effect.forkScoped(
          Stream.runForEach(sum.changes, (state) => Effect.delay(Effect.sync(() => seen.slow.push(state)), "1 second"))
        )
        return sum.behavior({
          rpcs: {
            Add: ({ by }) => Ref.update(sum.state, (state) => state + by),
            Fail: () => Effect.zipRight(Ref.set(sum.state, -1), Effect.dieMessage("a bug")),
            Follow: () => sum.changes,
            Destroy: () => sum.destroy
          }
        })
      }))
  })

const forget = Effect.sync(() => {
  seen.all = []
  seen.slow = []
})

for (const durability of ["memory", "commit"] as const) {
  it.scoped(`${durability}: changes are those that are kept, from what is there on; who is slow sees the last`, () =>
    Effect.gen(function*() {
      yield* forget
      const sum = yield* ActorClient.connect(Sum, "a")
      for (let i = 1; i <= 3; i++) yield* result(yield* begin(sum.rpc.Add({ by: 1 })))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(sum.rpc.Fail())))
      yield* result(yield* begin(sum.rpc.Add({ by: 0 })))
      const followed = yield* collect(sum.rpc.Follow())
      yield* result(yield* begin(sum.rpc.Add({ by: 1 })))
      yield* pass("10 seconds")
      assert.deepStrictEqual(seen.all, [[0, 1, 2, 3, 4]])
      assert.deepStrictEqual(seen.slow, [0, 4])
      assert.deepStrictEqual(followed, [3, 4])
      // another life begins anew, and who has followed the first is not told of it
      yield* result(yield* begin(sum.rpc.Destroy()))
      const again = yield* ActorClient.connect(Sum, "a")
      yield* result(yield* begin(again.rpc.Add({ by: 7 })))
      assert.deepStrictEqual(seen.all, [[0, 1, 2, 3, 4], [0, 7]])
      assert.deepStrictEqual(followed, [3, 4])
    }).pipe(Effect.provide(layer(durability))))
}

it.scoped("a change is seen when its commit is durable, and never one that was lost", () =>
  Effect.gen(function*() {
    yield* forget
    const store = yield* TestStore.TestStore
    const sum = yield* ActorClient.connect(Sum, "a")
    const followed = yield* collect(sum.rpc.Follow())
    yield* store.hold
    const adding = [yield* begin(sum.rpc.Add({ by: 1 })), yield* begin(sum.rpc.Add({ by: 1 }))]
    assert.deepStrictEqual([seen.all, followed], [[[0]], [0]])
    yield* store.releaseOne
    yield* settle
    // the second is in the next commit, which waits; so does what a stream sends now
    assert.deepStrictEqual([seen.all, followed], [[[0, 1]], [0]])
    yield* store.release
    for (const add of adding) yield* result(add)
    assert.deepStrictEqual(followed, [0, 1, 2])
    yield* store.fail("before")
    const again = yield* begin(sum.rpc.Add({ by: 5 }))
    yield* pass("1 minute")
    yield* result(again)
    // the call was run again, by another activation
    assert.deepStrictEqual(seen.all, [[0, 1, 2], [2, 7]])
  }).pipe(Effect.provide(layer("commit"))))

it.scoped("who asks again when the activation is lost goes on with the state as it is then, as long as it is not closed", () =>
  Effect.gen(function*() {
    const control = yield* TestStore.TestStore
    const scope = yield* Scope.make()
    const sum = yield* Scope.extend(ActorClient.connect(Sum, "a"), scope)
    const again = sum.rpc.Follow().pipe(Stream.retry(Schedule.recurWhile(({ _tag }) => _tag === "OutcomeUnknown")))
    const followed: Array<number> = []
    const following = yield* Effect.fork(Stream.runForEach(again, (state) => Effect.sync(() => followed.push(state))))
    for (const n of [1, 2, 3]) {
      yield* result(yield* begin(sum.rpc.Add({ by: 1 })))
      yield* control.fail("before")
      const lost = yield* begin(sum.rpc.Add({ by: 0.5 }))
      yield* pass("10 seconds")
      yield* result(lost)
      yield* settle
      assert.strictEqual(followed.at(-1), 1.5 * n)
    }
    yield* Scope.close(scope, Exit.void)
    assert.strictEqual((yield* failure(following))._tag, "ConnectionClosed")
  }).pipe(Effect.provide(layer("commit"))))
