/** `npm run crash -- --kills 500 [--minutes 10] [--clients 8] [--seed 1]`: ends with 1 if anything is wrong. */
import { Effect, Random } from "effect"
import { parseArgs } from "node:util"
import * as Programs from "../test/utils/Programs.ts"
import * as CrashRun from "./CrashRun.ts"

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    minutes: { type: "string", default: "60" },
    clients: { type: "string", default: "8" },
    seed: { type: "string", default: "1" }
  }
})

const every = 25

const built = Effect.acquireRelease(Effect.promise(Programs.build), (remove) => Effect.promise(remove))

const run = CrashRun.make({
  kills: Number(values.kills),
  clients: Number(values.clients),
  secondsMax: Number(values.minutes) * 60,
  onKill: (kills) => kills % every === 0 && console.log(`${kills} kills`)
})

const report = await Effect.runPromise(
  Effect.scoped(Effect.zipRight(built, run)).pipe(Effect.withRandom(Random.make(Number(values.seed))))
)

const { calls, doubled, foreign, hung, kills, ledgers, lost, outOfOrder, seconds, unknown } = report
console.log(
  `${kills} kills, ${calls} calls on ${ledgers} ledgers, ${unknown} with an unknown outcome, ${lost} lost, ${doubled} doubled,`
    + ` ${foreign} foreign, ${outOfOrder} out of order, ${hung.length} hung, ${seconds} s`
)
if (hung.length > 0) console.log(`hung: ${hung.join(" ")}`)
process.exit(CrashRun.isWell(report) ? 0 : 1)
