/** Alarms: set by turns, fired as turns, also by actors that sleep, through crashes and failures. */
import { assert, it } from "@effect/vitest"
import { Address, type Alarm, AlarmsFull } from "@troupe/contract"
import type { ActorStore } from "@troupe/server"
import { TestStore } from "@troupe/testing"
import { Clock, DateTime, Duration, Effect, Exit, Option, Ref, TestClock } from "effect"
import {
  append,
  backend,
  connect,
  Lab,
  labLive,
  type LabRoom,
  layerOutside,
  life,
  Oops,
  pass,
  Probe,
  run,
  settle
} from "./support/lab.ts"

const address = Address.make("Lab", "main")

/** The script `ring` notes when it was run, and leaves an item. */
const ringing = Effect.gen(function*() {
  const probe = yield* Probe
  const times: Array<number> = []
  probe.internals["ring"] = (room) =>
    Effect.gen(function*() {
      times.push(yield* Clock.currentTimeMillis)
      yield* probe.note("ring")
      yield* append(room, "rung")
      return "rung"
    })
  return { probe, times }
})

const ring = (room: LabRoom, when: Alarm.AlarmTime) => room.alarm(when, "Script", { script: "ring" })

/** Makes the actor `main` do something in a turn. */
const inTurn = (what: (room: LabRoom) => Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const probe = yield* Probe
    probe.internals["in turn"] = (room) => Effect.as(what(room), "done")
    const { Script } = yield* backend
    yield* Script({ script: "in turn" })
  })

/** The alarms of `main` in the store; whoever owned the actor does not any more. */
const stored = Effect.flatMap(
  TestStore.TestStore,
  ({ store }) => Effect.map(store.claim(address), ({ alarms }) => alarms)
)

const dueAt = Effect.flatMap(TestStore.TestStore, ({ store }) =>
  Effect.map(
    store.alarms({ contract: "Lab", after: undefined, max: 10 }),
    (positions) => positions.map(({ due }) => due)
  ))

