import { assert, it } from "@effect/vitest"
import * as Background from "@troupe/contract/Background"
import { type Clock, Effect, TestClock } from "effect"
import { Heartbeat } from "../src/internal/Heartbeat.ts"
import { Timer } from "../src/internal/Timer.ts"

const services = Effect.gen(function*() {
  return { clock: yield* Effect.clock, runtime: yield* Background.runtime }
})

/** A clock that knows how many wait for it, and nobody's time comes. */
const makeEndless = Effect.map(Effect.clock, (clock) => {
  let waiting = 0
  const sleep = () =>
    Effect.ensuring(Effect.zipRight(Effect.sync(() => waiting++), Effect.never), Effect.sync(() => waiting--))
  return { clock: Object.assign(Object.create(clock) as Clock.Clock, { sleep }), count: () => waiting }
})

/** What was begun or interrupted has happened. */
const settle = Effect.repeatN(Effect.yieldNow(), 20)

it.effect("timers of many clients fire for each of them, once, and not if they were cleared or set anew", () =>
  Effect.gen(function*() {
    const own = yield* services
    const over: Array<string> = []
    const [a, b, c] = [new Timer(own), new Timer(own), new Timer(own)]
    for (const _ of [1, 2]) {
      over.length = 0
      a.set(1000, () => over.push("a"))
      b.set(1000, () => over.push("b"))
      c.set(2000, () => over.push("c"))
      b.clear()
      yield* TestClock.adjust("500 millis")
      a.set(1000, () => over.push("a, anew"))
      yield* TestClock.adjust("900 millis")
      assert.deepStrictEqual(over, [])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(over, ["a, anew"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(over, ["a, anew", "c"])
    }
  }))

it.effect("a task may set its timer again, or clear another one", () =>
  Effect.gen(function*() {
    const own = yield* services
    const [a, b] = [new Timer(own), new Timer(own)]
    let fired = 0
    const again = () => {
      fired++
      b.clear()
      a.set(1000, again)
    }
    a.set(1000, again)
    b.set(1000, () => assert.fail("it was cleared"))
    for (let second = 1; second <= 5; second++) {
      yield* TestClock.adjust("1 second")
      assert.strictEqual(fired, second)
    }
    a.clear()
    yield* TestClock.adjust("5 seconds")
    assert.strictEqual(fired, 5)
  }))

it.effect("nothing is left of timers that were cleared, wherever their client was made", () =>
  Effect.gen(function*() {
    const { clock, count } = yield* makeEndless
    for (const made of [services, Effect.uninterruptible(services)]) {
      const own = { ...(yield* made), clock }
      const timers = [new Timer(own), new Timer(own)]
      for (const timer of timers) timer.set(60_000, () => {})
      yield* settle
      assert.strictEqual(count(), 1, "they share one")
      for (const timer of timers) timer.clear()
      yield* settle
      assert.strictEqual(count(), 0)
    }
  }))

it.effect("a heartbeat of no time at all does not block", () =>
  Effect.gen(function*() {
    const own = yield* services
    let pings = 0
    const link = { silent: 0, heard: 0, ping: () => void pings++, onSilence: () => {} }
    const timer = new Timer(own)
    new Heartbeat(timer, link, { heartbeatMillis: 0, silenceMillis: 1000, probeMillis: 1000 }).start()
    assert.strictEqual(pings, 0)
    yield* TestClock.adjust("5 millis")
    assert.strictEqual(pings, 5)
    timer.clear()
  }))
