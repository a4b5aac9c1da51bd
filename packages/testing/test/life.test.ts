import { assert, it } from "@effect/vitest"
import { ActorError, ConnectionError } from "@troupe/contract"
import { MemoryTransport, TestStore } from "@troupe/testing"
import { Duration, Effect, Exit, Fiber, Option, Scope, Stream, TestClock } from "effect"
import { append, backend, connect, Lab, pass, Probe, run, settle } from "./support/lab.ts"

it.effect("L1 an actor wakes at its first use, and build runs once for each activation", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Count } = yield* backend
    yield* settle
    assert.deepStrictEqual(probe.notes, [])
    for (const times of [1, 2, 3]) {
      yield* Count()
      const ann = yield* Effect.scoped(connect("ann"))
      assert.isDefined(ann)
      yield* Count()
      assert.strictEqual(probe.count("build main"), times)
      yield* settle
      yield* TestClock.adjust("30 seconds")
      yield* probe.seen("sleep main", times)
    }
  })))

it.effect("L1 50 first uses at the same time run build once", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    probe.hooks.build = (room) => Effect.zipRight(probe.wait(`built ${room.key}`), append(room, "built"))
    for (const key of ["one", "two"]) {
      const uses = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => i),
        (i) => {
          const connected = Effect.flatMap(connect(`client ${i}`, { key }), ({ rpc }) => rpc.Items())
          return Effect.fork(
            i % 2 === 0 ? Effect.orDie(labs.get(key).Count()) : Effect.map(connected, ({ length }) => length)
          )
        }
      )
      yield* settle
      assert.strictEqual(probe.count(`build ${key}`), 1)
      yield* probe.open(`built ${key}`)
      assert.deepStrictEqual(yield* Effect.forEach(uses, Fiber.join), Array.from({ length: 50 }, () => 1))
      assert.strictEqual(probe.count(`build ${key}`), 1)
    }
  })))

it.effect("L1 uses of a failing build share its failure, and the next use tries again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    probe.hooks.build = () =>
      probe.wait("fail").pipe(
        Effect.zipRight(Effect.addFinalizer(() => probe.note("released"))),
        Effect.zipRight(Effect.fail("no database"))
      )
    const uses = yield* Effect.forEach(
      Array.from({ length: 50 }),
      () => Effect.fork(Effect.flip(labs.get("main").Count()))
    )
    yield* settle
    yield* probe.open("fail")
    const errors = yield* Effect.forEach(uses, Fiber.join)
    for (const error of errors) assert.instanceOf(error, ActorError.ActorUnavailable)
    assert.strictEqual(probe.count("build main"), 1)
    assert.strictEqual(probe.count("released"), 1)
    const [first] = errors as [ActorError.ActorUnavailable]
    assert.strictEqual(first.address.toString(), "Lab/main")
    const [log] = probe.logs.filter(({ defect }) => defect === first.defectId)
    assert.include(log?.message ?? "", "Lab/main")
    assert.include(log?.cause ?? "", "no database")
  })))

it.effect("L1 a failing or dying build is typed for backends and clients, releases what it acquired, and is tried again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Count } = yield* backend
    const failures = [
      Effect.fail("no database"),
      Effect.die(new Error("a bug")),
      Effect.interrupt,
      Effect.zipRight(Effect.yieldNow(), Effect.fail("later"))
    ]
    let builds = 0
    for (const failure of [...failures, ...failures]) {
      probe.hooks.build = () => failure
      assert.instanceOf(yield* Effect.flip(Count()), ActorError.ActorUnavailable)
      const refused = yield* Effect.flip(connect("ann"))
      assert.instanceOf(refused, ConnectionError.ConnectionClosed)
      const { reason } = refused as ConnectionError.ConnectionClosed
      assert.strictEqual(reason._tag, "Unavailable")
      builds += 2
      assert.strictEqual(probe.count("build main"), builds)
      assert.strictEqual(probe.count("sleep main"), builds)
    }
    probe.hooks.build = () => Effect.void
    assert.strictEqual(yield* Count(), 0)
    const ann = yield* connect("ann")
    assert.strictEqual(yield* ann.rpc.Append({ item: "x" }), 1)
    assert.strictEqual(probe.count("build main"), builds + 1)
  })))

it.effect("L1 an activation that is lost when its build has just ended is not kept", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    const { fail, hold, release, waiting } = yield* TestStore.TestStore
    // a fiber yields after 2048 steps: wherever that is behind the build, it lets the commit of it fail there
    for (let steps = 1950; steps < 2060; steps++) {
      const { Count } = labs.get(`${steps}`)
      probe.hooks.build = (room) =>
        Effect.gen(function*() {
          probe.hooks.build = () => Effect.void
          yield* Effect.forkScoped(append(room, "x"))
          yield* waiting
          yield* Effect.yieldNow()
          yield* Effect.zipRight(fail("before"), release)
          for (let step = 0; step < steps; step++) yield* Effect.sync(() => {})
        })
      yield* hold
      yield* Effect.exit(Count())
      yield* settle
      assert.strictEqual(yield* Count(), 0, `${steps} steps`)
    }
  })))

