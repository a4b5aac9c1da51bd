import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, ActorError, Address, ServerDefect } from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { TestStore } from "@troupe/testing"
import { Cause, Effect, Either, Exit, Fiber, Layer, Option, Ref, Schema, TestClock } from "effect"
import { append, backend, connect, Lab, labLive, layerOutside, Oops, Probe, run, settle } from "./support/lab.ts"

const address = Address.make("Lab", "main")

/** An actor that passes on what it is asked to labs of its own key. */
class Relay extends Actor.Tag<Relay>()("Relay", {
  rpcs: RpcGroup.make(Rpc.make("Ping")),
  internal: RpcGroup.make(
    Rpc.make("Forward", { payload: { item: Schema.String }, success: Schema.Number }),
    Rpc.make("Sum", { success: Schema.Number })
  )
}) {}

const relayLive = Relay.toLayer({ state: Schema.Number, initialState: () => 0 }, (relay) =>
  Effect.gen(function*() {
    // the implementation of labs is looked up when a call is made: it may come later, and does here
    const labs = yield* Lab.client
    const relays = yield* Relay.client
    const own = labs.get(relay.key)
    return relay.behavior({
      rpcs: { Ping: () => Effect.void },
      internal: {
        Forward: ({ item }) =>
          Effect.gen(function*() {
            yield* Ref.update(relay.state, (n) => n + 1)
            const count = yield* Effect.orDie(own.Add({ item }))
            yield* Ref.update(relay.state, (n) => n + 1)
            if (item === "poison") return yield* Effect.dieMessage("poison")
            return count
          }),
        Sum: () =>
          Effect.orDie(Effect.gen(function*() {
            const other = relay.key === "main" ? yield* relays.get("second").Sum() : 0
            return other + (yield* own.Count()) + (yield* Ref.get(relay.state))
          }))
      }
    })
  }))

const defectOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined

it.effect("B1 a backend calls internal rpcs: success, typed failure and defect", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    probe.internals.succeeds = (room) => Effect.as(append(room, "x"), "yes")
    probe.internals.fails = () => new Oops({ code: 7 })
    probe.internals.dies = () => Effect.die(new Error("secret detail"))
    probe.internals.throws = () => {
      throw new Error("secret detail")
    }
    for (const key of ["main", "other", "main"]) {
      const { Count, Script } = labs.get(key)
      const before = yield* Count()
      assert.strictEqual(yield* Script({ script: "succeeds" }), "yes")
      const error = yield* Effect.flip(Script({ script: "fails" }))
      assert.instanceOf(error, Oops)
      assert.deepStrictEqual(error, new Oops({ code: 7 }))
      for (const script of ["dies", "throws"]) {
        const defect = defectOf(yield* Effect.exit(Script({ script })))
        assert.instanceOf(defect, ServerDefect.ServerDefect)
        const { id, message } = defect as ServerDefect.ServerDefect
        assert.notInclude(message, "secret")
        assert.include(probe.logs.find((log) => log.defect === id)?.cause ?? "", "secret detail")
      }
      assert.strictEqual(yield* Count(), before + 1)
    }
  })))

it.effect("B1 a payload that does not fit its schema is the caller's defect: the actor sees none of it", () =>
  run(Effect.gen(function*() {
    const { Add, Count } = yield* backend
    const defect = defectOf(yield* Effect.exit(Add({ item: 1 as never })))
    assert.include(String(defect), "does not encode")
    assert.strictEqual(yield* Count(), 0)
  })))

it.effect("B1 a backend and clients see the same actor, and its events", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    const { Add, Clear, Count, Script } = yield* backend
    yield* ann.rpc.Append({ item: "a" })
    assert.strictEqual(yield* Add({ item: "b" }), 2)
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["a", "b"])
    yield* Clear()
    assert.strictEqual(yield* Count(), 0)
    // there is no caller in an internal rpc
    probe.internals.caller = (room) => Effect.as(room.caller as Effect.Effect<unknown>, "somebody")
    assert.isDefined(defectOf(yield* Effect.exit(Script({ script: "caller" }))))
  })))

it.effect("B3 calls of a backend run in the order they were made", () =>
  run(Effect.gen(function*() {
    const { Add } = yield* backend
    const order = Array.from({ length: 50 }, (_, i) => i + 1)
    assert.deepStrictEqual(
      yield* Effect.forEach(order, (n) => Add({ item: String(n) }), { concurrency: "unbounded" }),
      order
    )
    assert.strictEqual(yield* Add({ item: "last" }, { discard: true }), undefined as never)
    yield* settle
    const ann = yield* connect("ann")
    assert.deepStrictEqual(yield* ann.rpc.Items(), [...order.map(String), "last"])
  })))

