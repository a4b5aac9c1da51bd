/** What the code of an app, or a store, does in the middle of something, and what is left of it. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ActorError, ServerDefect } from "@troupe/contract"
import { ActorHost, ActorStore, Metrics } from "@troupe/server"
import { RawClient, TestKit, TestStore } from "@troupe/testing"
import { Cause, Effect, Exit, Layer, Metric, MetricLabel, Option, Ref, Schema, type Scope } from "effect"
import { begin, isRunning, pass, settle } from "./support/world.ts"

class Room extends Actor.Tag<Room>()("Room", {
  rpcs: RpcGroup.make(Rpc.make("Long", { success: Schema.String })),
  internal: RpcGroup.make(
    Rpc.make("Add", { success: Schema.Int }),
    Rpc.make("Ring", { payload: { at: Schema.DateFromSelf } }),
    Rpc.make("SetAlarm")
  ),
  events: { said: Schema.String }
}) {}

/** What a test does in the actor's code, and what it has seen there. */
interface Script {
  onConnect?: (state: Ref.Ref<number>) => Effect.Effect<unknown, never, Scope.Scope>
  onEnd?: (state: Ref.Ref<number>) => Effect.Effect<unknown>
  readonly seen: Array<string>
}

const layerRoom = (script: Script) =>
  Room.toLayer({ state: Schema.Int, initialState: () => 0 }, (room) =>
    Effect.gen(function*() {
      yield* Effect.addFinalizer(() => {
        script.seen.push("left")
        return Effect.exit(script.onEnd?.(room.state) ?? Effect.void)
      })
      return room.behavior({
        onConnect: () => script.onConnect?.(room.state) ?? Effect.void,
        onDisconnect: () => Effect.sync(() => void script.seen.push("disconnected")),
        rpcs: { Long: () => Effect.succeed("x".repeat(1000)) },
        internal: {
          Add: () => Ref.updateAndGet(room.state, (n) => n + 1),
          Ring: () => Effect.sync(() => void script.seen.push("rang")),
          SetAlarm: () => room.alarm("1 second", "Ring", { at: new Date(0) })
        }
      })
    }))

const kit = (script: Script, host: TestKit.Options<readonly [typeof Room], never, never>["host"] = {}) =>
  TestKit.layer({ actors: [Room], implementations: layerRoom(script), host })

const room = Effect.map(Room, (rooms) => rooms.get("a"))

it.effect("A5 what the release of an onConnect that has failed changes is dropped with what that has changed", () => {
  const script: Script = { seen: [] }
  script.onConnect = (state) =>
    Effect.zipRight(
      Effect.acquireRelease(
        Ref.update(state, (n) => n + 1),
        () => Effect.zipRight(Effect.sync(() => script.seen.push("released")), Ref.update(state, (n) => n - 1))
      ),
      Effect.dieMessage("not today")
    )
  return Effect.gen(function*() {
    for (const n of [1, 2]) {
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ActorClient.connect(Room, "a"))))
      yield* settle
      assert.strictEqual(yield* (yield* room).Add(), n)
    }
    assert.deepStrictEqual(script.seen, ["released", "released"])
  }).pipe(Effect.scoped, Effect.provide(kit(script)))
})

it.effect("A5 a connection whose onConnect was not committed has never stood: its releases run, and onDisconnect does not", () => {
  const script: Script = { seen: [] }
  script.onConnect = (state) =>
    Effect.acquireRelease(Ref.update(state, (n) => n + 1), () => Effect.sync(() => script.seen.push("released")))
  return Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    yield* store.fail("before")
    yield* begin(ActorClient.connect(Room, "a"))
    assert.deepStrictEqual(script.seen, ["released", "left"])
    yield* pass("1 minute")
    yield* store.fail("before")
    // now it stands, and is lost
    assert.isTrue(Exit.isFailure(yield* Effect.exit((yield* room).Add())))
    yield* settle
    assert.deepStrictEqual(script.seen.slice(2).sort(), ["disconnected", "left", "released"])
  }).pipe(Effect.scoped, Effect.provide(kit(script)))
})

it.effect("L2 E4 a subscription that waits behind answers which nobody takes goes with its client: the actor sleeps", () => {
  const script: Script = { seen: [] }
  return Effect.gen(function*() {
    for (const times of [1, 2]) {
      const raw = yield* RawClient.make
      yield* raw.say(RawClient.hello, RawClient.open(Room, "a"))
      yield* raw.say(RawClient.request(1, "Long"))
      yield* raw.say({ _tag: "Message", channel: 1, seq: 2, payload: { _tag: "Subscribe", event: "said" } })
      yield* raw.close
      yield* pass("1 minute")
      assert.strictEqual(script.seen.filter((what) => what === "left").length, times)
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(kit(script, { outboxBytesMax: 500, resumeWindow: "10 seconds", idleTimeout: "1 second" }))
  )
})

it.effect("L3 an alarm whose payload could not be read again is not set", () => {
  const script: Script = { seen: [] }
  return Effect.gen(function*() {
    const exit = yield* Effect.exit((yield* room).SetAlarm())
    assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), ServerDefect.ServerDefect)
    yield* pass("1 minute")
    assert.notInclude(script.seen, "rang")
    assert.strictEqual(yield* (yield* room).Add(), 1)
  }).pipe(Effect.scoped, Effect.provide(kit(script)))
})