for (const durability of ["commit", "memory"] as const) {
  it.effect(`L3 an alarm fires once, when it is due, and wakes an actor that sleeps [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const { probe, times } = yield* ringing
        for (const round of [1, 2]) {
          const before = yield* Clock.currentTimeMillis
          const slept = probe.count("sleep main")
          yield* inTurn((room) => ring(room, "1 hour"))
          // it is asleep long before
          yield* pass("10 minutes")
          assert.strictEqual(probe.count("sleep main"), slept + 1)
          yield* pass(Duration.millis(50 * 60_000 - 1))
          assert.strictEqual(probe.count("ring"), round - 1, "not before it is due")
          yield* pass("50 millis")
          assert.strictEqual(probe.count("ring"), round)
          assert.isAtLeast(times.at(-1)!, before + 3_600_000)
          assert.isBelow(times.at(-1)!, before + 3_600_050)
          yield* pass("3 hours")
          assert.strictEqual(probe.count("ring"), round, "once")
          assert.strictEqual(yield* (yield* backend).Count(), round)
          yield* pass("1 minute")
        }
      }),
      { durability }
    ))

  it.effect(`L3 setting an alarm again replaces it, cancelling it ends it, and ids keep them apart [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const { probe } = yield* ringing
        const named = (id: string) => (room: LabRoom) => Effect.orDie(room.alarm("1 hour", "Add", { item: id }, { id }))
        yield* inTurn((room) => ring(room, "1 minute"))
        yield* inTurn((room) => ring(room, "2 hours"))
        yield* inTurn((room) => Effect.zipRight(named("a")(room), named("b")(room)))
        yield* inTurn((room) => Effect.zipRight(room.cancelAlarm("a"), room.cancelAlarm("unknown")))
        yield* pass("90 minutes")
        assert.strictEqual(probe.count("ring"), 0)
        probe.internals["items"] = (room) => Effect.map(Ref.get(room.state), ({ items }) => items.join() || "none")
        const { Script } = yield* backend
        assert.strictEqual(yield* Script({ script: "items" }), "b")
        yield* pass("31 minutes")
        assert.strictEqual(probe.count("ring"), 1)
        // cancelled in the turn that set it
        yield* inTurn((room) => Effect.zipRight(ring(room, "1 minute"), room.cancelAlarm("Script")))
        yield* pass("1 hour")
        assert.strictEqual(probe.count("ring"), 1)
      }),
      { durability }
    ))

  it.effect(`L3 an alarm may set itself again: it fires for ever, also asleep [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const { probe } = yield* ringing
        const once = probe.internals["ring"]!
        probe.internals["ring"] = (room) => Effect.zipRight(ring(room, "10 minutes"), once(room))
        yield* inTurn((room) => ring(room, "10 minutes"))
        yield* pass("100 minutes")
        assert.strictEqual(probe.count("ring"), 10)
        yield* inTurn((room) => room.cancelAlarm("Script"))
        yield* pass("100 minutes")
        assert.strictEqual(probe.count("ring"), 10)
      }),
      { durability }
    ))

  it.effect(`L3 a failing alarm leaves nothing, is tried again with growing delays, and then parked [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const probe = yield* Probe
        const times: Array<number> = []
        probe.internals["fail"] = (room) =>
          Effect.gen(function*() {
            times.push(yield* Clock.currentTimeMillis)
            yield* append(room, "staged")
            yield* room.alarm("1 second", "Clear")
            // both kinds of failure count
            return yield* times.length % 2 === 0 ? Effect.die("broken") : new Oops({ code: 1 })
          })
        yield* inTurn((room) => room.alarm("1 second", "Script", { script: "fail" }))
        yield* pass("1 second")
        assert.lengthOf(times, 1)
        for (let retry = 1; retry <= 10; retry++) {
          const cap = Math.min(30_000, 250 * 2 ** (retry - 1))
          const until = (millis: number) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => pass(Duration.millis(times[retry - 1]! + millis - now)))
          yield* until(cap / 2 - 1)
          assert.lengthOf(times, retry, "not too early")
          yield* until(cap)
          assert.lengthOf(times, retry + 1, `in time: ${retry}`)
        }
        yield* pass("10 hours")
        assert.lengthOf(times, 11, "parked")
        const { Count } = yield* backend
        assert.strictEqual(yield* Count(), 0)
        const parked = probe.logs.filter(({ message }) => message.includes("parked"))
        assert.lengthOf(parked, 1)
        assert.include(parked[0]?.message ?? "", "the alarm Script is parked: it has failed 11 times")
        // set again, it is as good as new
        yield* inTurn((room) => room.alarm("1 second", "Add", { item: "x" }))
        yield* inTurn((room) => room.alarm("1 second", "Script", { script: "fail" }))
        yield* pass("1 second")
        assert.lengthOf(times, 12)
        assert.strictEqual(yield* Count(), 1)
      }),
      { durability }
    ))

  it.effect(`L3 an actor sees its alarms, and sets those that are parked again, with their payload [${durability}]`, () =>
    run(
      Effect.gen(function*() {
        const { probe } = yield* ringing
        const failing = probe.internals["ring"]!
        const listed = (room: LabRoom) =>
          Effect.map(room.alarms, (alarms) =>
            alarms.map(({ due, failures, id, tag }): ReadonlyArray<unknown> => [
              id,
              tag,
              Option.getOrUndefined(due),
              failures
            ]))
        const now = yield* Clock.currentTimeMillis
        const hour = 3_600_000
        yield* inTurn((room) =>
          Effect.gen(function*() {
            yield* room.alarm("2 hours", "Clear")
            yield* room.alarm("1 hour", "Add", { item: "a" }, { id: "a" })
            yield* ring(room, "0 millis")
            // what the turn has staged is there
            const all = [["Script", "Script", now, 0], ["a", "Add", now + hour, 0], [
              "Clear",
              "Clear",
              now + 2 * hour,
              0
            ]]
            assert.deepStrictEqual(yield* listed(room), all)
            yield* room.cancelAlarm("a")
            assert.deepStrictEqual(yield* listed(room), all.filter(([id]) => id !== "a"))
            assert.isFalse(yield* room.retryAlarm("Clear"), "it is not parked")
            assert.isFalse(yield* room.retryAlarm("a"), "it has gone")
            probe.internals["ring"] = () => new Oops({ code: 1 })
          }).pipe(Effect.orDie)
        )
        yield* pass("10 minutes")
        yield* inTurn((room) =>
          Effect.map(listed(room), (alarms) =>
            assert.deepStrictEqual(alarms, [
              ["Clear", "Clear", now + 2 * hour, 0],
              ["Script", "Script", undefined, 11]
            ]))
        )
        probe.internals["ring"] = failing
        // a turn that fails has set nothing
        probe.internals["retry in vain"] = (room) => Effect.zipRight(room.retryAlarm("Script"), new Oops({ code: 2 }))
        const { Count, Script } = yield* backend
        yield* Effect.flip(Script({ script: "retry in vain" }))
        yield* pass("1 minute")
        assert.strictEqual(probe.count("ring"), 0)
        yield* inTurn((room) =>
          Effect.gen(function*() {
            assert.isTrue(yield* room.retryAlarm("Script"))
            assert.isFalse(yield* room.retryAlarm("Script"), "it is set again already")
            assert.deepStrictEqual((yield* listed(room))[0]?.slice(0, 2), ["Script", "Script"])
          })
        )
        yield* pass("1 second")
        assert.strictEqual(probe.count("ring"), 1)
        assert.strictEqual(yield* Count(), 1)
        yield* inTurn((room) =>
          Effect.map(room.alarms, (alarms) => assert.deepStrictEqual(alarms.map(({ id }) => id), ["Clear"]))
        )
      }),
      { durability }
    ))

  it.effect(`L3 at most so many alarms with ids of their own, typed; those that go by their tags do not count [${durability}]`, () =>
    run(
      inTurn((room) =>
        Effect.gen(function*() {
          const set = (id: string) => Effect.exit(room.alarm("1 hour", "Add", { item: id }, { id }))
          for (const id of ["a", "b", "c"]) assert.isTrue(Exit.isSuccess(yield* set(id)))
          const full = new AlarmsFull.AlarmsFull({ limit: "alarmsMax", max: 3 })
          assert.deepStrictEqual(yield* set("d"), Exit.fail(full))
          assert.isTrue(Exit.isSuccess(yield* set("c")), "replaced")
          yield* room.cancelAlarm("a")
          assert.isTrue(Exit.isSuccess(yield* set("d")))
          yield* room.alarm("1 hour", "Clear")
        })
      ),
      { durability, host: { alarmsMax: 3 } }
    ))
}

