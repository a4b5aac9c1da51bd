import { assert, it } from "@effect/vitest"
import { Clock, type Duration, Effect, Fiber, TestClock } from "effect"
import { type Expirable, Expiry } from "../src/Expiry.ts"

/** A clock whose time of day can be set, and whose sleeps do not care. */
const adjustable = Effect.map(Effect.clock, (clock) => {
  let ahead = 0
  return {
    set: (millis: number) => {
      ahead += millis
    },
    clock: {
      ...clock,
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      sleep: (duration: Duration.Duration) => clock.sleep(duration),
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + ahead
    } as Clock.Clock
  }
})

const make = Effect.fnUntraced(function*(millis = 1000) {
  const { clock, set } = yield* adjustable
  const runtime = yield* Effect.runtime<never>()
  const over: Array<string> = []
  const fibers: Array<Fiber.RuntimeFiber<void>> = []
  const expiry = new Expiry(
    clock,
    (watch) => {
      const fiber = Effect.runFork(Effect.provide(watch, runtime))
      fibers.push(fiber)
      return fiber
    },
    millis
  )
  const key = (name: string): Expirable => ({ onExpired: () => over.push(name) })
  return { expiry, over, key, set, fibers }
})

it.effect("each is told after its time, and not if it was stopped or started anew", () =>
  Effect.gen(function*() {
    const { expiry, fibers, key, over } = yield* make()
    const [a, b, c] = [key("a"), key("b"), key("c")]
    for (const round of [1, 2]) {
      over.length = 0
      expiry.start(a)
      yield* TestClock.adjust("600 millis")
      expiry.start(b)
      expiry.start(c)
      expiry.start(a)
      expiry.stop(c)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(over, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(over, ["b", "a"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(over, ["b", "a"])
      assert.lengthOf(fibers, round, "all of them with one fiber")
    }
  }))

it.effect("a clock that is set back, or on, does not make anybody wait for longer than it was to", () =>
  Effect.gen(function*() {
    const { expiry, key, over, set } = yield* make()
    for (const hour of [-3_600_000, 3_600_000]) {
      over.length = 0
      expiry.start(key("before"))
      yield* TestClock.adjust("500 millis")
      set(hour)
      expiry.start(key("after"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(over, ["before", "after"])
    }
    // by less than has passed, again and again
    over.length = 0
    for (const name of ["a", "b", "c"]) {
      expiry.start(key(name))
      yield* TestClock.adjust("100 millis")
      set(-50)
    }
    // of what has passed since the clock was last looked at nobody knows
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(over, ["a", "b", "c"])
  }))

it.effect("one that throws does not keep others waiting", () =>
  Effect.gen(function*() {
    const { expiry, key, over } = yield* make()
    for (const _ of [1, 2]) {
      over.length = 0
      expiry.start({
        onExpired: () => {
          throw new Error("not now")
        }
      })
      expiry.start(key("a"))
      yield* TestClock.adjust("1 second")
      expiry.start(key("b"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(over, ["a", "b"])
    }
  }))

it.effect("end stops all of them, and the fiber", () =>
  Effect.gen(function*() {
    const { expiry, fibers, key, over } = yield* make()
    for (const round of [1, 2]) {
      expiry.start(key("a"))
      expiry.end()
      assert.strictEqual(expiry.size, 0)
      assert.lengthOf(fibers, round)
      yield* Fiber.await(fibers[round - 1]!)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(over, [])
    }
  }))

it.effect("one of no time is told later, and not while it is started", () =>
  Effect.gen(function*() {
    const { expiry, key, over } = yield* make(0)
    expiry.start(key("a"))
    assert.deepStrictEqual(over, [])
    yield* TestClock.adjust("1 millis")
    assert.deepStrictEqual(over, ["a"])
  }))
