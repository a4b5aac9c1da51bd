/** Odd moments: what comes together that seldom does, and must not lose an alarm, an actor or a call. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, Address } from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { MemoryTransport, TestStore } from "@troupe/testing"
import { Cause, type Duration, Effect, Either, Exit, Fiber, Layer, Ref, Schedule, Schema, TestClock } from "effect"
import {
  append,
  backend,
  connect,
  Lab,
  labLive,
  type LabRoom,
  layerOutside,
  life,
  pass,
  Probe,
  run,
  settle
} from "./support/lab.ts"

const address = Address.make("Lab", "main")

/** The scripts `ring`, which leaves an item, and `set`, which sets it as an alarm. */
const ringing = Effect.gen(function*() {
  const probe = yield* Probe
  probe.internals["ring"] = (room) =>
    Effect.as(Effect.zipRight(probe.note(`ring ${room.key}`), append(room, "rung")), "rung")
  const setting = (after: Duration.DurationInput) => (room: LabRoom) =>
    Effect.as(room.alarm(after, "Script", { script: "ring" }), "set")
  return { probe, setting }
})

it.effect("L3 an alarm that is committed while the clock looks for others is not passed over", () =>
  run(Effect.gen(function*() {
    const { probe, setting } = yield* ringing
    const control = yield* TestStore.TestStore
    const labs = yield* Lab
    probe.internals["later"] = setting("1 minute")
    probe.internals["now"] = setting(0)
    for (const round of [1, 2]) {
      yield* labs.get("z").Script({ script: "later" })
      // what was read does not hold this one, which is due at the same time and comes before it
      yield* control.onAlarms(Effect.suspend(() => {
        return Effect.zipRight(
          control.onAlarms(Effect.void),
          Effect.asVoid(Effect.orDie(labs.get("a").Script({ script: "now" })))
        )
      }))
      yield* pass("1 minute")
      yield* pass("1 minute")
      assert.deepStrictEqual([probe.count("ring z"), probe.count("ring a")], [round, round])
    }
  })))

it.effect("L3 a look for alarms that dies is repeated", () =>
  run(Effect.gen(function*() {
    const { probe, setting } = yield* ringing
    const control = yield* TestStore.TestStore
    const labs = yield* Lab
    probe.internals["set"] = setting("1 minute")
    for (const round of [1, 2]) {
      yield* labs.get("main").Script({ script: "set" })
      yield* control.onAlarms(Effect.zipRight(control.onAlarms(Effect.void), Effect.die("broken")))
      yield* pass("1 minute")
      yield* pass("1 minute")
      assert.strictEqual(probe.count("ring main"), round)
    }
  })))

it.effect("L4 an actor that ends while it is being built is unavailable, and the next use begins anew", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Count } = yield* backend
    for (const round of [1, 2]) {
      probe.hooks.build = (room) => room.destroy
      assert.deepInclude(yield* Effect.flip(Count()), { _tag: "ActorUnavailable" })
      probe.hooks.build = () => Effect.void
      assert.strictEqual(yield* Count(), 0, `${round}`)
      assert.strictEqual(probe.count("build main"), 2 * round)
      yield* pass("1 minute")
      assert.strictEqual(probe.count("sleep main"), 2 * round)
    }
  })))

it.effect("T4 an activation that is lost while it is being built is not used", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const { Count } = yield* backend
    for (const round of [1, 2]) {
      probe.hooks.build = (room) =>
        Effect.zipRight(Effect.forkScoped(append(room, "background")), probe.wait(`build ${round}`))
      yield* control.fail("before")
      const counting = yield* Effect.fork(Effect.flip(Count()))
      yield* settle
      yield* probe.open(`build ${round}`)
      assert.deepInclude(yield* Fiber.join(counting), { _tag: "ActorUnavailable" })
      probe.hooks.build = () => Effect.void
      assert.strictEqual(yield* Count(), 0)
      yield* pass("1 minute")
    }
  })))

