/**
 * The simulation, as `npm run simulate` runs it: thousands of seeds, each a run of its own with faults of its own, and all
 * that is promised checked afterwards. It runs in processes of its own, one for each core.
 */
import { assert, describe, it } from "@effect/vitest"
import { rm } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as Bundle from "../simulation/Bundle.ts"
import { planted } from "../simulation/Planted.ts"
import { regressions } from "../simulation/regressions.ts"
import * as Seeds from "../simulation/Seeds.ts"

/** Its processes have what others leave: on a slow machine little, until those have ended. */
const minutes = 60_000

/** Within so many seeds a planted bug must be found. */
const seedsMax = 500

let folder: string
let program: string

beforeAll(async () => {
  folder = await Bundle.folder()
  program = join(folder, "simulation.mjs")
  await Bundle.make(program)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

describe("simulation", () => {
  it("the same seed is the same run, to the last frame: twice in one process, and in another", async () => {
    const seeds = { from: 0, count: 50 }
    const [here, there] = await Promise.all([
      Seeds.digests(program, { ...seeds, wanted: "twice" }),
      Seeds.digests(program, { ...seeds, wanted: "digests" })
    ])
    assert.lengthOf(here, 50)
    assert.deepStrictEqual(here, there.map((digest) => ({ ...digest, same: true })))
    // and another seed is another run
    assert.lengthOf(new Set(here.map(({ digest }) => digest)), 50)
    for (const { lines, seed } of here) assert.isAbove(lines, 15, `seed ${seed}`)
  }, 15 * minutes)

  it(
    "C6 C7 C14 C15 E2 E3 S1 S3 T2 T6 T9 T10 T11 2000 seeds, in which everything goes wrong, and nothing is lost or done twice",
    async () => {
      const failures: Array<string> = []
      const totals = await Seeds.run(program, {
        from: 0,
        count: 2000,
        processes: availableParallelism(),
        onFailure: ({ problem, seed }) => failures.push(`npm run simulate -- --seed ${seed}: ${problem}`)
      })
      assert.deepStrictEqual(failures, [])
      assert.strictEqual(totals.seeds, 2000)
      assert.isAbove(totals.crashes, 5000, "hosts are killed")
    },
    25 * minutes
  )

  it("seeds that have failed once", async () => {
    const results = await Seeds.first(regressions.map(({ seed, theme }) => ({ program, from: seed, count: 1, theme })))
    const failed = regressions.flatMap(({ found }, i) => {
      const { failure } = results[i]!
      return failure ? [`${found}: seed ${failure.seed}: ${failure.problem}`] : []
    })
    assert.deepStrictEqual(failed, [])
    assert.deepStrictEqual(results.map(({ seeds }) => seeds), regressions.map(() => 1))
  }, 15 * minutes)
})

describe("a bug that is planted is found", () => {
  const copyOf = (i: number) => join(folder, `planted-${i}.mjs`)
  let hinted: ReadonlyArray<Seeds.First>

  beforeAll(async () => {
    for (const [i, bug] of planted.entries()) await Bundle.make(copyOf(i), bug)
    hinted = await Seeds.first(planted.map(({ seed, theme }, i) => ({
      program: copyOf(i),
      from: seed,
      count: 1,
      theme
    })))
  }, 15 * minutes)

  it.each(planted.map(({ name, theme }, i) => [name, i, theme] as const))("%s", async (_, i, theme) => {
    if (hinted[i]!.failure) return
    // what a seed does changes with every change of the code: then others are looked at
    const [searched] = await Seeds.first([{ program: copyOf(i), from: 0, count: seedsMax, theme }])
    assert.isDefined(searched!.failure, `${seedsMax} seeds do not find it`)
  }, 15 * minutes)
})
