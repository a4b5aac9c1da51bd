import { assert, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { Retained } from "../src/internal/Retained.ts"

it.effect("T7 what is over is forgotten when its time is, and what is not stays", () =>
  Effect.gen(function*() {
    const over = new Set(["a", "b", "c"])
    const expired: Array<string> = []
    const kept = new Retained<string>(yield* Effect.clock, 1000, {
      isOver: (value) => over.has(value),
      onExpired: (value) => expired.push(value)
    })
    const names = () => Array.from(kept, ([name]) => name)
    kept.set("running", "running")
    kept.set("first", "a")
    yield* TestClock.adjust("999 millis")
    kept.set("second", "b")
    assert.deepStrictEqual(names(), ["running", "first", "second"])
    yield* TestClock.adjust("1 millis")
    kept.set("third", "c")
    assert.deepStrictEqual(names(), ["running", "second", "third"])
    assert.strictEqual(kept.get("second"), "b")
    assert.isUndefined(kept.get("first"))
    kept.delete("second")
    over.add("running")
    yield* TestClock.adjust("1 hour")
    kept.set("fourth", "a")
    assert.deepStrictEqual(names(), ["fourth"])
    assert.deepStrictEqual(expired, ["a", "running", "c"])
  }))

it.effect("T7 what is set again is kept from then on, and keeps nothing from being forgotten", () =>
  Effect.gen(function*() {
    const kept = new Retained<string>(yield* Effect.clock, 1000, { isOver: () => true, onExpired: () => {} })
    const names = () => Array.from(kept, ([name]) => name)
    kept.set("first", "a")
    kept.set("second", "b")
    yield* TestClock.adjust("500 millis")
    kept.set("first", "c")
    yield* TestClock.adjust("500 millis")
    kept.set("third", "d")
    assert.deepStrictEqual(names(), ["first", "third"])
    assert.strictEqual(kept.get("first"), "c")
  }))