it.effect("T2 room.committed does not return when what it waits for has been lost", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const { Script } = yield* backend
    for (const when of ["before", "after"] as const) {
      const charge = (room: LabRoom) =>
        room.committed.pipe(
          Effect.zipRight(probe.note("charged")),
          Effect.onExit((exit) => probe.note(Exit.isInterrupted(exit) ? `given up ${when}` : "returned"))
        )
      probe.internals["daemon"] = (room) =>
        append(room, "x").pipe(
          Effect.zipRight(Effect.forkDaemon(Effect.zipRight(probe.wait(when), charge(room)))),
          Effect.as("forked")
        )
      yield* control.hold
      const call = yield* Effect.fork(Effect.exit(Script({ script: "daemon" })))
      yield* control.waiting
      yield* control.fail("before")
      if (when === "before") yield* Effect.zipRight(probe.open(when), settle)
      yield* control.release
      yield* Fiber.join(call)
      if (when === "after") yield* probe.open(when)
      yield* settle
      assert.strictEqual(probe.count("charged"), 0, when)
      assert.strictEqual(probe.count(`given up ${when}`), 1, when)
    }
  })))

it.effect("L7 a turn that was lost while it waited waits for nobody", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const labs = yield* Lab
    const call = (key: string) => Effect.orDie(labs.get(key).Add({ item: "x" }))
    probe.internals["call b"] = () => Effect.uninterruptible(Effect.as(call("b"), "called"))
    probe.internals["call a"] = () => Effect.as(call("a"), "called")
    for (const round of [1, 2]) {
      yield* control.hold
      const first = yield* Effect.fork(Effect.exit(labs.get("a").Add({ item: "y" })))
      yield* control.waiting
      const second = yield* Effect.fork(Effect.exit(labs.get("a").Script({ script: "call b" })))
      yield* settle
      yield* control.fail("before")
      yield* control.release
      assert.isTrue(Exit.isFailure(yield* Fiber.join(first)))
      assert.isTrue(Exit.isFailure(yield* Fiber.join(second)))
      assert.strictEqual(yield* labs.get("b").Script({ script: "call a" }), "called", `${round}`)
    }
  })))

it.effect("T3 a handler that interrupts itself has ended, and is not run again for the actor that waits", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    const ann = yield* connect("ann")
    probe.internals["give up"] = () => Effect.zipRight(probe.note("run"), Effect.interrupt)
    probe.scripts["call"] = (room) =>
      Effect.exit(labs.get("b").Script({ script: "give up" })).pipe(
        Effect.tap(append(room, "called")),
        Effect.map((exit) => Exit.isInterrupted(exit) ? "interrupted" : "not")
      )
    for (const round of [1, 2]) {
      const calling = yield* Effect.fork(ann.rpc.Run({ script: "call" }))
      yield* pass("1 second")
      assert.strictEqual(probe.count("run"), round)
      assert.strictEqual(yield* Fiber.join(calling), "interrupted")
    }
  })))

it.effect("L3 a memory actor whose build fails keeps its state and its alarms", () =>
  run(
    Effect.gen(function*() {
      const { probe, setting } = yield* ringing
      const { Add, Count, Script } = yield* backend
      probe.internals["set"] = setting("1 hour")
      let items = 0
      for (const round of [1, 2]) {
        yield* Add({ item: "x" })
        yield* Script({ script: "set" })
        yield* pass("10 minutes")
        probe.hooks.build = () => Effect.fail("no database")
        assert.deepInclude(yield* Effect.flip(Count()), { _tag: "ActorUnavailable" })
        probe.hooks.build = () => Effect.void
        assert.strictEqual(yield* Count(), items + 1)
        yield* pass("1 hour")
        assert.strictEqual(probe.count("ring main"), round)
        items += 2
      }
    }),
    { durability: "memory" }
  ))

