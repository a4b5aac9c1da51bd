import { assert, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { TokenBucket } from "../src/internal/TokenBucket.ts"

it("allows what one second allows at once, and then one at a time", () => {
  const bucket = new TokenBucket(4, 1000)
  assert.deepStrictEqual([1, 2, 3, 4].map(() => bucket.take(1000)), [0, 0, 0, 250])
  // whoever does not wait makes the others wait longer
  assert.strictEqual(bucket.take(1000), 500)
  assert.strictEqual(bucket.take(1500), 250)
  assert.strictEqual(bucket.take(1750), 250)
  // what is not used is saved for one second, not for longer, and a clock that goes back takes nothing away
  assert.deepStrictEqual([1, 2, 3, 4].map(() => bucket.take(9000)), [0, 0, 0, 250])
  assert.strictEqual(bucket.take(8000), 500)
  assert.strictEqual(new TokenBucket(Infinity, 0).take(0, 1e9), 0)
  assert.strictEqual(new TokenBucket(0.1, 0).take(0), 10_000)
})

it("whoever waits as long as it is told never exceeds the rate by more than one second's worth", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 1000 }),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 1, max: 5 })), { maxLength: 50 }),
    (perSecond, steps) => {
      const bucket = new TokenBucket(perSecond, 0)
      let now = 0
      let taken = 0
      for (const [pause, times] of steps) {
        now += pause
        const wait = bucket.take(now, times)
        taken += times
        now += wait
        // up to rounding: it may happen again now
        assert.isAtMost(taken + 1, perSecond + now * perSecond / 1000 + 5)
      }
    }
  ))
})
