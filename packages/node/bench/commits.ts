/**
 * What durability costs: turns that are made durable per second, and how late the event loop is meanwhile.
 *
 * `npm run bench:commits -- [--seconds 3] [--rounds 3] [--directory <where the files are>] [--only "host commit"]`
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { callsInFlight, hostLoad } from "./hostLoad.ts"
import { type Figures, type Load, measure } from "./Load.ts"
import { storeLoad, turnsPerCommit } from "./storeLoad.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    directory: { type: "string", default: Os.tmpdir() },
    only: { type: "string", default: "" }
  }
})

const seconds = Number(values.seconds)
const rounds = Number(values.rounds)

const actorCounts = [1, 16, 256]

const nameOf = ({ actors, durability, level }: Load) => `${level} ${durability} ${actors}`

const loads: ReadonlyArray<Load> = [
  ...(["commit", "fsync"] as const).flatMap((durability) => actorCounts.map((actors) => storeLoad(durability, actors))),
  ...(["memory", "commit", "fsync"] as const).flatMap((durability) =>
    actorCounts.map((actors) => hostLoad(durability, actors))
  )
].filter((load) => nameOf(load).startsWith(values.only))

const inDirectory = <A, E>(use: (directory: string) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(values.directory, "troupe-bench-"))),
    use,
    (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
  )

/** The middle one of each figure. */
const medianOf = (all: ReadonlyArray<Figures>) => (figure: keyof Figures): number =>
  Array.from(all, (figures) => figures[figure]).sort((a, b) => a - b)[all.length >> 1]!

const round = (digits: number) => (value: number) =>
  value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits })

const columns: ReadonlyArray<readonly [title: string, figure: keyof Figures, show: (value: number) => string]> = [
  ["turns/s", "turnsPerSecond", round(0)],
  ["commits/s", "commitsPerSecond", round(0)],
  ["transactions/s", "transactionsPerSecond", round(0)],
  ["CPU a turn", "cpuMicrosPerTurn", round(1)],
  ["late p50", "lateMillisP50", round(1)],
  ["late p99", "lateMillisP99", round(1)],
  ["late max", "lateMillisMax", round(1)]
]

const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

const row = ({ actors, durability, level }: Load, all: ReadonlyArray<Figures>) =>
  line([level, durability, `${actors}`, ...columns.map(([, figure, show]) => show(medianOf(all)(figure)))])

const table = (results: ReadonlyMap<Load, ReadonlyArray<Figures>>) =>
  [
    line(["", "durability", "actors", ...columns.map(([title]) => title)]),
    line(["---", "---", "--:", ...columns.map(() => "--:")]),
    ...Array.from(results, ([load, all]) => row(load, all))
  ].join("\n")

const about = [
  `Node ${process.version}, ${Os.cpus().length} cores (${Os.cpus()[0]?.model.trim()}), files in ${values.directory}.`,
  `Medians of ${rounds} rounds of ${seconds} s, in which all rows take turns. "store": ${turnsPerCommit} turns with their`,
  `recorded replies in each commit, one commit of each actor on its way. "host": ${callsInFlight} calls of each actor on`,
  "their way, each a turn. \"CPU\": microseconds of all threads. \"late\": how late the event loop ran a timer of one",
  "millisecond, in milliseconds."
].join("\n")

/** Each round runs all loads, so that what slows the machine down for a while slows all of them down. */
const program = Effect.gen(function*() {
  const results = new Map(loads.map((load) => [load, new Array<Figures>()]))
  for (let i = 0; i < rounds; i++) {
    for (const [load, all] of results) {
      all.push(yield* inDirectory((directory) => measure(load, `${directory}/store.db`, seconds)))
      process.stderr.write(`${i + 1}/${rounds} ${row(load, all.slice(-1))}\n`)
    }
  }
  console.log(`${about}\n\n${table(results)}`)
})

await Effect.runPromise(program)