for (const durability of ["commit", "memory"] as const) {
  it.effect(`L4 an actor that ends while it leaves memory has ended [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const probe = yield* Probe
        const { Add, Count } = yield* backend
        for (const _ of [1, 2]) {
          probe.hooks.build = (room) => Effect.addFinalizer(() => room.destroy)
          yield* Add({ item: "x" })
          yield* pass("1 minute")
          probe.hooks.build = () => Effect.void
          assert.strictEqual(yield* Count(), 0)
          yield* pass("1 minute")
        }
      }),
      { durability }
    ))

  it.effect(`L4 a finalizer that hangs does not keep the address from its next life for long [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const probe = yield* Probe
        const { Count, Script } = yield* backend
        probe.internals["destroy"] = (room) => Effect.as(room.destroy, "destroyed")
        for (const round of [1, 2]) {
          probe.hooks.build = () => Effect.addFinalizer(() => Effect.never)
          yield* Script({ script: "destroy" })
          probe.hooks.build = () => Effect.void
          const counting = yield* Effect.fork(Count())
          yield* pass("15 seconds")
          assert.strictEqual(yield* Fiber.join(counting), 0, `${round}`)
          yield* pass("1 minute")
        }
      }),
      { durability }
    ))
}

it.effect("L4 who waited for a turn is told of the end when it is durable, and not of one that has not been", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const { Add, Script } = yield* backend
    for (const end of ["lost", "durable"] as const) {
      probe.internals["destroy"] = (room) => Effect.as(Effect.zipRight(probe.wait(end), room.destroy), "destroyed")
      yield* control.hold
      const destroying = yield* Effect.fork(Effect.exit(Script({ script: "destroy" })))
      yield* settle
      const adding = yield* Effect.fork(Effect.flip(Add({ item: "x" })))
      yield* settle
      yield* probe.open(end)
      yield* control.waiting
      yield* settle
      assert.strictEqual((yield* Fiber.poll(adding))._tag, "None", end)
      if (end === "lost") yield* control.fail("before")
      yield* control.release
      assert.strictEqual(Exit.isSuccess(yield* Fiber.join(destroying)), end === "durable")
      assert.deepInclude(
        yield* Fiber.join(adding),
        end === "durable" ? { _tag: "ActorDestroyed", sent: "no" } : { _tag: "ActorUnavailable" }
      )
    }
  })))

it.effect("T2 room.committed waits for what has ended so far, and not for what goes on", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const { Add, Script } = yield* backend
    probe.internals["daemon"] = (room) => {
      const background = Effect.zipRight(room.committed, probe.note("committed"))
      return Effect.as(Effect.zipRight(append(room, "x"), Effect.forkDaemon(background)), "forked")
    }
    for (const round of [1, 2]) {
      yield* control.hold
      const calls = [yield* Effect.fork(Script({ script: "daemon" }))]
      yield* settle
      // there is always another commit on its way
      for (const _ of [1, 2, 3]) {
        yield* Effect.fork(Add({ item: "y" }))
        yield* settle
        yield* control.releaseOne
        yield* settle
      }
      assert.strictEqual(probe.count("committed"), round)
      yield* control.release
      yield* Effect.forEach(calls, Fiber.join)
    }
  })))

it.effect("T3 what a call has done is found also when there is no room for another", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const control = yield* TestStore.TestStore
      const labs = yield* Lab
      const ann = yield* connect("ann")
      const b = labs.get("b")
      let runs = 0
      probe.scripts["call"] = (room) =>
        Effect.gen(function*() {
          if (runs % 2 === 1) yield* probe.wait(`again ${runs}`)
          const answer = yield* Effect.either(b.Add({ item: "x" }))
          if (++runs % 2 === 1) yield* control.fail("before")
          yield* append(room, "called")
          return Either.isRight(answer) ? `${answer.right}` : answer.left._tag
        })
      probe.internals["wait"] = () => Effect.suspend(() => Effect.as(probe.wait(`${runs}`), "waited"))
      for (const round of [1, 2]) {
        const calling = yield* Effect.fork(ann.rpc.Run({ script: "call" }))
        yield* settle
        assert.strictEqual(runs, 2 * round - 1)
        const waiting = yield* Effect.fork(b.Script({ script: "wait" }))
        yield* pass("1 second")
        yield* probe.open(`again ${2 * round - 1}`)
        assert.strictEqual(yield* Fiber.join(calling), `${round}`)
        assert.deepInclude(yield* Effect.flip(b.Count()), { _tag: "ActorOverloaded", capacity: 1 })
        yield* probe.open(`${2 * round - 1}`)
        yield* Fiber.join(waiting)
      }
    }),
    { host: { mailboxMax: 1 }, client: { schedule: Schedule.spaced("1 second") } }
  ))

