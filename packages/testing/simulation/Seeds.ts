/** Runs seeds in processes of their own, as many at a time as there are cores. */
import { spawn } from "node:child_process"
import { constants, setPriority } from "node:os"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type * as Worker from "./worker.ts"

/** What is to be done, and the file of `Bundle.ts` that does it. */
export interface Job extends Worker.Job {
  readonly program: string
}

/** A seed makes much garbage, and many errors whose stacks nobody reads, and runs much code a few times only. */
const faster = ["--max-semi-space-size=64", "--stack-trace-limit=0", "--always-sparkplug"]

/** Does jobs in one process, and hands on what they tell as they do. */
export const work = (
  jobs: ReadonlyArray<Job>,
  onLine: (line: any, job: number) => void
): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [...faster, fileURLToPath(new URL("jobs.mjs", import.meta.url)), JSON.stringify(jobs)],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    // beside them go tests that look at the clock
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
    createInterface(child.stdout).on("line", (text) => {
      const [job, line] = JSON.parse(text)
      onLine(line, job)
    })
    child.on("error", reject).on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`the simulation has ended with ${code}`)))
  })

/** Runs `count` seeds from `from` on. Failures are told as they are found. */
export const run = async (
  program: string,
  options: {
    readonly from: number
    readonly count: number
    readonly processes: number
    /** Of all of them, instead of their own. */
    readonly theme?: string | undefined
    readonly onFailure: (failure: Worker.Failure) => void
  }
): Promise<Worker.Totals> => {
  const totals = { seeds: 0, failed: 0, crashes: 0, lines: 0, virtualHours: 0 }
  const atOnce = Math.max(1, Math.min(500, Math.ceil(options.count / options.processes)))
  const end = options.from + options.count
  let next = options.from
  const one = async (): Promise<void> => {
    while (next < end) {
      const from = next
      next = Math.min(end, from + atOnce)
      const job: Job = { program, from, count: next - from, wanted: "failures", theme: options.theme }
      await work([job], (line: Worker.Failure | Worker.Totals) => {
        if ("problem" in line) return options.onFailure(line)
        for (const name of Object.keys(totals) as Array<keyof Worker.Totals>) totals[name] += line[name]
      })
    }
  }
  await Promise.all(Array.from({ length: options.processes }, one))
  return totals
}

export interface First {
  readonly failure: Worker.Failure | undefined
  /** How many have been run until then. */
  readonly seeds: number
}

/** The first of some seeds that fails, if one does, of each of some jobs, which are done in one process. */
export const first = async (jobs: ReadonlyArray<Omit<Job, "wanted">>): Promise<ReadonlyArray<First>> => {
  const results = jobs.map((): First => ({ failure: undefined, seeds: 0 }))
  const wanted = jobs.map((job): Job => ({ ...job, wanted: "first" }))
  await work(wanted, (line: Worker.Failure | Worker.Totals, job) => {
    results[job] = "problem" in line ? { failure: line, seeds: 0 } : { ...results[job]!, seeds: line.seeds }
  })
  return results
}

/** Of each of `count` seeds from `from` on, run once or twice. */
export const digests = async (
  program: string,
  options: { readonly from: number; readonly count: number; readonly wanted: "digests" | "twice" }
): Promise<ReadonlyArray<Worker.Digest>> => {
  const all: Array<Worker.Digest> = []
  await work([{ program, ...options }], (line: Worker.Digest) => all.push(line))
  return all
}