it.effect("T1 L3 an alarm that a failed turn has set or cancelled is as before", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    yield* inTurn((room) => ring(room, "1 hour"))
    const failing = (what: (room: LabRoom) => Effect.Effect<unknown>) =>
      Effect.gen(function*() {
        probe.internals["failing"] = (room) => Effect.zipRight(what(room), new Oops({ code: 2 }))
        yield* Effect.flip((yield* backend).Script({ script: "failing" }))
      })
    yield* failing((room) => Effect.zipRight(ring(room, "1 minute"), room.alarm("1 minute", "Add", { item: "x" })))
    yield* failing((room) => room.cancelAlarm("Script"))
    yield* pass("59 minutes")
    assert.strictEqual(probe.count("ring"), 0)
    yield* pass("1 minute")
    assert.strictEqual(probe.count("ring"), 1)
    assert.strictEqual(yield* (yield* backend).Count(), 1)
  })))

it.effect("L3 alarms survive restarts: what is due meanwhile fires once at the start, the rest in time", () =>
  Effect.gen(function*() {
    const { probe } = yield* ringing
    for (const round of [1, 2]) {
      yield* life(
        labLive(),
        inTurn((room) =>
          ring(room, "1 hour").pipe(
            Effect.zipRight(Effect.orDie(room.alarm("3 hours", "Script", { script: "ring" }, { id: "later" })))
          )
        )
      )
      yield* TestClock.adjust("2 hours")
      yield* life(
        labLive(),
        Effect.gen(function*() {
          // nobody has asked for the actor
          yield* pass("1 millis")
          assert.strictEqual(probe.count("ring"), 2 * round - 1)
          yield* pass("59 minutes")
          assert.strictEqual(probe.count("ring"), 2 * round - 1)
          yield* pass("1 minute")
          assert.strictEqual(probe.count("ring"), 2 * round)
        })
      )
      yield* life(labLive(), pass("5 hours"))
      assert.strictEqual(probe.count("ring"), 2 * round)
      assert.deepStrictEqual(yield* stored, [])
    }
  }).pipe(Effect.provide(layerOutside)))

it.effect("L3 one committed success, whatever becomes of the commit", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    const store = yield* TestStore.TestStore
    let rung = 0
    for (const failure of ["before", "after", "failed", "superseded"] as const) {
      yield* inTurn((room) => ring(room, "1 minute"))
      yield* store.fail(failure)
      const { Count } = yield* backend
      yield* pass("1 minute")
      yield* pass("1 minute")
      // run again if it was not committed; in the state once
      assert.strictEqual(yield* Count(), ++rung, failure)
    }
    assert.isAbove(probe.count("ring"), rung)
  })))