it.effect("T3 a call that does not wait for its answer takes effect once too", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const control = yield* TestStore.TestStore
      const labs = yield* Lab
      const ann = yield* connect("ann")
      let runs = 0
      probe.scripts["tell"] = (room) =>
        Effect.gen(function*() {
          yield* Effect.orDie(labs.get("b").Add({ item: "x" }, { discard: true }))
          if (++runs % 2 === 1) yield* control.fail("before")
          yield* append(room, "told")
          return "told"
        })
      for (const round of [1, 2]) {
        const telling = yield* Effect.fork(ann.rpc.Run({ script: "tell" }))
        yield* settle
        yield* pass("1 second")
        assert.strictEqual(yield* Fiber.join(telling), "told")
        assert.strictEqual(runs, 2 * round)
        assert.strictEqual(yield* labs.get("b").Count(), round)
      }
      yield* pass("1 minute")
      assert.deepStrictEqual(yield* control.store.replies(Address.make("Lab", "b")), [], "and is forgotten")
    }),
    { client: { schedule: Schedule.spaced("1 second") } }
  ))

it.effect("T3 a turn that only makes calls it does not wait for is not run again", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const control = yield* TestStore.TestStore
      const network = yield* MemoryTransport.MemoryNetwork
      const labs = yield* Lab
      const ann = yield* connect("ann")
      const { Add } = yield* backend
      probe.scripts["tell"] = () =>
        probe.note("run").pipe(
          Effect.zipRight(probe.wait("tell")),
          Effect.zipRight(Effect.orDie(labs.get("b").Add({ item: "x" }, { discard: true }))),
          Effect.as("told")
        )
      for (const round of [1, 2]) {
        const telling = yield* Effect.fork(ann.rpc.Run({ script: "tell" }))
        yield* probe.seen("run", round)
        // its answer does not arrive
        yield* network.setReachability("refused")
        yield* network.cut
        yield* probe.open("tell")
        yield* settle
        // and where it was kept is lost
        yield* control.fail("before")
        assert.deepInclude(yield* Effect.flip(Add({ item: "lost" })), { _tag: "ActorUnavailable" })
        yield* network.setReachability("reachable")
        yield* pass("1 second")
        assert.strictEqual(yield* Fiber.join(telling), "told")
        assert.strictEqual(probe.count("run"), round)
        assert.strictEqual(yield* labs.get("b").Count(), round)
      }
    }),
    { client: { schedule: Schedule.spaced("1 second") } }
  ))

it.effect("L7 nobody waits for a call whose answer is not waited for", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    probe.internals["tell a"] = () =>
      Effect.orDie(labs.get("a").Add({ item: "x" }, { discard: true })).pipe(Effect.zipRight(settle), Effect.as("told"))
    probe.internals["ask b"] = () =>
      labs.get("b").Script({ script: "tell a" }).pipe(Effect.catchTag("Oops", Effect.die), Effect.orDie)
    for (const round of [1, 2]) {
      assert.strictEqual(yield* labs.get("a").Script({ script: "ask b" }), "told")
      yield* settle
      assert.strictEqual(yield* labs.get("a").Count(), round)
    }
  })))

