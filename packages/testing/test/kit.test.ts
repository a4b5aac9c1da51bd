/** The kit itself: that a crash is one, that nothing of the old process is left, and that a restart is one. */
// @effect-diagnostics missingLayerContext:off
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, type Behavior } from "@troupe/contract"
import { TestClient, TestHost, TestKit, TestStore, TestTime } from "@troupe/testing"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Runtime } from "effect"
import { Bank, Till, tillLive, Total } from "./support/till.ts"

const kit = (durability?: Behavior.Durability) =>
  TestKit.layer({ actors: [Till], implementations: tillLive(durability) }).pipe(Layer.provideMerge(Bank.layer))

const connect = ActorClient.connect(Till, "shop")

/** How often the bank has heard it. */
const count = ({ heard }: Bank["Type"], what: string) => heard.filter((other) => other === what).length

/** A call whose handler waits for the bank. */
const payLate = Effect.gen(function*() {
  const bank = yield* Bank
  const till = yield* connect
  bank.answer = Deferred.await(bank.gate)
  const call = yield* Effect.fork(till.rpc.Pay({ cents: 5 }))
  yield* TestTime.settle
  assert.deepStrictEqual(bank.heard, ["woken", "asked for 5"])
  return { bank, call, till }
})

describe("a crash", () => {
  it.scoped("in the middle of a handler: the call runs again after the restart, and is answered once", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const store = yield* TestStore.TestStore
      const { bank, call, till } = yield* payLate

      yield* host.crash
      yield* Deferred.succeed(bank.gate, undefined)
      yield* TestTime.pass("10 minutes")
      assert.deepStrictEqual(bank.heard, ["woken", "asked for 5"], "the dead do nothing")
      const status = yield* till.status.get
      const cause = status._tag === "Waiting" ? status.cause : undefined
      assert.strictEqual(cause?._tag === "DialFailed" ? cause.error.message : cause, "connection refused")
      assert.deepStrictEqual(store.asked, [])
      assert.isTrue(Option.isNone(yield* Fiber.poll(call)))

      yield* host.start
      yield* TestTime.pass("30 seconds")
      assert.strictEqual(yield* Fiber.join(call), 5)
      assert.strictEqual(count(bank, "charged 5"), 1)
      assert.strictEqual(count(bank, "woken"), 2)
      assert.strictEqual(count(bank, "released"), 0)
      assert.strictEqual(yield* till.rpc.Total(), 5)
      assert.deepStrictEqual(yield* store.lastState(Total, Till, "shop"), Option.some(5))
    }).pipe(Effect.provide(kit())))

  it.scoped("in front of the store: what waits there is not committed, and the call runs again", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const store = yield* TestStore.TestStore
      const bank = yield* Bank
      const till = yield* connect
      yield* store.hold
      const call = yield* Effect.fork(till.rpc.Pay({ cents: 5 }))
      yield* store.waiting
      yield* host.crash
      yield* store.release
      yield* TestTime.settle
      assert.strictEqual(store.asked.length, 1)
      assert.deepStrictEqual(store.commits, [])

      yield* store.hold
      yield* host.start
      const again = yield* Effect.fork(store.waiting)
      yield* TestTime.pass("30 seconds")
      yield* Fiber.join(again)
      yield* store.release
      assert.strictEqual(yield* Fiber.join(call), 5)
      assert.strictEqual(count(bank, "charged 5"), 2, "a bank that is not asked with an idempotency key")
      assert.strictEqual(yield* till.rpc.Total(), 5)
    }).pipe(Effect.provide(kit())))

  it.scoped("after the commit, before the answer: the call is answered from the store, and does not run again", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const bank = yield* Bank
      const client = yield* TestClient.make()
      const till = yield* client.connect(Till, "shop")
      let crashed = false
      yield* client.line.onMessage(({ carries, from }) => {
        if (crashed || from === "client" || !carries("Exit")) return
        crashed = true
        Effect.runFork(host.crash)
        return "cut-before"
      })
      const call = yield* Effect.fork(till.rpc.Pay({ cents: 5 }))
      yield* TestTime.settle
      assert.isTrue(crashed)
      assert.isFalse(yield* host.running)
      yield* host.start
      yield* TestTime.pass("30 seconds")
      assert.strictEqual(yield* Fiber.join(call), 5)
      assert.strictEqual(count(bank, "charged 5"), 1)
    }).pipe(Effect.provide(kit())))

  it.scoped("from inside, in the middle of a handler", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const bank = yield* Bank
      const till = yield* connect
      bank.answer = host.crash
      const call = yield* Effect.fork(till.rpc.Pay({ cents: 5 }))
      yield* TestTime.pass("1 minute")
      assert.deepStrictEqual(bank.heard, ["woken", "asked for 5"])
      bank.answer = Effect.void
      yield* host.start
      yield* TestTime.pass("30 seconds")
      assert.strictEqual(yield* Fiber.join(call), 5)
      assert.strictEqual(count(bank, "charged 5"), 1)
    }).pipe(Effect.provide(kit())))

  it.scoped("takes what would be called back", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const bank = yield* Bank
      const till = yield* connect
      let callBack = () => {}
      bank.answer = Effect.map(Effect.runtime<never>(), (runtime) => {
        callBack = () => void Runtime.runFork(runtime)(bank.hear("called back"))
      })
      yield* till.rpc.Pay({ cents: 5 })
      callBack()
      yield* TestTime.settle
      assert.strictEqual(count(bank, "called back"), 1)
      yield* host.crash
      callBack()
      yield* TestTime.settle
      assert.strictEqual(count(bank, "called back"), 1)
    }).pipe(Effect.provide(kit())))

  it.scoped("takes what is only in memory", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const till = yield* connect
      assert.strictEqual(yield* till.rpc.Pay({ cents: 5 }), 5)
      yield* host.crash
      yield* host.start
      yield* TestTime.pass("30 seconds")
      assert.strictEqual(yield* till.rpc.Total(), 0)
    }).pipe(Effect.provide(kit("memory"))))

  it.scoped("of a host that is not running, and a stop, are nothing; a second start is a defect", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      assert.isTrue(Exit.isFailure(yield* Effect.exit(host.start)))
      yield* host.crash
      assert.isFalse(yield* host.running)
      yield* host.crash
      yield* host.stop
      yield* host.start
      assert.isTrue(yield* host.running)
    }).pipe(Effect.provide(kit())))

  it.scoped("in the middle of a stop ends it", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const { bank } = yield* payLate
      const stopping = yield* Effect.fork(host.stop)
      yield* TestTime.settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(stopping)))
      yield* host.crash
      yield* Fiber.join(stopping)
      yield* TestTime.pass("1 minute")
      assert.deepStrictEqual(bank.heard, ["woken", "asked for 5"])
    }).pipe(Effect.provide(kit())))

  it.scoped("while a backend waits for an answer is a defect for it", () =>
    Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      yield* payLate
      const shop = (yield* Till).get("shop")
      const reading = yield* Effect.fork(Effect.exit(shop.Read()))
      yield* TestTime.settle
      yield* host.crash
      const exit = yield* Fiber.join(reading)
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "the host has crashed")
      const later = yield* Effect.exit(shop.Read())
      assert.include(Exit.isFailure(later) ? Cause.pretty(later.cause) : "", "the host is not running")
      yield* host.start
      assert.strictEqual(yield* shop.Read(), 0)
    }).pipe(Effect.provide(kit())))
})

