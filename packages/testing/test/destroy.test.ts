/** The end of an actor: what is deleted, who is told, and what comes after. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, Address, ConnectionError, type DisconnectReason } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport, TestStore, TestTime } from "@troupe/testing"
import { Effect, Exit, Fiber, Layer, Ref, Schedule, Schema, Scope, Stream, TestClock } from "effect"
import {
  append,
  backend,
  connect,
  Lab,
  labLive,
  type LabRoom,
  layerOutside,
  layerProcess,
  life,
  Oops,
  Probe,
  run,
  settle
} from "./support/lab.ts"

const address = Address.make("Lab", "main")

const destroying = (room: LabRoom) => Effect.as(Effect.zipRight(append(room, "last"), room.destroy), "destroyed")

const closed = (connection: { readonly status: { readonly get: Effect.Effect<unknown> } }) =>
  Effect.map(connection.status.get, (status) => {
    const { _tag, reason } = status as { readonly _tag: string; readonly reason?: DisconnectReason.DisconnectReason }
    return [_tag, reason?._tag]
  })

/** What waits on the actor `main` while something else has the turn. */
const busy = (gate: string) =>
  Effect.gen(function*() {
    const probe = yield* Probe
    probe.internals["wait"] = () => Effect.as(probe.wait(gate), "waited")
    const { Script } = yield* backend
    const waiting = yield* Effect.fork(Script({ script: "wait" }))
    yield* settle
    return Effect.zipRight(probe.open(gate), Fiber.join(waiting))
  })

