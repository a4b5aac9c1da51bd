/**
 * `npm run simulate`: runs seeds, and prints those that fail and how to see why.
 *
 * --seeds 2000     how many
 * --from 0         the first of them
 * --seed 17        one seed, with everything that happens in it
 * --theme late     a theme for all of them; `Themes.ts` has what there is
 * --planted        how many seeds it takes to find each planted bug
 */
import { rm } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as Bundle from "./Bundle.ts"
import { planted } from "./Planted.ts"
import * as Seeds from "./Seeds.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    from: { type: "string", default: "0" },
    seed: { type: "string" },
    theme: { type: "string" },
    planted: { type: "boolean", default: false }
  }
})

/** Within so many seeds each planted bug must be found. */
const seedsMax = 500

const folder = await Bundle.folder()
const program = join(folder, "simulation.mjs")

const { theme } = values

const replay = (seed: number) => `npm run simulate -- --seed ${seed}${theme === undefined ? "" : ` --theme ${theme}`}`

const runOne = async (seed: string): Promise<number> => {
  await Bundle.make(program)
  await Seeds.work([{ program, from: Number(seed), count: 1, wanted: "trace", theme }], (line) => console.log(line))
  return 0
}

const runMany = async (): Promise<number> => {
  await Bundle.make(program)
  const begun = Date.now()
  const totals = await Seeds.run(program, {
    from: Number(values.from),
    count: Number(values.seeds),
    processes: availableParallelism(),
    theme,
    onFailure: ({ problem, seed }) => console.log(`seed ${seed}: ${problem}\n  ${replay(seed)}`)
  })
  const seconds = (Date.now() - begun) / 1000
  console.log(
    `${totals.seeds} seeds, ${totals.failed} failed; ${totals.crashes} hosts killed, ${totals.lines} things traced, `
      + `${Math.round(totals.virtualHours)} hours of virtual time in ${seconds.toFixed(1)} s`
  )
  return totals.failed === 0 ? 0 : 1
}

const runPlanted = async (): Promise<number> => {
  let missed = 0
  for (const [i, bug] of planted.entries()) {
    const copy = join(folder, `planted-${i}.mjs`)
    await Bundle.make(copy, bug)
    const [found] = await Seeds.first([{
      program: copy,
      from: Number(values.from),
      count: seedsMax,
      theme: theme ?? bug.theme
    }])
    const { failure, seeds } = found!
    if (!failure) missed++
    console.log(
      failure
        ? `found by seed ${failure.seed}, after ${seeds} seeds: ${bug.name}\n  ${failure.problem}`
        : `NOT FOUND in ${seedsMax} seeds: ${bug.name}`
    )
  }
  console.log(`${planted.length - missed} of ${planted.length} planted bugs were found`)
  return missed === 0 ? 0 : 1
}

try {
  process.exitCode = values.seed !== undefined
    ? await runOne(values.seed)
    : values.planted
    ? await runPlanted()
    : await runMany()
} finally {
  await rm(folder, { recursive: true, force: true })
}