it.effect("L7 the deadline of a call holds in a handler that cannot be interrupted", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    const ann = yield* connect("ann")
    probe.internals["hang"] = () => Effect.as(Effect.never, "hung")
    probe.scripts["ask"] = () =>
      Effect.uninterruptible(Effect.either(labs.get("b").Script({ script: "hang" }))).pipe(
        Effect.map((answer) => Either.isLeft(answer) ? answer.left._tag : answer.right)
      )
    for (const _ of [1, 2]) {
      const asking = yield* Effect.fork(ann.rpc.Run({ script: "ask" }))
      yield* pass("30 seconds")
      assert.strictEqual(yield* Fiber.join(asking), "CallTimeout")
      assert.strictEqual(yield* labs.get("b").Count(), 0)
    }
  })))

it.effect("L3 an alarm that has not learned how a call ended finds what it has done when it is tried again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const labs = yield* Lab
    probe.internals["set"] = (room) => Effect.as(room.alarm("1 second", "Script", { script: "call" }), "set")
    probe.internals["call"] = (room) =>
      labs.get("b").Script({ script: "slow" }).pipe(
        Effect.zipRight(append(room, "called")),
        Effect.orDie,
        Effect.as("called")
      )
    for (const round of [1, 2]) {
      probe.internals["slow"] = (room) =>
        Rpc.uninterruptible(
          Effect.as(Effect.zipRight(probe.wait(`slow ${round}`), append(room, "slow")), "slow")
        ) as never
      yield* labs.get("a").Script({ script: "set" })
      yield* pass("1 second")
      yield* pass("30 seconds")
      assert.lengthOf(probe.logs.filter(({ message }) => message.includes("the alarm Script has failed")), round)
      yield* probe.open(`slow ${round}`)
      assert.strictEqual(yield* labs.get("b").Count(), round, "it has ended, and nobody was told")
      yield* pass("10 seconds")
      assert.deepStrictEqual([yield* labs.get("a").Count(), yield* labs.get("b").Count()], [round, round])
    }
  })))

it.effect("T9 what an actor deletes when it goes to sleep is deleted before it is woken again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const { Count } = yield* backend
    for (const round of [1, 2]) {
      yield* Effect.scoped(Effect.flatMap(connect("ann"), ({ rpc }) => rpc.Append({ item: "x" })))
      yield* settle
      yield* control.hold
      yield* pass("30 seconds")
      yield* control.waiting
      const counting = yield* Effect.fork(Count())
      yield* settle
      assert.strictEqual(probe.count("build main"), 2 * round - 1)
      yield* control.release
      assert.strictEqual(yield* Fiber.join(counting), round)
      assert.deepStrictEqual(yield* control.store.replies(address), [])
      yield* pass("1 minute")
    }
    assert.isFalse(probe.logs.some(({ message }) => message.includes("lost")))
  })))

it.effect("L3 an alarm whose commit fails again and again is not fired in a hurry", () =>
  run(Effect.gen(function*() {
    const { probe, setting } = yield* ringing
    const control = yield* TestStore.TestStore
    const { Count, Script } = yield* backend
    probe.internals["set"] = setting("1 minute")
    for (const round of [1, 2]) {
      yield* Script({ script: "set" })
      const before = probe.count("ring main")
      yield* control.fail(...Array.from({ length: 1000 }, () => "failed" as const))
      yield* pass("1 minute")
      yield* Effect.repeatN(settle, 20)
      const atOnce = probe.count("ring main") - before
      assert.isAtLeast(atOnce, 1)
      assert.isAtMost(atOnce, 2)
      for (let i = 0; i < 60; i++) yield* pass("10 seconds")
      const inTenMinutes = probe.count("ring main") - before
      assert.isAtLeast(inTenMinutes, 20)
      assert.isAtMost(inTenMinutes, 60)
      yield* control.recover
      yield* pass("30 seconds")
      yield* pass("30 seconds")
      assert.strictEqual(yield* Count(), round)
    }
  })))

