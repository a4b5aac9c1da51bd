/** Runs seeds. `Bundle.ts` makes a program of it, which `jobs.mjs` runs. */
import { Effect } from "effect"
import type { Simulation } from "../src/index.ts"
import * as Themes from "./Themes.ts"
import { runSeed } from "./Workload.ts"

export interface Job {
  readonly from: number
  readonly count: number
  /** Those that have failed; the first of them, and no more; digests of each, of one run or of two; or all that happens. */
  readonly wanted: "failures" | "first" | "digests" | "twice" | "trace"
  /** Of all seeds, instead of their own. */
  readonly theme?: string | undefined
}

/** Of some seeds. */
export interface Totals {
  readonly seeds: number
  readonly failed: number
  readonly crashes: number
  /** Of the traces: frames, commits, and all else that happened. */
  readonly lines: number
  readonly virtualHours: number
}

export interface Failure {
  readonly seed: number
  readonly problem: string
}

export interface Digest {
  readonly seed: number
  readonly digest: string
  readonly lines: number
  /** Whether it was the same run when it was run again at once, if it was. */
  readonly same?: boolean
}

/** Runs the seeds of a job, one after another, and tells what is wanted; in the end the totals, but of digests. */
export const work = (
  { count, from, theme: named, wanted }: Job,
  tell: (line: Totals | Failure | Digest | string) => void
): void => {
  const theme = Themes.names.find((name) => name === named)
  if (named !== undefined && !theme) throw new Error(`${named} is no theme: there are ${Themes.names.join(", ")}`)

  const run = (seed: number, keepTrace = false): Simulation.Report =>
    Effect.runSync(runSeed(seed, { keepTrace, theme }))

  const digest = (seed: number): Digest => {
    const { digest, traceLength } = run(seed)
    return { seed, digest, lines: traceLength }
  }

  /** The same seed, twice, must be the same run to the last frame. */
  const twice = (seed: number): Digest => {
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
  for (let seed = from; seed < from + count; seed++) {
    if (wanted === "digests" || wanted === "twice") {
      tell(wanted === "twice" ? twice(seed) : digest(seed))
      continue
    }
    const report = run(seed, wanted === "trace")
    if (wanted === "trace") {
      for (const line of report.trace) tell(line)
      tell(JSON.stringify(report.faults))
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
  if (totals.seeds > 0) tell(totals)
}
