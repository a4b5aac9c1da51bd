/** How a cursor moves, without a browser. */
import { assert, describe, it } from "vitest"
import { step } from "../src/page/Motion.ts"

const from = { x: 0, y: 1 }
const to = { x: 1, y: 0 }

/** Where it is after so many frames of the same length. */
const after = (frames: number, millis: number) =>
  Array.from({ length: frames }).reduce<typeof from>((at) => step(at, to, millis), from)

describe("Motion", () => {
  it("comes closer with each frame, does not overshoot, and arrives", () => {
    let at = from
    for (let i = 0; at !== to; i++) {
      assert.isBelow(i, 100, "it does not arrive")
      const next = step(at, to, 16)
      assert.isAbove(next.x, at.x)
      assert.isAtMost(next.x, 1)
      assert.approximately(next.x + next.y, 1, 1e-9, "it leaves the straight line")
      at = next
    }
  })

  it("is as fast at any rate of frames", () => {
    assert.approximately(after(12, 10).x, after(3, 40).x, 1e-9)
  })

  it("is there at once where nothing shall move", () => {
    assert.strictEqual(step(from, to, Infinity), to)
  })
})