it.effect("T11 an alarm whose state does not encode is tried and parked, and other turns go on", () =>
  run(
    Effect.gen(function*() {
      const { probe } = yield* ringing
      const labs = yield* Lab
      const main = labs.get("main")
      const ann = yield* connect("ann")
      probe.internals["spoil"] = (room) => Effect.as(Ref.set(room.state, { items: [13 as never] }), "spoilt")
      probe.internals["set"] = (room) => Effect.as(room.alarm("1 minute", "Script", { script: "spoil" }), "set")
      for (const round of [1, 2]) {
        yield* main.Script({ script: "set" })
        const builds = probe.count("build main")
        for (let i = 0; i < 30; i++) yield* pass("10 seconds")
        assert.lengthOf(probe.logs.filter(({ message }) => message.includes("parked")), round)
        assert.isAtMost(probe.count("build main") - builds, 2, "the actor was lost once, to find out")
        assert.strictEqual(yield* ann.rpc.Append({ item: "x" }), round)
      }
    }),
    { host: { alarmRetriesMax: 3 }, client: { schedule: Schedule.spaced("1 second") } }
  ))

it.effect("T11 a call of another actor whose state does not encode fails alone, with a recorded defect", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const control = yield* TestStore.TestStore
      const labs = yield* Lab
      const ann = yield* connect("ann")
      probe.internals["spoil"] = (room) =>
        probe.note("spoil").pipe(Effect.zipRight(Ref.set(room.state, { items: [13 as never] })), Effect.as("spoilt"))
      probe.scripts["call"] = (room) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(labs.get("b").Script({ script: "spoil" }))
          yield* append(room, "called")
          return Exit.isSuccess(exit) ? "answered" : `${Cause.squash(exit.cause)}`
        })
      for (const round of [1, 2]) {
        const calling = yield* Effect.fork(ann.rpc.Run({ script: "call" }))
        yield* pass("1 second")
        assert.include(yield* Fiber.join(calling), "ServerDefect")
        assert.strictEqual(probe.count("spoil"), 2 * round)
        assert.strictEqual(yield* labs.get("b").Count(), 0)
      }
      const recorded = control.asked.flatMap(({ address, replies }) => address.key === "b" ? replies : []).filter((
        { exit }
      ) => exit.includes("ServerDefect"))
      assert.lengthOf(recorded, 2)
    }),
    { client: { schedule: Schedule.spaced("1 second") } }
  ))

it.effect("T11 an initial state that does not encode makes the actor unavailable, readably", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { Add } = yield* backend
      for (const round of [1, 2]) {
        assert.deepInclude(yield* Effect.flip(Add({ item: "x" })), { _tag: "ActorUnavailable" })
        const logs = probe.logs.filter(({ cause }) => cause.includes("the state of Lab does not encode: items.0"))
        assert.lengthOf(logs, round)
      }
    }),
    { initialState: () => ({ items: [13 as never] }) }
  ))

it.effect("L3 alarms that go by their tags take no place from those with ids of their own", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { Script } = yield* backend
      probe.internals["set"] = (room) =>
        Effect.gen(function*() {
          yield* room.alarm("1 hour", "Clear")
          yield* room.alarm("1 hour", "Script", { script: "ring" })
          const set = (id: string) => Effect.isSuccess(room.alarm("1 hour", "Add", { item: id }, { id }))
          return `${yield* set("a")} ${yield* set("b")} ${yield* set("c")}`
        })
      for (const _ of [1, 2]) assert.strictEqual(yield* Script({ script: "set" }), "true true false")
    }),
    { host: { alarmsMax: 2 } }
  ))

it.effect("L4 a memory actor that has ended, or whose alarm was cancelled, is not woken for it", () =>
  run(
    Effect.gen(function*() {
      const { probe, setting } = yield* ringing
      const { Script } = yield* backend
      probe.internals["set"] = setting("1 hour")
      probe.internals["destroy"] = (room) => Effect.as(room.destroy, "destroyed")
      probe.internals["cancel"] = (room) => Effect.as(room.cancelAlarm("Script"), "cancelled")
      for (const end of ["destroy", "cancel"]) {
        yield* Script({ script: "set" })
        yield* Script({ script: end })
        yield* pass("10 minutes")
        const builds = probe.count("build main")
        yield* pass("2 hours")
        assert.strictEqual(probe.count("build main"), builds, end)
      }
    }),
    { durability: "memory" }
  ))