it.effect("a turn that is asked for when the activation has ended is not counted", () => {
  const script: Script = { seen: [], onEnd: (state) => Ref.update(state, (n) => n + 1) }
  const depth = Metric.taggedWithLabels(Metrics.mailbox, [MetricLabel.make("contract", "Room")])
  return Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    const { value: before } = yield* Metric.value(depth)
    for (const _ of [1, 2]) {
      yield* store.fail("before")
      assert.isTrue(Exit.isFailure(yield* Effect.exit((yield* room).Add())))
      yield* settle
      assert.strictEqual((yield* Metric.value(depth)).value, before)
    }
  }).pipe(Effect.scoped, Effect.provide(kit(script)))
})

/** A store whose `commit` does what it must not. */
const broken = (commit: { now: "throws" | "tells too little" | "works" }) =>
  Layer.effect(
    ActorStore.ActorStore,
    Effect.map(ActorStore.ActorStore, (store): typeof ActorStore.ActorStore.Service => ({
      ...store,
      commit: (batch) => {
        if (commit.now === "throws") throw new Error("a bug of the store")
        return Effect.map(store.commit(batch), (results) => commit.now === "works" ? results : [])
      }
    }))
  ).pipe(Layer.provide(ActorStore.layerMemory))

it.effect("T9 a store that throws, or tells too few results, has failed, and the next commits go on", () => {
  const commit: Parameters<typeof broken>[0] = { now: "works" }
  const Live = layerRoom({ seen: [] }).pipe(
    Layer.provide(ActorHost.layer()),
    Layer.provide(broken(commit))
  )
  return Effect.gen(function*() {
    let stored = 0
    for (const now of ["throws", "tells too little"] as const) {
      commit.now = now
      const adding = yield* begin(Effect.exit((yield* room).Add()))
      assert.isFalse(yield* isRunning(adding))
      const exit = yield* adding
      assert.instanceOf(
        Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error,
        ActorError.ActorUnavailable
      )
      commit.now = "works"
      // what it has stored without telling is there
      stored += now === "throws" ? 1 : 2
      assert.strictEqual(yield* (yield* room).Add(), stored)
    }
  }).pipe(Effect.scoped, Effect.provide(Live))
})

class Caller extends Actor.Tag<Caller>()("Caller", {
  internal: RpcGroup.make(
    Rpc.make("Ring"),
    Rpc.make("SetAlarm"),
    Rpc.make("Parked", { success: Schema.Boolean })
  )
}) {}

class Callee extends Actor.Tag<Callee>()("Callee", {
  internal: RpcGroup.make(Rpc.make("Try", { error: Schema.String }), Rpc.make("Pass", { error: Schema.String }))
}) {}

for (const durability of ["commit", "memory"] as const) {
  it.effect(`L3 T3 what has failed at another actor is run again with the alarm, though that has slept (${durability})`, () => {
    const runs: Array<string> = []
    const world = { down: true }
    const CallerLive = Caller.toLayer(
      { state: Schema.Void, initialState: () => undefined },
      (caller) =>
        Effect.gen(function*() {
          const callees = yield* Callee.client
          return caller.behavior({
            internal: {
              SetAlarm: () => caller.alarm("1 second", "Ring"),
              // one that fails by itself, and one that passes on what has failed; both sleep before the alarm has failed
              Ring: () =>
                Effect.orDie(Effect.ensuring(
                  Effect.zipRight(Effect.exit(callees.get("a").Try()), callees.get("b").Pass()),
                  Effect.sleep("1 minute")
                )),
              Parked: () => Effect.map(caller.alarms, (alarms) => alarms.some(({ due }) => Option.isNone(due)))
            }
          })
        })
    )
    const CalleeLive = Callee.toLayer(
      { state: Schema.Int, initialState: () => 0, durability },
      (callee) =>
        Effect.gen(function*() {
          const callees = yield* Callee.client
          return callee.behavior({
            internal: {
              Try: () =>
                Effect.suspend(() => {
                  runs.push(`${callee.key} ${world.down ? "fails" : "succeeds"}`)
                  return world.down ? Effect.fail("down") : Ref.update(callee.state, (n) => n + 1)
                }),
              Pass: () => Effect.orDie(callees.get("c").Try())
            }
          })
        })
    )
    return Effect.gen(function*() {
      const caller = (yield* Caller).get("a")
      yield* caller.SetAlarm()
      yield* pass("10 seconds")
      world.down = false
      yield* pass("5 minutes")
      assert.deepStrictEqual(runs, ["a fails", "c fails", "a succeeds", "c succeeds"])
      assert.isFalse(yield* caller.Parked())
    }).pipe(
      Effect.scoped,
      Effect.provide(TestKit.layer({ actors: [Caller, Callee], implementations: Layer.merge(CallerLive, CalleeLive) }))
    )
  })
}
