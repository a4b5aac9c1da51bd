/** Runs seeds in processes of their own, as many at a time as there are cores. */
import { spawn } from "node:child_process"
import { constants, setPriority } from "node:os"
import { createInterface } from "node:readline"

export interface Failure {
  readonly seed: number
  readonly problem: string
}

export interface Totals {
  readonly seeds: number
  readonly failed: number
  readonly crashes: number
  /** Of the traces: frames, commits, and all else that happened. */
  readonly lines: number
  readonly virtualHours: number
}

/** A seed makes much garbage, and many errors whose stacks nobody reads, and runs much code a few times only. */
const faster = ["--max-semi-space-size=64", "--stack-trace-limit=0", "--always-sparkplug"]

const worker = (
  program: string,
  args: ReadonlyArray<string | number>,
  onLine: (line: any) => void
): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...faster, program, ...args.map(String)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    // beside them go tests that look at the clock
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
    createInterface(child.stdout).on("line", (line) => onLine(JSON.parse(line)))
    child.on("error", reject).on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`the simulation has ended with ${code}`)))
  })

const argsOf = (
  from: number,
  count: number,
  wanted: string,
  theme: string | undefined
) => [from, count, wanted, ...(theme === undefined ? [] : [theme])]

/** Runs `count` seeds from `from` on. Failures are told as they are found. */
export const run = async (
  program: string,
  options: {
    readonly from: number
    readonly count: number
    readonly processes: number
    /** Of all of them, instead of their own. */
    readonly theme?: string | undefined
    readonly onFailure: (failure: Failure) => void
  }
): Promise<Totals> => {
  const totals = { seeds: 0, failed: 0, crashes: 0, lines: 0, virtualHours: 0 }
  const atOnce = Math.max(1, Math.min(500, Math.ceil(options.count / options.processes)))
  const end = options.from + options.count
  let next = options.from
  const work = async (): Promise<void> => {
    while (next < end) {
      const from = next
      next = Math.min(end, from + atOnce)
      await worker(program, argsOf(from, next - from, "failures", options.theme), (line: Failure | Totals) => {
        if ("problem" in line) return options.onFailure(line)
        for (const name of Object.keys(totals) as Array<keyof Totals>) totals[name] += line[name]
      })
    }
  }
  await Promise.all(Array.from({ length: options.processes }, work))
  return totals
}

/** The first of some seeds that fails, if one does, and how many have been run until then. */
export const first = async (
  program: string,
  options: { readonly from: number; readonly count: number; readonly theme?: string | undefined }
): Promise<{ readonly failure: Failure | undefined; readonly seeds: number }> => {
  let failure: Failure | undefined
  let seeds = 0
  await worker(program, argsOf(options.from, options.count, "first", options.theme), (line: Failure | Totals) => {
    if ("problem" in line) failure ??= line
    else seeds = line.seeds
  })
  return { failure, seeds }
}

export interface Digest {
  readonly seed: number
  readonly digest: string
  readonly lines: number
  /** Whether it was the same run when it was run again at once. */
  readonly same: boolean
}

export const digests = async (program: string, from: number, count: number): Promise<ReadonlyArray<Digest>> => {
  const all: Array<Digest> = []
  await worker(program, [from, count, "digests"], (line: Digest) => all.push(line))
  return all
}