it.effect("B4 interrupting a backend's call interrupts its handler, or removes it from the queue", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Count, Script } = yield* backend
    probe.internals.slow = (room) =>
      probe.note("runs").pipe(
        Effect.zipRight(append(room, "x")),
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => probe.note("interrupted"))
      )
    for (const times of [1, 2]) {
      const running = yield* Effect.fork(Script({ script: "slow" }))
      yield* probe.seen("runs", times)
      const queued = yield* Effect.fork(Script({ script: "slow" }))
      const behind = yield* Effect.fork(Count())
      yield* settle
      yield* Fiber.interrupt(queued)
      yield* Fiber.interrupt(running)
      yield* probe.seen("interrupted", times)
      assert.strictEqual(yield* Fiber.join(behind), 0)
      assert.strictEqual(probe.count("runs"), times)
    }
  })))

it.effect("B8 a mailbox that is full refuses with ActorOverloaded, which names its capacity; others are not hit", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { Count, Script } = yield* backend
      const ann = yield* connect("ann")
      probe.internals.slow = () => Effect.as(Effect.zipRight(probe.note("runs"), probe.wait("go")), "done")
      probe.internals.never = () => Effect.zipRight(probe.note("runs"), Effect.never)
      for (const script of ["never", "slow"]) {
        const calls = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Script({ script })))
        yield* settle
        for (const _ of [1, 2]) {
          const error = yield* Effect.flip(Count())
          assert.deepStrictEqual(error, new ActorError.ActorOverloaded({ address, capacity: 3 }))
          assert.include(error.message, "Lab/main")
          assert.include(error.message, "3")
        }
        // other actors, and clients with credit, are not refused
        assert.strictEqual(yield* (yield* Lab).get("other").Count(), 0)
        const append = yield* Effect.fork(ann.rpc.Append({ item: "x" }))
        yield* settle
        if (script === "never") yield* Effect.forEach(calls, Fiber.interrupt)
        else yield* probe.open("go")
        yield* Fiber.join(append)
        yield* settle
        assert.isNumber(yield* Count())
      }
    }),
    { host: { mailboxMax: 3 } }
  ))

it.effect("backend use: a call that gets no answer ends with CallTimeout after exactly the configured time", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { Count, Script } = yield* backend
      probe.internals.never = (room) =>
        probe.note("runs").pipe(
          Effect.zipRight(append(room, "x")),
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() => probe.note("interrupted"))
        )
      for (const times of [1, 2]) {
        const running = yield* Effect.fork(Effect.flip(Script({ script: "never" })))
        yield* probe.seen("runs", times)
        yield* TestClock.adjust("1 seconds")
        const queued = yield* Effect.fork(Effect.either(Count()))
        yield* TestClock.adjust("3999 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(running)))
        assert.isTrue(Option.isNone(yield* Fiber.poll(queued)))
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(running)
        assert.deepStrictEqual(error, new ActorError.CallTimeout({ address, afterMillis: 5000 }))
        yield* probe.seen("interrupted", times)
        // the handler is gone, its changes too, and the queue goes on
        assert.deepStrictEqual(yield* Fiber.join(queued), Either.right(0))
      }
    }),
    { host: { callTimeout: "5 seconds" } }
  ))

it.effect("backend use: a queued call that times out never runs", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const ann = yield* connect("ann")
      const { Add } = yield* backend
      probe.scripts.slow = () => Effect.as(Effect.zipRight(probe.note("runs"), probe.wait("go")), "done")
      const slow = yield* Effect.fork(ann.rpc.Run({ script: "slow" }))
      yield* probe.seen("runs")
      const adding = yield* Effect.fork(Effect.flip(Add({ item: "late" })))
      yield* TestClock.adjust("5 seconds")
      assert.instanceOf(yield* Fiber.join(adding), ActorError.CallTimeout)
      yield* probe.open("go")
      yield* Fiber.join(slow)
      assert.deepStrictEqual(yield* ann.rpc.Items(), [])
    }),
    { host: { callTimeout: "5 seconds" } }
  ))

it.effect("L1 calls of a backend end with ActorUnavailable when the activation is lost, and work again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    const { Add, Count, Script } = yield* backend
    probe.internals.never = () => Effect.zipRight(probe.note("runs"), Effect.never)
    for (const times of [1, 2]) {
      yield* store.hold
      const adding = yield* Effect.fork(Effect.flip(Add({ item: "lost" })))
      yield* store.waiting
      const running = yield* Effect.fork(Effect.flip(Script({ script: "never" })))
      yield* probe.seen("runs", times)
      const queued = yield* Effect.fork(Effect.flip(Count()))
      yield* settle
      yield* store.fail("before")
      yield* store.release
      for (const error of [yield* Fiber.join(adding), yield* Fiber.join(running), yield* Fiber.join(queued)]) {
        assert.instanceOf(error, ActorError.ActorUnavailable)
        const { address: where, defectId } = error as ActorError.ActorUnavailable
        assert.deepStrictEqual(where, address)
        assert.isTrue(probe.logs.some((log) => log.defect === defectId), `no log for ${defectId}`)
      }
      assert.strictEqual(yield* Count(), 0)
    }
  })))

