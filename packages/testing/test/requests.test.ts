/** The ids of requests: the same whenever a call is made again, and of no other call. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, Address, type Behavior, Delivery } from "@troupe/contract"
import { TestHost, TestKit, TestStore, TestTime } from "@troupe/testing"
import { Effect, Fiber, Layer, Ref, Schedule, Schema } from "effect"

class Bank extends Actor.Tag<Bank>()("Bank", {
  internal: RpcGroup.make(
    Rpc.make("Charge", { success: Schema.Int }),
    Rpc.make("Look", { success: Schema.Int }).annotate(Delivery.Delivery, "idempotent")
  )
}) {}

class Till extends Actor.Tag<Till>()("Till", {
  rpcs: RpcGroup.make(Rpc.make("Later"), Rpc.make("Look")),
  internal: RpcGroup.make(Rpc.make("Pay"), Rpc.make("Retry", { success: Schema.Boolean }))
}) {}

const count = { state: Schema.Int, initialState: () => 0 }

/** What has been seen by the handlers, and what they do. */
interface World {
  readonly ids: Array<string>
  readonly charged: Array<number>
  readonly looked: Array<string>
  failing: boolean
  slow: boolean
}

const make = (durability: Behavior.Durability = "commit") => {
  const world: World = { ids: [], charged: [], looked: [], failing: false, slow: false }
  const bank = Bank.toLayer(count, (bank) =>
    Effect.succeed(bank.behavior({
      internal: {
        Charge: () => Ref.updateAndGet(bank.state, (n) => n + 1),
        Look: () =>
          Effect.flatMap(bank.requestId, (id) =>
            Effect.zipRight(Effect.sync(() => world.looked.push(id)), Ref.get(bank.state)))
      }
    })))
  const till = Till.toLayer({ ...count, durability }, (till) =>
    Effect.gen(function*() {
      const banks = yield* Bank.client
      return till.behavior({
        rpcs: {
          Later: () => till.alarm("1 second", "Pay"),
          Look: () =>
            Effect.zipRight(
              Effect.orDie(banks.get("main").Look()),
              Effect.suspend(() => world.slow ? Effect.never : Effect.void)
            )
        },
        internal: {
          Pay: Effect.fnUntraced(function*() {
            world.ids.push(yield* till.requestId)
            world.charged.push(yield* Effect.orDie(banks.get("main").Charge()))
            if (world.failing) return yield* Effect.dieMessage("the printer is out of paper")
          }),
          Retry: () => till.retryAlarm("Pay")
        }
      })
    }))
  return {
    world,
    layer: TestKit.layer({
      actors: [Till],
      implementations: Layer.merge(till, bank),
      host: { alarmRetriesMax: 2 },
      client: { schedule: Schedule.spaced("1 second") }
    })
  }
}

for (const durability of ["memory", "commit"] as const) {
  it.scoped(`L3 an alarm after a restart is another request than one before it [${durability}]`, () => {
    const { layer, world } = make(durability)
    return Effect.gen(function*() {
      const host = yield* TestHost.TestHost
      const till = yield* ActorClient.connect(Till, "a")
      for (const times of [1, 2, 3]) {
        const call = yield* Effect.fork(till.rpc.Later())
        yield* TestTime.pass("1 minute")
        yield* Fiber.join(call)
        assert.strictEqual(new Set(world.ids).size, times)
        yield* host.crash
        yield* host.start
      }
    }).pipe(Effect.provide(layer))
  })
}

it.scoped("L3 T3 a parked alarm that is retried is the same request: what it has done elsewhere is not done again", () => {
  const { layer, world } = make()
  return Effect.gen(function*() {
    const host = yield* TestHost.TestHost
    const till = yield* ActorClient.connect(Till, "a")
    for (const times of [1, 2]) {
      world.failing = true
      world.ids.length = world.charged.length = 0
      yield* till.rpc.Later()
      yield* TestTime.pass("1 minute")
      assert.deepStrictEqual(world.charged, [times, times, times])
      world.failing = false
      assert.isTrue(yield* host.directory(Till).get("a").Retry())
      yield* TestTime.pass("1 minute")
      assert.deepStrictEqual(world.charged, [times, times, times, times])
      assert.strictEqual(new Set(world.ids).size, 1)
    }
    // nothing of it is kept then
    assert.deepStrictEqual(
      yield* (yield* TestStore.TestStore).store.replies(Address.make("Bank", "main")),
      []
    )
  }).pipe(Effect.provide(layer))
})

it.scoped("C8 T3 an idempotent call that a turn makes again is the same request", () => {
  const { layer, world } = make()
  return Effect.gen(function*() {
    const host = yield* TestHost.TestHost
    const till = yield* ActorClient.connect(Till, "a")
    world.slow = true
    const call = yield* Effect.fork(till.rpc.Look())
    yield* TestTime.settle
    yield* host.crash
    world.slow = false
    yield* host.start
    yield* TestTime.pass("1 minute")
    yield* Fiber.join(call)
    assert.lengthOf(world.looked, 2)
    assert.strictEqual(world.looked[0], world.looked[1])
    yield* till.rpc.Look()
    assert.strictEqual(new Set(world.looked).size, 2)
  }).pipe(Effect.provide(layer))
})

it.scoped("C8 an idempotent call of a backend whose activation is lost is made again by itself, as the same request", () => {
  const { layer, world } = make()
  return Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    const bank = (yield* TestHost.TestHost).directory(Bank).get("main")
    for (const times of [1, 2]) {
      world.looked.length = 0
      yield* store.hold
      const charge = yield* Effect.fork(Effect.flip(bank.Charge()))
      const look = yield* Effect.fork(bank.Look())
      yield* TestTime.settle
      assert.lengthOf(world.looked, 1, "its answer waits for the charge")
      yield* store.fail("before")
      yield* store.release
      yield* TestTime.pass("10 seconds")
      assert.strictEqual((yield* Fiber.join(charge))._tag, "ActorUnavailable")
      assert.strictEqual(yield* Fiber.join(look), 0, `${times}`)
      assert.lengthOf(world.looked, 2)
      assert.strictEqual(new Set(world.looked).size, 1)
    }
  }).pipe(Effect.provide(layer))
})
