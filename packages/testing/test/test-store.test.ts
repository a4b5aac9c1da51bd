/** The store of tests: it keeps to the laws while it is left alone, and does what it is told. */
import { assert, describe, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { ActorStore } from "@troupe/server"
import { TestKit, TestStore, TestTime } from "@troupe/testing"
import * as StoreLaws from "@troupe/testing/StoreLaws"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { Bank, Till, tillLive, Total } from "./support/till.ts"

StoreLaws.register("TestStore.layer", { make: Effect.succeed(TestStore.layer), reopens: false })

const kit = TestKit.layer({ actors: [Till], implementations: tillLive() }).pipe(Layer.provideMerge(Bank.layer))
const states = ({ commits }: TestStore.TestStore["Type"]) => commits.map(({ state }) => state)

it.scoped("shows what was asked for, what was committed, and the last state", () =>
  Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    const last = store.lastState(Total, Till, "shop")
    const till = yield* ActorClient.connect(Till, "shop")
    assert.deepStrictEqual(yield* last, Option.none())
    yield* till.rpc.Pay({ cents: 1 })
    yield* store.hold
    const calls = yield* Effect.fork(
      Effect.all([till.rpc.Pay({ cents: 2 }), till.rpc.Pay({ cents: 3 })], { concurrency: "unbounded" })
    )
    yield* store.waiting
    yield* TestTime.settle
    assert.deepStrictEqual(states(store), ["1"])
    assert.strictEqual(store.asked.length, 2)
    assert.deepStrictEqual(yield* last, Option.some(1))
    assert.isTrue(Option.isNone(yield* Fiber.poll(calls)), "an answer leaves with its commit")
    yield* store.releaseOne
    yield* TestTime.settle
    const call = yield* Effect.fork(till.rpc.Pay({ cents: 4 }))
    yield* store.waiting
    yield* TestTime.settle
    assert.deepStrictEqual(yield* last, Option.some(6))
    yield* store.release
    assert.deepStrictEqual(yield* Fiber.join(calls), [3, 6])
    assert.strictEqual(yield* Fiber.join(call), 10)
    assert.deepStrictEqual(states(store), ["1", "6", "10"])
    assert.deepStrictEqual(yield* last, Option.some(10))
  }).pipe(Effect.provide(kit)))

describe("a commit that fails is repeated by the client, and takes effect once, when it", () => {
  const failures: ReadonlyArray<TestStore.Failure> = ["before", "after", "failed", "superseded"]
  it.scoped.each(failures)("fails %s", (failure) =>
    Effect.gen(function*() {
      const store = yield* TestStore.TestStore
      const bank = yield* Bank
      const till = yield* ActorClient.connect(Till, "shop")
      yield* till.rpc.Pay({ cents: 1 })
      yield* store.fail(failure)
      const call = yield* Effect.fork(till.rpc.Pay({ cents: 2 }))
      yield* TestTime.pass("1 second")
      assert.strictEqual(yield* Fiber.join(call), 3)
      assert.deepStrictEqual(states(store), ["1", "3"])
      // what was committed stands, and a client that asks again gets the answer that was recorded with it
      const runs = bank.heard.filter((what) => what === "charged 2").length
      assert.strictEqual(runs, failure === "after" ? 1 : 2)
    }).pipe(Effect.provide(kit)))
})

it.scoped("a host that is not told to fail any more does not", () =>
  Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    const till = yield* ActorClient.connect(Till, "shop")
    yield* store.fail("before", "before", "before")
    yield* store.recover
    assert.strictEqual(yield* till.rpc.Pay({ cents: 1 }), 1)
    assert.strictEqual(store.asked.length, 1)
  }).pipe(Effect.provide(kit)))

it.scoped("over another store", () =>
  Effect.gen(function*() {
    const below = Context.get(yield* Layer.build(ActorStore.layerMemory), ActorStore.ActorStore)
    const over = TestStore.layerOver.pipe(Layer.provide(Layer.succeed(ActorStore.ActorStore, below)))
    const store = Context.get(yield* Layer.build(over), TestStore.TestStore)
    assert.strictEqual(store.store, below)
  }))
