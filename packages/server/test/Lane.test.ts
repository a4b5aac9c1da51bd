import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Job, Lane } from "../src/internal/TurnLoop.ts"

const makeJob = () =>
  new Job({ start: () => undefined as never, run: () => Effect.void, end: () => {}, removed: () => {} })

it("a job that is removed is not kept, wherever it stands, and the others stay in order", () => {
  for (const removed of [[0], [1], [2], [0, 1], [1, 2], [2, 0], [0, 1, 2]]) {
    const lane = new Lane()
    const jobs = [makeJob(), makeJob(), makeJob()]
    for (const job of jobs) lane.append(job)
    for (const i of removed) lane.remove(jobs[i]!)
    const left = jobs.filter((_, i) => !removed.includes(i))
    assert.strictEqual(lane.isEmpty, left.length === 0)
    const late = makeJob()
    lane.append(late)
    const taken = Array.from({ length: left.length + 1 }, () => lane.shift())
    assert.deepStrictEqual(taken, [...left, late])
    assert.isUndefined(lane.shift())
    for (const { lane, next, previous } of [...jobs, late]) {
      assert.deepStrictEqual([lane, previous, next], [undefined, undefined, undefined])
    }
  }
})