for (const interruptible of [true, false]) {
  it.effect(`L1 a build that does not end is given up after a while, ${interruptible ? "and interrupted" : "also where it cannot be interrupted"}`, () =>
    run(
      Effect.gen(function*() {
        const probe = yield* Probe
        const { Count } = yield* backend
        const hang = probe.wait("hung")
        yield* Effect.addFinalizer(() => probe.open("hung"))
        probe.hooks.build = () =>
          Effect.zipRight(interruptible ? hang : Effect.uninterruptible(hang), probe.note("has gone on"))
        const counting = yield* Effect.fork(Effect.flip(Count()))
        const connecting = yield* Effect.fork(Effect.flip(Effect.scoped(connect("ann"))))
        yield* pass("19 seconds")
        assert.isNull(counting.unsafePoll())
        probe.hooks.build = () => Effect.void
        yield* pass("2 seconds")
        assert.isNotNull(counting.unsafePoll())
        const { defectId } = (yield* Fiber.join(counting)) as ActorError.ActorUnavailable
        assert.deepInclude(yield* Fiber.join(connecting), { reason: { _tag: "Unavailable", defectId } })
        const log = probe.logs.find(({ defect }) => defect === defectId)
        assert.include(log?.cause, "its build took more than 20000 ms")
        // the next use finds the next activation, and the first one lets go as soon as it can
        assert.strictEqual(yield* Count(), 0)
        assert.strictEqual(probe.count("sleep main"), interruptible ? 1 : 0)
        yield* probe.open("hung")
        yield* settle
        assert.strictEqual(probe.count("sleep main"), 1)
        assert.strictEqual(probe.count("has gone on"), 0)
        assert.strictEqual(probe.count("build main"), 2)
        assert.strictEqual(yield* Count(), 0)
      }),
      { host: { buildTimeout: "20 seconds" } }
    ))
}

it.effect("L6 a memory actor that was only woken for somebody who is refused leaves nothing behind", () => {
  let begun = 0
  const initialState = () => ({ items: [`${++begun}`] })
  return run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { Add } = yield* backend
      const slept = Effect.gen(function*() {
        yield* settle
        yield* TestClock.adjust("30 seconds")
        yield* settle
      })
      const refused = Effect.zipRight(Effect.flip(connect("mallory")), slept)
      probe.hooks.onBeforeConnect = () => Effect.die("a stranger")
      for (const times of [1, 2]) {
        yield* refused
        assert.deepStrictEqual([begun, probe.count("sleep main")], [times, times], "it begins anew")
      }
      // and what it has is kept, whoever wakes it
      assert.strictEqual(yield* Add({ item: "x" }), 2)
      yield* slept
      yield* refused
      assert.strictEqual(yield* Add({ item: "y" }), 3)
      assert.strictEqual(begun, 3)
    }),
    { durability: "memory", initialState }
  )
})

it.effect("L1 build runs in the activation's scope: what it started ends when the actor sleeps", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Count } = yield* backend
    probe.hooks.build = () =>
      Effect.asVoid(Effect.forkScoped(Effect.onInterrupt(Effect.never, () => probe.note("background ended"))))
    for (const times of [1, 2]) {
      yield* Count()
      yield* settle
      assert.strictEqual(probe.count("background ended"), times - 1)
      yield* TestClock.adjust("30 seconds")
      yield* probe.seen("background ended", times)
      yield* probe.seen("sleep main", times)
    }
  })))

it.effect("L2 an actor sleeps exactly its idle timeout after its last use", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Add, Count } = yield* backend
    for (const times of [1, 2]) {
      yield* Add({ item: "x" })
      yield* settle
      yield* TestClock.adjust("29999 millis")
      yield* settle
      assert.strictEqual(probe.count("sleep main"), times - 1)
      // a use starts it anew
      assert.strictEqual(yield* Count(), times)
      yield* settle
      yield* TestClock.adjust("29999 millis")
      yield* settle
      assert.strictEqual(probe.count("sleep main"), times - 1)
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.strictEqual(probe.count("sleep main"), times)
    }
    // nothing is left that could put it to sleep twice
    yield* TestClock.adjust("10 minutes")
    assert.strictEqual(probe.count("sleep main"), 2)
  })))