it.effect("L1 an actor that nobody implements is unavailable", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab.client
    const error = yield* Effect.flip(labs.get("main").Count())
    assert.instanceOf(error, ActorError.ActorUnavailable)
    assert.isTrue(probe.logs.some(({ cause }) => cause.includes("nobody implements Lab")))
  }).pipe(Effect.provide(ActorHost.layer().pipe(Layer.provideMerge(layerOutside)))))

const withRelay = <A, E>(body: Effect.Effect<A, E, Lab | Relay | Probe | TestStore.TestStore>) =>
  body.pipe(Effect.provide(
    labLive().pipe(
      // the relay is built first: nothing of the labs is there yet
      Layer.provideMerge(relayLive),
      Layer.provideMerge(ActorHost.layer()),
      Layer.provideMerge(layerOutside)
    )
  ))

it.effect("B1 an actor calls another one through its contract's client", () =>
  withRelay(Effect.gen(function*() {
    const relays = yield* Relay
    const labs = yield* Lab
    for (const times of [1, 2]) {
      assert.strictEqual(yield* relays.get("main").Forward({ item: "x" }), times)
      assert.strictEqual(yield* relays.get("second").Forward({ item: "y" }), times)
    }
    assert.strictEqual(yield* labs.get("main").Count(), 2)
    assert.strictEqual(yield* relays.get("second").Sum(), 6)
    assert.strictEqual(yield* relays.get("main").Sum(), 12)
  })))

it.effect("T1 a call to another actor stands, also if the turn that made it fails", () =>
  withRelay(Effect.gen(function*() {
    const relays = yield* Relay
    const labs = yield* Lab
    for (const times of [1, 2]) {
      assert.isTrue(Exit.isFailure(yield* Effect.exit(relays.get("second").Forward({ item: "poison" }))))
      assert.strictEqual(yield* labs.get("second").Count(), times)
      // the relay's own changes are dropped
      assert.strictEqual(yield* relays.get("second").Sum(), times)
    }
  })))

it.effect("T2 a call to another actor waits for the commits of the turns before it", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    const labs = yield* Lab
    const ann = yield* connect("ann")
    yield* ann.rpc.Append({ item: "first" })
    probe.scripts.forward = (room) =>
      Effect.gen(function*() {
        const { items } = yield* Ref.get(room.state)
        yield* probe.note("forwards")
        return String(yield* Effect.orDie(labs.get("other").Add({ item: items.join() })))
      })
    for (const times of [1, 2]) {
      yield* store.hold
      const appending = yield* Effect.fork(ann.rpc.Append({ item: "second" }))
      yield* store.waiting
      const forwarding = yield* Effect.fork(ann.rpc.Run({ script: "forward" }))
      yield* probe.seen("forwards", times)
      yield* TestClock.adjust("1 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(forwarding)))
      assert.isFalse(store.asked.slice(-1).some((commit) => commit.address.key === "other"))
      if (times === 1) assert.strictEqual(probe.count("build other"), 0)
      yield* store.release
      yield* Fiber.join(appending)
      assert.strictEqual(yield* Fiber.join(forwarding), String(times))
    }
  })))

it.effect("T2 what is not durable is not told to another actor: the turn is lost with its activation", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    const labs = yield* Lab
    const { Add, Script } = yield* backend
    probe.internals.forward = () =>
      Effect.zipRight(probe.note("forwards"), Effect.orDie(Effect.map(labs.get("other").Add({ item: "x" }), String)))
    yield* store.hold
    const adding = yield* Effect.fork(Effect.flip(Add({ item: "lost" })))
    yield* store.waiting
    const forwarding = yield* Effect.fork(Effect.flip(Script({ script: "forward" })))
    yield* probe.seen("forwards")
    yield* settle
    yield* store.fail("before")
    yield* store.release
    assert.instanceOf(yield* Fiber.join(adding), ActorError.ActorUnavailable)
    assert.instanceOf(yield* Fiber.join(forwarding), ActorError.ActorUnavailable)
    yield* settle
    assert.strictEqual(probe.count("build other"), 0)
    assert.strictEqual(yield* labs.get("other").Count(), 0)
  })))