it.effect("L3 an alarm is set for a time, and for one that is past it fires at once", () =>
  run(Effect.gen(function*() {
    const { times } = yield* ringing
    yield* TestClock.adjust("1 hour")
    const later = DateTime.unsafeMake("1970-01-02T00:00:00.250Z")
    yield* inTurn((room) => ring(room, later))
    assert.deepStrictEqual(yield* dueAt, [86_400_250])
    yield* inTurn((room) => ring(room, DateTime.unsafeMakeZoned(later, { timeZone: "Europe/Berlin" })))
    yield* TestClock.adjust("1 day")
    yield* settle
    assert.deepStrictEqual(times, [86_400_250])
    yield* inTurn((room) => ring(room, DateTime.unsafeMake(0)))
    yield* settle
    assert.lengthOf(times, 2)
  })))

it.effect("L3 an alarm waits until the turn that sets it is durable, and fires when it is", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    const store = yield* TestStore.TestStore
    yield* store.hold
    const setting = yield* Effect.fork(inTurn((room) => ring(room, "1 second")))
    yield* pass("20 seconds")
    assert.strictEqual(probe.count("ring"), 0)
    yield* store.release
    yield* settle
    yield* pass("1 millis")
    assert.strictEqual(probe.count("ring"), 1)
    assert.isTrue(Exit.isSuccess(yield* setting.await))
  })))

it.effect("L3 many actors that are due together are all woken, page by page", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    const labs = yield* Lab
    probe.internals["in turn"] = (room) => Effect.as(ring(room, "1 hour"), "done")
    const keys = Array.from({ length: 300 }, (_, i) => `k${i}`)
    yield* Effect.forEach(keys, (key) => labs.get(key).Script({ script: "in turn" }), { concurrency: 50 })
    yield* pass("10 minutes")
    yield* pass("50 minutes")
    yield* pass("50 millis")
    assert.strictEqual(probe.count("ring"), keys.length)
    const counts = yield* Effect.forEach(keys, (key) => labs.get(key).Count())
    assert.deepStrictEqual(new Set(counts), new Set([1]))
  })))

it.effect("L3 an actor that cannot be woken is tried again, and others are not held up", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    const store = yield* TestStore.TestStore
    const labs = yield* Lab
    yield* inTurn((room) => ring(room, "1 hour"))
    probe.internals["in turn"] = (room) => Effect.as(ring(room, "1 hour"), "done")
    yield* labs.get("other").Script({ script: "in turn" })
    yield* pass("10 minutes")
    probe.hooks.build = (room) => room.key === "main" ? Effect.fail("no database") : Effect.void
    yield* pass("50 minutes")
    yield* pass("10 seconds")
    assert.strictEqual(probe.count("ring"), 1)
    const attempts = probe.count("build main")
    assert.isAbove(attempts, 3)
    assert.isBelow(attempts, 12)
    // the store too
    yield* store.failClaims(2)
    probe.hooks.build = () => Effect.void
    yield* pass("90 seconds")
    assert.strictEqual(probe.count("ring"), 2)
  })))

it.effect("L3 a clock that cannot read the store reads it later", () =>
  Effect.gen(function*() {
    const { probe } = yield* ringing
    yield* life(labLive(), inTurn((room) => ring(room, "1 minute")))
    yield* TestClock.adjust("1 hour")
    const store = yield* TestStore.TestStore
    yield* store.failAlarms(3)
    yield* life(
      labLive(),
      Effect.gen(function*() {
        yield* pass("1 millis")
        assert.strictEqual(probe.count("ring"), 0)
        yield* pass("10 seconds")
        assert.strictEqual(probe.count("ring"), 1)
      })
    )
  }).pipe(Effect.provide(layerOutside)))

it.effect("L3 while turns keep the actor busy, alarms take their turn, and those of a cancelled id do not run", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    const { Script, Count } = yield* backend
    yield* inTurn((room) => ring(room, "1 second"))
    probe.internals["slow"] = (room) =>
      Effect.zipRight(probe.wait("slow"), Effect.as(room.cancelAlarm("Script"), "done"))
    const slow = yield* Effect.fork(Script({ script: "slow" }))
    yield* pass("20 seconds")
    yield* probe.open("slow")
    yield* slow
    yield* pass("1 minute")
    assert.strictEqual(probe.count("ring"), 0)
    assert.strictEqual(yield* Count(), 0)
    assert.deepStrictEqual(yield* dueAt, [])
  })))

