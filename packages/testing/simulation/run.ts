/** `npm run simulate -- --seeds 1000 [--from 0] [--seed 17]`: runs seeds, and prints those that fail, and how to see why. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { runSeed } from "./Workload.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    seed: { type: "string" }
  }
})

if (values.seed !== undefined) {
  const report = Effect.runSync(runSeed(Number(values.seed), { keepTrace: true }))
  for (const line of report.trace) console.log(line)
  console.log(report.faults)
  console.log(report.problems.length === 0 ? "no problem" : report.problems.join("\n"))
  process.exit(report.problems.length === 0 ? 0 : 1)
}

const from = Number(values.from)
const count = Number(values.seeds)
const begun = Date.now()
let failed = 0
for (let seed = from; seed < from + count; seed++) {
  const report = Effect.runSync(runSeed(seed))
  if (report.problems.length === 0) continue
  failed++
  console.log(`seed ${seed}: ${report.problems[0]!.slice(0, 300)}`)
  console.log(`  npm run simulate -- --seed ${seed}`)
}
const seconds = (Date.now() - begun) / 1000
console.log(`${count} seeds in ${seconds.toFixed(1)} s, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