for (const durability of ["commit", "fsync", "memory"] as const) {
  it.effect(`L4 destroy: all is gone, connections close with the reason, the next use starts afresh [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const probe = yield* Probe
        const { store } = yield* TestStore.TestStore
        const { Count, Script } = yield* backend
        probe.scripts["destroy"] = destroying
        probe.internals["set"] = (room) => Effect.as(room.alarm("1 hour", "Add", { item: "rung" }), "set")
        probe.hooks.onDisconnect = (_, { params }, reason) => probe.note(`${params.name} ${reason._tag}`)
        for (const round of [1, 2]) {
          const ann = yield* connect("ann", { events: ["appended"] })
          const bob = yield* connect("bob")
          const events = yield* ann.events("appended")
          const collected = yield* Effect.fork(Effect.exit(Stream.runCollect(events)))
          assert.strictEqual(yield* bob.rpc.Append({ item: "x" }), 1, "afresh")
          yield* Script({ script: "set" })
          const slept = probe.count("sleep main")
          // its own answer comes before the end
          assert.strictEqual(yield* ann.rpc.Run({ script: "destroy" }), "destroyed")
          yield* settle
          assert.deepStrictEqual(yield* closed(ann), ["Closed", "Destroyed"])
          assert.deepStrictEqual(yield* closed(bob), ["Closed", "Destroyed"])
          assert.isTrue(Exit.isFailure(yield* Fiber.join(collected)), "streams end")
          assert.strictEqual(probe.count("sleep main"), slept + 1, "its scope has closed")
          assert.deepStrictEqual([probe.count("ann Destroyed"), probe.count("bob Destroyed")], [round, round])
          assert.deepInclude(yield* Effect.flip(bob.rpc.Items()), { _tag: "ConnectionClosed", sent: "no" })
          assert.deepStrictEqual(yield* store.replies(address), [])
          yield* TestClock.adjust("2 hours")
          yield* settle
          assert.strictEqual(yield* Count(), 0, "its alarm does not ring for the next")
          yield* TestClock.adjust("1 minute")
          yield* settle
        }
      }),
      { durability }
    ))
}

it.effect("L4 a turn that fails destroys nothing", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    yield* ann.rpc.Append({ item: "x" })
    probe.scripts["fail"] = (room) => Effect.zipRight(room.destroy, new Oops({ code: 1 }))
    probe.scripts["die"] = (room) => Effect.zipRight(room.destroy, Effect.die("broken"))
    for (const script of ["fail", "die"]) {
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ann.rpc.Run({ script }))))
      yield* settle
      assert.deepStrictEqual(yield* ann.rpc.Items(), ["x"])
    }
  })))

it.effect("L4 an actor may end by an alarm, by an internal call, and by a fiber of its own", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Add, Count, Script } = yield* backend
    probe.internals["destroy"] = destroying
    probe.internals["later"] = (room) => Effect.as(room.alarm("1 minute", "Script", { script: "destroy" }), "set")
    yield* Add({ item: "x" })
    assert.strictEqual(yield* Script({ script: "destroy" }), "destroyed")
    assert.strictEqual(yield* Count(), 0)
    yield* Add({ item: "y" })
    yield* Script({ script: "later" })
    yield* settle
    yield* TestClock.adjust("1 minute")
    yield* settle
    assert.strictEqual(yield* Count(), 0)
    yield* Add({ item: "z" })
    probe.internals["background"] = (room) =>
      Effect.as(Effect.forkDaemon(Effect.zipRight(probe.wait("background"), room.destroy)), "forked")
    yield* Script({ script: "background" })
    assert.strictEqual(yield* Count(), 1)
    yield* probe.open("background")
    yield* settle
    assert.strictEqual(yield* Count(), 0)
  })))

it.effect("L4 what waits for a turn when the actor ends is not run, and is told so", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Add, Count } = yield* backend
    probe.scripts["destroy"] = destroying
    for (const name of ["one", "two"]) {
      const ann = yield* connect("ann")
      const bob = yield* connect("bob")
      const free = yield* busy(name)
      const ending = yield* Effect.fork(ann.rpc.Run({ script: "destroy" }))
      yield* settle
      const client = yield* Effect.fork(Effect.flip(bob.rpc.Append({ item: name })))
      const mine = yield* Effect.fork(Effect.flip(ann.rpc.Append({ item: name })))
      yield* settle
      // the lane of backends comes round after those of clients, so this call is behind them all
      const internal = yield* Effect.fork(Effect.exit(Add({ item: name })))
      yield* settle
      yield* free
      assert.strictEqual(yield* Fiber.join(ending), "destroyed")
      yield* settle
      for (const fiber of [client, mine]) {
        assert.deepInclude(yield* Fiber.join(fiber), { _tag: "ConnectionClosed", sent: "maybe" })
      }
      assert.deepStrictEqual(
        yield* Fiber.join(internal),
        Exit.fail(new ConnectionError.ActorDestroyed({ address, sent: "no" }))
      )
      assert.strictEqual(yield* Count(), 0)
    }
  })))

it.effect("L4 who comes while the end is being committed waits, and finds the next life", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const { Add } = yield* backend
    probe.internals["destroy"] = destroying
    yield* Add({ item: "x" })
    yield* control.hold
    const { Script } = yield* backend
    const ending = yield* Effect.fork(Script({ script: "destroy" }))
    yield* control.waiting
    const added = yield* Effect.fork(Add({ item: "y" }))
    const connecting = yield* Effect.fork(Effect.flatMap(connect("ann"), ({ rpc }) => rpc.Append({ item: "z" })))
    yield* settle
    assert.strictEqual(probe.count("build main"), 1)
    yield* control.release
    assert.strictEqual(yield* Fiber.join(ending), "destroyed")
    assert.deepStrictEqual([yield* Fiber.join(added), yield* Fiber.join(connecting)].sort(), [1, 2])
    assert.strictEqual(probe.count("build main"), 2)
  })))

it.effect("L4 an end whose commit fails has not been: clients open anew, and ask again", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const control = yield* TestStore.TestStore
      probe.scripts["destroy"] = destroying
      for (const failure of ["before", "failed", "superseded"] as const) {
        const ann = yield* connect("ann")
        const bob = yield* connect("bob")
        assert.strictEqual(yield* bob.rpc.Append({ item: "x" }), 1)
        const runs = probe.count("build main")
        yield* control.fail(failure)
        const ending = yield* Effect.fork(ann.rpc.Run({ script: "destroy" }))
        yield* settle
        yield* TestClock.adjust("10 seconds")
        yield* settle
        assert.strictEqual(yield* Fiber.join(ending), "destroyed", failure)
        assert.isAbove(probe.count("build main"), runs)
        assert.deepStrictEqual(yield* closed(bob), ["Closed", "Destroyed"])
      }
    }),
    { client: { schedule: Schedule.spaced("1 second") } }
  ))

it.effect("L4 a call that may have reached an actor destroyed meanwhile ends so; what was not sent goes to the next", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const network = yield* MemoryTransport.MemoryNetwork
      probe.internals["destroy"] = destroying
      const { Script, Add } = yield* backend
      for (const round of [1, 2]) {
        const ann = yield* connect("ann")
        assert.strictEqual(yield* ann.rpc.Append({ item: "x" }), 1)
        probe.scripts["hang"] = () => Effect.as(probe.wait(`hang ${round}`), "hung")
        const sent = yield* Effect.fork(Effect.flip(ann.rpc.Run({ script: "hang" })))
        yield* settle
        yield* network.setReachability("refused")
        yield* network.cut
        yield* settle
        const unsent = yield* Effect.fork(ann.rpc.Append({ item: "y" }))
        const ending = yield* Effect.fork(Script({ script: "destroy" }))
        yield* settle
        yield* probe.open(`hang ${round}`)
        yield* Fiber.join(ending)
        yield* Add({ item: "somebody else" })
        yield* network.setReachability("reachable")
        yield* TestClock.adjust("10 seconds")
        yield* settle
        assert.deepStrictEqual(
          yield* Fiber.join(sent),
          new ConnectionError.ActorDestroyed({ address, sent: "maybe" })
        )
        assert.strictEqual(yield* Fiber.join(unsent), 2)
        assert.deepStrictEqual(yield* ann.rpc.Items(), ["somebody else", "y"])
        yield* Script({ script: "destroy" })
        yield* settle
        assert.deepStrictEqual(yield* closed(ann), ["Closed", "Destroyed"])
      }
    }),
    { client: { schedule: Schedule.spaced("1 second") } }
  ))

it.effect("L4 an actor stays destroyed, and its lives are counted, through restarts", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const { store } = yield* TestStore.TestStore
    probe.internals["destroy"] = destroying
    for (const lives of [1, 2, 3]) {
      yield* life(
        labLive(),
        Effect.gen(function*() {
          const { Add, Script } = yield* backend
          assert.strictEqual(yield* Add({ item: "x" }), 1)
          yield* Script({ script: "destroy" })
        })
      )
      assert.deepInclude(yield* store.claim(address), { state: undefined, incarnation: lives, alarms: [] })
    }
  }).pipe(Effect.provide(layerOutside)))

// --- who has called it, and whom it has called -----------------------------------------------------------------------

class Shop extends Actor.Tag<Shop>()("Shop", {
  internal: RpcGroup.make(Actor.forked(Rpc.make("Charge")), Rpc.make("End"))
}) {}

it.effect("L4 a handler beside the turns that had begun is told of with \"maybe\": what it has done is not taken back", () => {
  const notes: Array<string> = []
  const live = Shop.toLayer({ state: Schema.Int, initialState: () => 0 }, (shop) =>
    Effect.succeed(shop.behavior({
      internal: {
        Charge: () => Effect.zipRight(Effect.sync(() => void notes.push("charged")), Effect.never),
        End: () => shop.destroy
      }
    })))
  return Effect.gen(function*() {
    const shop = (yield* Shop).get("a")
    for (const round of [1, 2]) {
      const charging = yield* Effect.fork(Effect.flip(shop.Charge()))
      yield* settle
      assert.lengthOf(notes, round)
      yield* shop.End()
      const error = yield* Fiber.join(charging)
      assert.strictEqual(error._tag, "ActorDestroyed")
      assert.strictEqual(error._tag === "ActorDestroyed" && error.sent, "maybe")
    }
  }).pipe(Effect.provide(live.pipe(Layer.provideMerge(ActorHost.layer()), Layer.provideMerge(TestStore.layer))))
})

it.effect("L4 what a turn has called elsewhere is settled when it has destroyed its actor", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { store } = yield* TestStore.TestStore
    const labs = yield* Lab
    probe.scripts["forward"] = (room) =>
      Effect.gen(function*() {
        yield* Effect.orDie(labs.get("other").Add({ item: "x" }))
        yield* append(room, "x")
        yield* room.destroy
        return "forwarded"
      })
    for (let i = 0; i < 20; i++) {
      const ann = yield* connect("ann")
      assert.strictEqual(yield* ann.rpc.Run({ script: "forward" }), "forwarded")
      yield* settle
    }
    // the next commits delete what was settled
    for (const _ of [1, 2]) {
      yield* labs.get("other").Add({ item: "x" })
      yield* settle
    }
    assert.isAtMost((yield* store.replies(Address.make("Lab", "other"))).length, 2)
  })))

it.effect("L4 a backend's call that waits behind an end whose commit hangs has its deadline", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    yield* Effect.addFinalizer(() => control.release)
    probe.internals["destroy"] = destroying
    const { Count, Script } = yield* backend
    const free = yield* busy("gate")
    const ending = yield* Effect.fork(Effect.exit(Script({ script: "destroy" })))
    yield* settle
    const waiting = yield* Effect.fork(Effect.flip(Count()))
    yield* settle
    yield* control.hold
    yield* Effect.fork(free)
    yield* settle
    yield* TestClock.adjust("31 seconds")
    yield* settle
    assert.strictEqual((yield* Fiber.join(waiting))._tag, "CallTimeout")
    yield* control.release
    yield* Fiber.join(ending)
  })))

it.effect("L4 L5 a host that leaves while an end hangs in the store releases what its actor and its connections hold", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    yield* Effect.addFinalizer(() => control.release)
    probe.scripts["destroy"] = destroying
    const hold = (what: string) =>
      Effect.acquireRelease(probe.note(`${what} acquired`), () => probe.note(`${what} released`))
    probe.hooks.build = () => hold("actor")
    probe.hooks.onConnect = () => hold("connection")
    const scope = yield* Scope.make()
    yield* Effect.gen(function*() {
      const ann = yield* connect("ann")
      yield* ann.rpc.Append({ item: "x" })
      yield* control.hold
      yield* Effect.fork(Effect.exit(ann.rpc.Run({ script: "destroy" })))
      yield* control.waiting
    }).pipe(
      Effect.provide(yield* Layer.buildWithScope(layerProcess(labLive()), scope)),
      Scope.extend(yield* Effect.scope)
    )
    const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
    for (let i = 0; i < 60; i++) {
      yield* TestClock.adjust("1 second")
      yield* settle
    }
    yield* Fiber.join(stopping)
    for (const what of ["actor", "connection"]) {
      assert.deepStrictEqual([probe.count(`${what} acquired`), probe.count(`${what} released`)], [1, 1], what)
    }
  }).pipe(Effect.scoped, Effect.provide(layerOutside)))

class Lamp extends Actor.Tag<Lamp>()("Lamp", {
  internal: RpcGroup.make(Rpc.make("Turn", { success: Schema.Int }), Rpc.make("Break"))
}) {}

/** A store that takes its time to read what has been recorded. */
const slowReplies = Layer.effect(
  ActorStore.ActorStore,
  Effect.map(ActorStore.ActorStore, (store) => ({
    ...store,
    replies: (address: Address.Address) => Effect.delay(store.replies(address), "1 second")
  }))
)

it.scoped("L4 an actor ends also by a fiber that outlives its turn while the store is read", () => {
  const lamps = Lamp.toLayer(
    { state: Schema.Int, initialState: () => 0, idleTimeout: "1 minute" },
    (lamp) =>
      Effect.succeed(lamp.behavior({
        internal: {
          Turn: () => Ref.updateAndGet(lamp.state, (n) => n + 1),
          Break: () => Effect.zipRight(Effect.forkDaemon(lamp.destroy), Effect.yieldNow())
        }
      }))
  )
  const live = lamps.pipe(
    Layer.provideMerge(ActorHost.layer()),
    Layer.provide(slowReplies),
    Layer.provide(ActorStore.layerMemory)
  )
  return Effect.gen(function*() {
    const lamp = (yield* Lamp).get("a")
    assert.strictEqual(yield* lamp.Turn(), 1)
    // the next activation reads what this one has recorded
    yield* TestTime.pass("2 minutes")
    yield* lamp.Break()
    yield* TestTime.pass("5 seconds")
    assert.strictEqual(yield* lamp.Turn(), 1)
  }).pipe(Effect.provide(live))
})

it.scoped("L4 an actor ends that has answered very many calls of others, and their answers outlive it", () => {
  const lamps = Lamp.toLayer({ state: Schema.Int, initialState: () => 0 }, (lamp) =>
    Effect.succeed(lamp.behavior({
      internal: { Turn: () => Ref.updateAndGet(lamp.state, (n) => n + 1), Break: () => lamp.destroy }
    })))
  const address = Address.make("Lamp", "a")
  return Effect.gen(function*() {
    const { store } = yield* TestStore.TestStore
    const { epoch, version } = yield* store.claim(address)
    const exit = "{\"_tag\":\"Success\",\"value\":1}"
    const replies = Array.from({ length: 200_000 }, (_, i) => ({ session: `call ${i}`, call: 0, exit }))
    const rest = { state: "1", settledSegments: [], fsync: false }
    yield* store.commit([{ address, epoch, version, replies, ...rest }])
    const lamp = (yield* Lamp).get("a")
    yield* lamp.Break()
    assert.strictEqual(yield* lamp.Turn(), 1)
    const [outlived] = yield* store.replies(address)
    assert.strictEqual(outlived?.replies.length, replies.length)
  }).pipe(Effect.provide(lamps.pipe(Layer.provideMerge(ActorHost.layer()), Layer.provideMerge(TestStore.layer))))
})
