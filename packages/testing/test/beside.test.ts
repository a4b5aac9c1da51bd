/** Calls whose handlers run beside the turns, and how they end when nobody answers them, or nobody waits. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { TestKit, TestStore } from "@troupe/testing"
import { Deferred, Effect, Fiber, FiberId, Layer, Ref, Schema } from "effect"
import { settle } from "./support/lab.ts"

class Shop extends Actor.Tag<Shop>()("Shop", {
  internal: RpcGroup.make(
    Actor.forked(Rpc.make("Watch")),
    Rpc.make("Sell"),
    Rpc.make("Wait"),
    Rpc.make("End")
  )
}) {}

/** A shop, and what happens to those who watch it. */
const open = Effect.gen(function*() {
  const notes: Array<string> = []
  const note = (text: string) => Effect.sync(() => void notes.push(text))
  const gate = yield* Deferred.make<void>()
  const live = Shop.toLayer({ state: Schema.Int, initialState: () => 0 }, (shop) =>
    Effect.succeed(shop.behavior({
      internal: {
        Watch: () => note("begun").pipe(Effect.zipRight(Effect.never), Effect.ensuring(note("ended"))),
        Sell: () => Ref.update(shop.state, (sold) => sold + 1),
        Wait: () => Deferred.await(gate),
        End: () => shop.destroy
      }
    })))
  const context = yield* Layer.build(
    live.pipe(Layer.provideMerge(ActorHost.layer()), Layer.provideMerge(TestStore.layer))
  )
  const shops = yield* Effect.provide(Shop, context)
  const store = yield* Effect.provide(TestStore.TestStore, context)
  yield* Effect.addFinalizer(() => store.release)
  return { notes, store, shop: shops.get("a"), openGate: Deferred.succeed(gate, undefined) }
})

it.scoped("a handler beside the turns whose activation is lost: its caller is told, and not interrupted", () =>
  Effect.gen(function*() {
    const { notes, shop, store } = yield* open
    for (const round of [1, 2]) {
      const watching = yield* Effect.fork(Effect.flip(shop.Watch()))
      yield* settle
      yield* store.fail("before")
      assert.strictEqual((yield* Effect.flip(shop.Sell()))._tag, "ActorUnavailable")
      assert.strictEqual((yield* Fiber.join(watching))._tag, "ActorUnavailable")
      assert.lengthOf(notes, round * 2)
    }
  }))

it.scoped("a call that waits for its place beside the turns when the activation is lost: the same", () =>
  Effect.gen(function*() {
    const { notes, shop, store } = yield* open
    for (const _ of [1, 2]) {
      yield* store.hold
      const selling = yield* Effect.fork(Effect.flip(shop.Sell()))
      yield* store.waiting
      const waiting = yield* Effect.fork(Effect.flip(shop.Wait()))
      yield* settle
      const watching = yield* Effect.fork(Effect.flip(shop.Watch()))
      yield* settle
      yield* store.fail("before")
      yield* store.release
      for (const call of [selling, waiting, watching]) {
        assert.strictEqual((yield* Fiber.join(call))._tag, "ActorUnavailable")
      }
      assert.deepStrictEqual(notes, [])
    }
  }))

it.scoped("a call that waits for its place beside the turns when the actor is destroyed has not been made", () =>
  Effect.gen(function*() {
    const { notes, openGate, shop } = yield* open
    const waiting = yield* Effect.fork(shop.Wait())
    yield* settle
    const ending = yield* Effect.fork(shop.End())
    yield* settle
    const watching = yield* Effect.fork(Effect.flip(shop.Watch()))
    yield* settle
    yield* openGate
    yield* Fiber.join(waiting)
    yield* Fiber.join(ending)
    const error = yield* Fiber.join(watching)
    assert.strictEqual(error._tag, "ActorDestroyed")
    assert.strictEqual(error._tag === "ActorDestroyed" && error.sent, "no")
    assert.deepStrictEqual(notes, [])
  }))

it.scoped("a handler beside the turns ends with its caller, also while the turns before it are being committed", () =>
  Effect.gen(function*() {
    const { notes, shop, store } = yield* open
    yield* store.hold
    const selling = yield* Effect.fork(shop.Sell())
    yield* store.waiting
    const watching = yield* Effect.fork(shop.Watch())
    yield* settle
    assert.deepStrictEqual(notes, ["begun"])
    yield* Fiber.interrupt(watching)
    yield* settle
    assert.deepStrictEqual(notes, ["begun", "ended"])
    yield* store.release
    yield* Fiber.join(selling)
  }))

class Till extends Actor.Tag<Till>()("Till", {
  rpcs: RpcGroup.make(Actor.forked(Rpc.make("Charge"))),
  internal: RpcGroup.make(Actor.forked(Rpc.make("ChargeInternally")))
}) {}

it.scoped("a handler beside the turns that must not be interrupted is not, whoever calls it", () => {
  const notes: Array<string> = []
  const note = (text: string) => Effect.sync(() => void notes.push(text))
  const gate = Deferred.unsafeMake<void>(FiberId.none)
  const charge = () =>
    Rpc.uninterruptible(
      note("begun").pipe(Effect.zipRight(Deferred.await(gate)), Effect.zipRight(note("charged")))
    )
  const live = Till.toLayer(
    { state: Schema.Void, initialState: () => undefined },
    (till) => Effect.succeed(till.behavior({ rpcs: { Charge: charge }, internal: { ChargeInternally: charge } }))
  )
  return Effect.gen(function*() {
    const till = yield* ActorClient.connect(Till, "a")
    const calls = [Effect.ignore(till.rpc.Charge()), Effect.ignore((yield* Till).get("a").ChargeInternally())]
    for (const call of calls) {
      const charging = yield* Effect.fork(call)
      yield* settle
      yield* Fiber.interruptFork(charging)
      yield* settle
    }
    assert.deepStrictEqual(notes, ["begun", "begun"])
    yield* Deferred.succeed(gate, undefined)
    yield* settle
    assert.deepStrictEqual(notes, ["begun", "begun", "charged", "charged"])
  }).pipe(Effect.provide(TestKit.layer({ actors: [Till], implementations: live })))
})