it.effect("L2 a turn of a background fiber starts the idle timeout anew", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Count } = yield* backend
    probe.hooks.build = (room) =>
      Effect.asVoid(Effect.forkScoped(Effect.zipRight(Effect.sleep("10 seconds"), append(room, "x"))))
    for (const times of [1, 2]) {
      assert.strictEqual(yield* Count(), times - 1)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* settle
      yield* TestClock.adjust("29999 millis")
      yield* settle
      assert.strictEqual(probe.count("sleep main"), times - 1)
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.strictEqual(probe.count("sleep main"), times)
    }
  })))

it.effect("L2 the idle timeout is an option of the host, and of the implementation", () =>
  Effect.gen(function*() {
    const sleepsAfter = (millis: number) =>
      Effect.gen(function*() {
        const probe = yield* Probe
        yield* (yield* backend).Count()
        yield* settle
        yield* TestClock.adjust(millis - 1)
        yield* settle
        assert.strictEqual(probe.count("sleep main"), 0)
        yield* TestClock.adjust(1)
        yield* settle
        assert.strictEqual(probe.count("sleep main"), 1)
      })
    yield* run(sleepsAfter(5000), { host: { idleTimeout: "5 seconds" } })
    yield* run(sleepsAfter(60_000), { host: { idleTimeout: "5 seconds" }, idleTimeout: "1 minute" })
  }))

it.effect("L2 without an idle timeout an actor leaves as soon as nobody needs it, and comes back for each call", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { Add, Count } = yield* backend
      for (const times of [1, 2, 3]) {
        assert.strictEqual(yield* Add({ item: `${times}` }), times)
        assert.strictEqual(yield* Count(), times)
        yield* settle
        yield* TestClock.adjust("1 millis")
        yield* settle
        assert.strictEqual(probe.count("sleep main"), times)
      }
    }),
    { host: { idleTimeout: 0 } }
  ))

it.effect("L2 an infinite idle timeout and resume window are as good as none", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const network = yield* MemoryTransport.MemoryNetwork
      const connecting = yield* Effect.fork(connect("ann"))
      yield* settle
      assert.isTrue(Option.isSome(yield* Fiber.poll(connecting)))
      const ann = yield* Fiber.join(connecting)
      assert.strictEqual(yield* ann.rpc.Append({ item: "x" }), 1)
      yield* network.setReachability("refused")
      yield* network.cut
      yield* TestClock.adjust("10 minutes")
      yield* network.setReachability("reachable")
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* ann.rpc.Items(), ["x"])
      assert.strictEqual(probe.count("sleep main"), 0)
    }),
    { host: { idleTimeout: Duration.infinity, resumeWindow: Duration.infinity } }
  ))

it.effect("L2 an actor does not sleep while somebody is connected, also while the link is away", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const network = yield* MemoryTransport.MemoryNetwork
      for (const times of [1, 2]) {
        const scope = yield* Scope.make()
        const ann = yield* Scope.extend(connect("ann"), scope)
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(probe.count("sleep main"), times - 1)
        assert.strictEqual((yield* ann.rpc.Me()).visits, 1)
        yield* network.setReachability("refused")
        yield* network.cut
        yield* TestClock.adjust("110 seconds")
        assert.strictEqual(probe.count("sleep main"), times - 1)
        yield* network.setReachability("reachable")
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* ann.rpc.Me()).visits, 2)
        yield* Scope.close(scope, Exit.void)
        yield* settle
        yield* TestClock.adjust("29999 millis")
        yield* settle
        assert.strictEqual(probe.count("sleep main"), times - 1)
        yield* TestClock.adjust("1 millis")
        yield* settle
        assert.strictEqual(probe.count("sleep main"), times)
      }
    }),
    { host: { resumeWindow: "5 minutes" } }
  ))

it.effect("L2 an actor does not sleep while a call runs, a hook runs, or a commit is on its way", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const store = yield* TestStore.TestStore
      const { Add, Script } = yield* backend
      probe.internals.slow = () => Effect.as(Effect.zipRight(probe.note("slow runs"), probe.wait("slow")), "done")
      const slow = yield* Effect.fork(Script({ script: "slow" }))
      yield* probe.seen("slow runs")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(probe.count("sleep main"), 0)
      yield* probe.open("slow")
      assert.strictEqual(yield* Fiber.join(slow), "done")

      probe.hooks.onBeforeConnect = (_, { params }) =>
        Effect.as(Effect.zipRight(probe.note("preflight"), probe.wait("preflight")), { name: params.name, visits: 0 })
      const scope = yield* Scope.make()
      const connecting = yield* Effect.fork(Scope.extend(connect("ann"), scope))
      yield* probe.seen("preflight")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(probe.count("sleep main"), 0)
      yield* probe.open("preflight")
      yield* Fiber.join(connecting)
      yield* Scope.close(scope, Exit.void)
      yield* settle

      yield* store.hold
      const adding = yield* Effect.fork(Add({ item: "x" }))
      yield* store.waiting
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(probe.count("sleep main"), 0)
      yield* store.release
      yield* Fiber.join(adding)
      yield* settle
      yield* TestClock.adjust("30 seconds")
      yield* probe.seen("sleep main")
    }),
    { host: { callTimeout: "1 hours", connectTimeout: "1 hours" } }
  ))