it.scoped("a stop releases and commits everything, and clients come back to the next life", () =>
  Effect.gen(function*() {
    const host = yield* TestHost.TestHost
    const { bank, call, till } = yield* payLate
    const stopping = yield* Effect.fork(host.stop)
    yield* TestTime.settle
    yield* Deferred.succeed(bank.gate, undefined)
    yield* TestTime.pass("1 second")
    yield* Fiber.join(stopping)
    assert.strictEqual(yield* Fiber.join(call), 5)
    assert.deepStrictEqual(bank.heard, ["woken", "asked for 5", "charged 5", "handled", "left", "released"])
    yield* host.start
    yield* TestTime.pass("30 seconds")
    assert.strictEqual(yield* till.rpc.Total(), 5)
  }).pipe(Effect.provide(kit())))

it.scoped("what implementations were given before is part of the process, and built anew with it", () =>
  Effect.gen(function*() {
    const lives: Array<ReadonlyArray<string>> = []
    const inside = Layer.map(Bank.layer, (context) => {
      lives.push(Context.get(context, Bank).heard)
      return context
    })
    yield* Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const till = yield* connect
      yield* till.rpc.Pay({ cents: 5 })
      yield* host.crash
      yield* host.start
      yield* TestTime.pass("30 seconds")
      assert.strictEqual(yield* till.rpc.Pay({ cents: 6 }), 11)
    }).pipe(
      Effect.provide(TestKit.layer({ actors: [Till], implementations: Layer.provide(tillLive(), inside) }))
    )
    assert.lengthOf(lives, 2)
    assert.notInclude(lives[0]!, "released")
    assert.deepStrictEqual(lives[1]!.slice(0, 4), ["woken", "asked for 6", "charged 6", "handled"])
  }))

