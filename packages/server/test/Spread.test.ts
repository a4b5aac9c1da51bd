/** Tasks that are spread over goes of the event loop. */
import { assert, it } from "@effect/vitest"
import { Spread } from "../src/internal/Spread.ts"

const setup = (tasksMax: number) => {
  const ticks: Array<() => void> = []
  const turns: Array<() => void> = []
  const spread = new Spread({ schedule: (task) => ticks.push(task), later: (task) => turns.push(task) }, tasksMax)
  /** Runs what waits for the end of this tick, or else what waits for the next turn. Returns whether there was any. */
  const go = () => {
    const [task] = [ticks.shift() ?? turns.shift()]
    task?.()
    return task !== undefined
  }
  return { spread, ticks, turns, go }
}

it("few run at the end of the tick, the others in later turns, all once and in order", () => {
  const { go, spread, ticks, turns } = setup(3)
  const done: Array<number> = []
  for (let i = 0; i < 8; i++) spread.schedule(() => done.push(i))
  assert.deepStrictEqual([ticks.length, turns.length], [1, 0])
  const after: Array<number> = []
  while (go()) {
    after.push(done.length)
    if (done.length === 3) spread.schedule(() => done.push(8))
  }
  assert.deepStrictEqual(after, [3, 6, 9])
  assert.deepStrictEqual(done, [0, 1, 2, 3, 4, 5, 6, 7, 8])
  spread.schedule(() => done.push(9))
  assert.deepStrictEqual([ticks.length, turns.length], [1, 0], "nothing waits: the end of the tick is soon enough")
})

it("a task that throws takes no others with it", () => {
  const { go, spread } = setup(3)
  const done: Array<number> = []
  for (let i = 0; i < 5; i++) {
    spread.schedule(() => {
      if (i === 1) throw new Error("1")
      done.push(i)
    })
  }
  assert.throws(go, "1")
  while (go()) {}
  assert.deepStrictEqual(done, [0, 2, 3, 4])
})
