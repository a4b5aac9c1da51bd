/** How a cursor follows the positions that arrive: quickly, smoothly, and as fast at any rate of frames. */
import type { Point } from "../contract.ts"

/** After so many milliseconds about two thirds of the way are done. */
const ease = 60

/** Closer than this, in shares of the board, is there. */
const near = 0.0002

/** Where somebody who goes from one point to another is some milliseconds later. */
export const step = (from: Point, to: Point, millis: number): Point => {
  const part = 1 - Math.exp(-millis / ease)
  const next = { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part }
  return Math.hypot(to.x - next.x, to.y - next.y) < near ? to : next
}
