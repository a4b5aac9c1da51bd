/**
 * Runs seeds, one after another, and prints a line of JSON for each that has failed, or, if asked, for each.
 * Arguments: from, count, what is wanted: `failures`, `first` (and no more), `digests`, or `trace`; and a theme for all seeds.
 */
import { Effect } from "effect"
import type { Simulation } from "../src/index.ts"
import * as Themes from "./Themes.ts"
import { runSeed } from "./Workload.ts"

const [from = "0", count = "1", wanted = "failures", named] = process.argv.slice(2)

const theme = Themes.names.find((name) => name === named)
if (named !== undefined && !theme) throw new Error(`${named} is no theme: there are ${Themes.names.join(", ")}`)

const run = (seed: number, keepTrace = false): Simulation.Report => Effect.runSync(runSeed(seed, { keepTrace, theme }))

const tell = (value: unknown) => console.log(JSON.stringify(value))

/** The same seed, twice, must be the same run to the last frame. */
const twice = (seed: number) => {
  const [once, again] = [run(seed, true), run(seed, true)]
  const differs = once.trace.findIndex((line, i) => line !== again.trace[i])
  return {
    seed,
    digest: once.digest,
    lines: once.traceLength,
    same: differs === -1 && again.traceLength === once.traceLength
  }
}

const totals = { seeds: 0, failed: 0, crashes: 0, lines: 0, virtualHours: 0 }

for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  if (wanted === "digests") {
    tell(twice(seed))
    continue
  }
  const report = run(seed, wanted === "trace")
  if (wanted === "trace") {
    for (const line of report.trace) console.log(line)
    console.log(report.faults)
  }
  totals.seeds++
  totals.crashes += report.crashes
  totals.lines += report.traceLength
  totals.virtualHours += report.virtualMillis / 3_600_000
  if (report.problems.length === 0) continue
  totals.failed++
  tell({ seed, problem: report.problems[0]!.slice(0, 300) })
  if (wanted === "first") break
}
if (wanted !== "digests") tell(totals)