it.effect("L3 an alarm whose rpc is gone, or whose payload does not decode any more, is tried and parked, and nothing is lost", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { store } = yield* TestStore.TestStore
      const { epoch, version } = yield* store.claim(address)
      const alarm = (id: string, tag: string, payload: string): ActorStore.AlarmChange => ({
        id,
        alarm: { id, due: 1, tag, payload, attempt: 0, firing: `${id}.1` }
      })
      const alarms = [alarm("gone", "Gone", "{}"), alarm("bad", "Add", "{\"item\":\"secret\",\"item\":7}")]
      const state = "{\"items\":[]}"
      yield* store.commit([{ address, epoch, version, state, replies: [], settledSegments: [], fsync: false, alarms }])
      const { Count } = yield* backend
      yield* Count()
      yield* inTurn((room) => room.alarm("1 second", "Clear"))
      yield* pass("10 seconds")
      const parked = probe.logs.filter(({ message }) => message.includes("parked"))
      assert.deepStrictEqual(parked.map(({ message }) => message.split(" ")[2]).sort(), ["bad", "gone"])
      assert.isTrue(parked.some(({ cause }) => cause.includes("there is no internal rpc Gone any more")))
      assert.isTrue(parked.some(({ cause }) => cause.includes("the payload of Lab.Add does not decode: item")))
      assert.isFalse(probe.logs.some(({ cause, message }) => `${cause}${message}`.includes("secret")))
      assert.strictEqual((yield* stored).length, 2)
      assert.deepStrictEqual(yield* dueAt, [])
    }),
    { host: { alarmRetriesMax: 3 } }
  ))

/** A host that is gone has committed, late, an alarm of `main` that was due before those the clock has handed out since. */
const committedLate = Effect.gen(function*() {
  const { store } = yield* TestStore.TestStore
  const { epoch, state = "{\"items\":[]}", version } = yield* store.claim(address)
  const alarm = { id: "late", due: 1, tag: "Script", payload: "{\"script\":\"ring\"}", attempt: 0, firing: "late.1" }
  yield* store.commit([{
    address,
    epoch,
    version,
    state,
    replies: [],
    settledSegments: [],
    fsync: false,
    alarms: [{ id: alarm.id, alarm }]
  }])
})

const behindTheClock = Effect.gen(function*() {
  const { probe } = yield* ringing
  yield* inTurn((room) => ring(room, "1 second"))
  yield* pass("10 minutes")
  assert.strictEqual(probe.count("ring"), 1)
  yield* committedLate
  yield* pass("1 second")
  assert.strictEqual(probe.count("ring"), 1, "the clock is past it")
  return probe
})

it.effect("L3 an alarm that another host has committed behind the clock fires when its actor wakes", () =>
  run(Effect.gen(function*() {
    const probe = yield* behindTheClock
    const ann = yield* connect("ann")
    assert.strictEqual(probe.count("ring"), 2)
    assert.lengthOf(yield* ann.rpc.Items(), 2)
    yield* pass("5 minutes")
    assert.strictEqual(probe.count("ring"), 2)
  })))

it.effect("L3 an alarm that another host has committed behind the clock fires within the hour if its actor sleeps", () =>
  run(Effect.gen(function*() {
    const probe = yield* behindTheClock
    yield* pass("1 hour")
    assert.strictEqual(probe.count("ring"), 2)
    yield* pass("3 hours")
    assert.strictEqual(probe.count("ring"), 2)
  })))

it.effect("L3 an alarm whose commits fail does not take its actor from its clients each time they wake it", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    yield* inTurn((room) => ring(room, "1 minute"))
    yield* pass("50 seconds")
    const store = yield* TestStore.TestStore
    yield* store.fail(...Array.from({ length: 50 }, () => "failed" as const))
    yield* TestClock.adjust("10 seconds")
    yield* settle
    const rung = probe.count("ring")
    assert.isAtLeast(rung, 1)
    for (let i = 0; i < 10; i++) assert.strictEqual(yield* (yield* backend).Count(), 0)
    assert.isAtMost(probe.count("ring"), rung + 1)
    yield* store.recover
    yield* pass("1 minute")
    assert.strictEqual(yield* (yield* backend).Count(), 1)
  })))

it.effect("L3 an actor with alarms and connections goes on with both", () =>
  run(Effect.gen(function*() {
    const { probe } = yield* ringing
    const ann = yield* connect("ann")
    probe.scripts["set"] = (room) => Effect.as(ring(room, "1 minute"), "set")
    for (const round of [1, 2]) {
      assert.strictEqual(yield* ann.rpc.Run({ script: "set" }), "set")
      yield* pass("1 minute")
      assert.strictEqual(probe.count("ring"), round)
      assert.lengthOf(yield* ann.rpc.Items(), round)
    }
  })))