it.effect("L2 a use that comes while the actor goes to sleep waits, and wakes it again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Add, Count } = yield* backend
    probe.hooks.build = (room) =>
      Effect.addFinalizer(() =>
        probe.note("leaving").pipe(
          Effect.zipRight(probe.wait("leave")),
          Effect.zipRight(append(room, "last words")),
          Effect.zipRight(probe.note("left"))
        )
      )
    yield* Add({ item: "x" })
    yield* settle
    yield* TestClock.adjust("30 seconds")
    yield* probe.seen("leaving")
    const counting = yield* Effect.fork(Count())
    const connecting = yield* Effect.fork(connect("ann"))
    yield* settle
    assert.strictEqual(probe.count("build main"), 1)
    assert.isTrue(Option.isNone(yield* Fiber.poll(counting)))
    yield* probe.open("leave")
    assert.strictEqual(yield* Fiber.join(counting), 2)
    const ann = yield* Fiber.join(connecting)
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["x", "last words"])
    assert.strictEqual(probe.count("build main"), 2)
    assert.strictEqual(probe.count("left"), 1)
  })))

it.effect("L2 sleep and wake one actor, and no other", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    yield* labs.get("a").Add({ item: "a" })
    yield* settle
    yield* TestClock.adjust("10 seconds")
    yield* labs.get("b").Add({ item: "b" })
    yield* settle
    yield* TestClock.adjust("20 seconds")
    yield* settle
    assert.deepStrictEqual(probe.notes, ["build a", "build b", "sleep a"])
    yield* TestClock.adjust("10 seconds")
    yield* settle
    assert.deepStrictEqual(probe.notes, ["build a", "build b", "sleep a", "sleep b"])
    assert.strictEqual(yield* labs.get("a").Add({ item: "a" }), 2)
    assert.strictEqual(yield* labs.get("b").Count(), 1)
  })))

for (const durability of ["memory", "commit", "fsync"] as const) {
  it.effect(`L2 state of durability ${durability} survives sleep`, () =>
    run(
      Effect.gen(function*() {
        const probe = yield* Probe
        const store = yield* TestStore.TestStore
        const { Count } = yield* backend
        for (const times of [1, 2, 3]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const ann = yield* connect("ann", { events: ["appended"] })
            assert.strictEqual(yield* ann.rpc.Append({ item: "x" }), times)
            assert.deepStrictEqual(yield* Stream.runHead(yield* ann.events("appended")), Option.some({ item: "x" }))
          }))
          yield* settle
          yield* TestClock.adjust("30 seconds")
          yield* probe.seen("sleep main", times)
        }
        assert.strictEqual(yield* Count(), 3)
        if (durability === "memory") assert.deepStrictEqual(store.asked, [])
        else assert.deepStrictEqual(new Set(store.asked.map(({ fsync }) => fsync)), new Set([durability === "fsync"]))
      }),
      { durability }
    ))
}

it.effect("L2 a connection id is never used again, also after sleep", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ids: Array<number> = []
    for (const times of [1, 2, 3]) {
      for (const _ of [1, 2]) {
        yield* Effect.scoped(
          Effect.flatMap(connect("ann"), ({ rpc }) => Effect.map(rpc.Me(), ({ id }) => ids.push(id)))
        )
      }
      yield* settle
      yield* TestClock.adjust("30 seconds")
      yield* probe.seen("sleep main", times)
    }
    assert.strictEqual(new Set(ids).size, 6)
    assert.isTrue(ids.every(Number.isSafeInteger))
  })))

it.effect("L2 initialState is given the key, and is asked only while nothing is stored", () => {
  const keys: Array<string> = []
  return run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const labs = yield* Lab
      assert.strictEqual(yield* labs.get("a").Count(), 1)
      yield* labs.get("a").Add({ item: "x" })
      yield* settle
      yield* TestClock.adjust("30 seconds")
      yield* probe.seen("sleep a")
      assert.strictEqual(yield* labs.get("a").Count(), 2)
      assert.deepStrictEqual(keys, ["a"])
    }),
    {
      initialState: (key) => {
        keys.push(key)
        return { items: [key] }
      }
    }
  )
})