it.scoped("two hosts on one store: the last that has woken an actor owns it, and the other finds out", () =>
  Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    yield* TestHost.make({ actors: [Till], implementations: tillLive(), name: "other" })
    const here = yield* (yield* TestClient.make()).connect(Till, "shop")
    assert.strictEqual(yield* here.rpc.Pay({ cents: 1 }), 1)
    const there = yield* (yield* TestClient.make({ server: "other" })).connect(Till, "shop")
    assert.strictEqual(yield* there.rpc.Pay({ cents: 2 }), 3)
    const call = yield* Effect.fork(here.rpc.Pay({ cents: 4 }))
    yield* TestTime.pass("30 seconds")
    assert.strictEqual(yield* Fiber.join(call), 7)
    assert.deepStrictEqual(store.commits.map(({ state }) => state), ["1", "3", "7"])
  }).pipe(Effect.provide(kit())))

it.live("the end of a test does not wait for a handler that does not end", () =>
  Effect.gen(function*() {
    const { bank } = yield* payLate.pipe(Effect.scoped, Effect.provide(kit()))
    assert.include(bank.heard, "released")
    const stuck = yield* Effect.gen(function*() {
      const bank = yield* Bank
      const till = yield* connect
      bank.answer = Effect.uninterruptible(Effect.never)
      yield* Effect.fork(till.rpc.Pay({ cents: 5 }))
      yield* TestTime.settle
      return bank
    }).pipe(Effect.scoped, Effect.provide(kit()))
    assert.notInclude(stuck.heard, "charged 5")
  }), 5000)

it("an actor that nobody implements does not compile", () => {
  class Other extends Actor.Tag<Other>()("Other", { rpcs: RpcGroup.make(Rpc.make("Nothing")) }) {}
  const run = (layer: Layer.Layer<TestKit.Provided<readonly [typeof Till]>, never, Bank>) =>
    assert.isTrue(Layer.isLayer(layer))
  run(TestKit.layer({ actors: [Till], implementations: tillLive() }))
  // @ts-expect-error nobody implements Other
  void (() => TestKit.layer({ actors: [Till, Other], implementations: tillLive() }))
  // @ts-expect-error not a contract
  void (() => TestKit.layer({ actors: ["Till"], implementations: tillLive() }))
  const complete = (layer: Layer.Layer<TestKit.Provided<readonly [typeof Till]>>) => assert.isTrue(Layer.isLayer(layer))
  complete(TestKit.layer({ actors: [Till], implementations: Layer.provide(tillLive(), Bank.layer) }))
  // @ts-expect-error nobody provides the bank
  complete(TestKit.layer({ actors: [Till], implementations: tillLive() }))
})