it.effect("L3 an actor that is woken while its implementation goes away is closed, and its alarm fires in the next life", () =>
  Effect.gen(function*() {
    const { probe, setting } = yield* ringing
    probe.internals["set"] = setting("1 hour")
    let rings = 0
    for (const round of [1, 2]) {
      yield* life(labLive(), Effect.flatMap(backend, ({ Script }) => Script({ script: "set" })))
      yield* TestClock.adjust("2 hours")
      probe.hooks.build = () => probe.wait(`build ${round}`)
      const [builds, sleeps] = [probe.count("build main"), probe.count("sleep main")]
      const living = yield* Effect.fork(life(labLive(), Effect.zipRight(probe.seen("build main", builds + 1), settle)))
      yield* probe.seen("build main", builds + 1)
      yield* settle
      yield* probe.open(`build ${round}`)
      yield* Fiber.join(living)
      assert.strictEqual(probe.count("sleep main"), sleeps + 1, "its scope has closed before its services do")
      probe.hooks.build = () => Effect.void
      yield* life(labLive(), pass("1 minute"))
      assert.strictEqual(probe.count("ring main"), ++rings)
    }
  }).pipe(Effect.provide(layerOutside)))

const explosive = Schema.transform(Schema.String, Schema.String, {
  strict: true,
  decode: (text) => {
    if (text === "explode") throw new Error("a schema should not throw")
    return text
  },
  encode: (text) => text
})

/** Has schemas that throw. */
class Brittle extends Actor.Tag<Brittle>()("Brittle", {
  rpcs: RpcGroup.make(
    Rpc.make("Say", { payload: { text: explosive }, success: Schema.String }),
    Rpc.make("Ask", { success: Schema.String })
  ),
  internal: RpcGroup.make(Rpc.make("Echo", { payload: { text: Schema.String }, success: explosive }))
}) {}

const BrittleLive = Brittle.toLayer({ state: Schema.Int, initialState: () => 0 }, (room) =>
  Effect.gen(function*() {
    const others = yield* Brittle.client
    const count = Ref.update(room.state, (n) => n + 1)
    return room.behavior({
      rpcs: {
        Say: ({ text }) => Effect.as(count, text),
        Ask: () =>
          Effect.exit(others.get("b").Echo({ text: "explode" })).pipe(
            Effect.map((exit) => Exit.isSuccess(exit) ? exit.value : Cause.pretty(exit.cause)),
            Effect.tap(count)
          )
      },
      internal: { Echo: ({ text }) => Effect.as(count, text) }
    })
  }))

it.effect("B2 a schema that throws fails the call it is used for, and nothing else", () =>
  Effect.gen(function*() {
    const brittle = yield* ActorClient.connect(Brittle, "a")
    for (const _ of [1, 2]) {
      assert.deepInclude(yield* Effect.flip(brittle.rpc.Say({ text: "explode" })), { _tag: "CallRejected", sent: "no" })
      // what throws here would end the commits of all actors
      const asking = yield* Effect.fork(brittle.rpc.Ask())
      yield* pass("1 second")
      assert.include(yield* Fiber.join(asking), "the reply of Brittle.Echo does not decode")
      assert.strictEqual(yield* brittle.rpc.Say({ text: "hello" }), "hello")
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(
      ActorClient.layer().pipe(
        Layer.provide(MemoryTransport.layerServer({ actors: [Brittle] })),
        Layer.provide(BrittleLive),
        Layer.provide(ActorHost.layer()),
        Layer.provideMerge(Layer.mergeAll(TestStore.layer, MemoryTransport.layer))
      )
    )
  ))
