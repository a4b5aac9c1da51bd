/** A server process of `utils/Visited.ts`, which says what it holds. */
import type { SqliteStore } from "@troupe/node"
import type { ActorHttp, Gateway, HostOptions } from "@troupe/server"
import { Effect } from "effect"
import * as Directory from "./Directory.ts"
import { freePort } from "./freePort.ts"
import * as Program from "./Program.ts"
import { until } from "./until.ts"
import type { Vitals } from "./Vitals.ts"

/** Options of the layers that are JSON. */
export interface Options {
  readonly host?: HostOptions.Options
  readonly gateway?: Omit<Gateway.Options, "actors">
  readonly http?: Omit<ActorHttp.Options<[]>, "actors">
  readonly store?: Omit<SqliteStore.Options, "filename">
}

const prefix = "vitals "

export const serve = (options: Options = {}) =>
  Effect.gen(function*() {
    const port = yield* freePort
    const filename = `${yield* Directory.temporary}/store.db`
    const program = yield* Program.start("serve-visited", [`${port}`, filename, JSON.stringify(options)], {
      // what the engine compiles, and the notes it takes for that, would be most of what grows
      flags: ["--expose-gc", "--no-opt", "--always-sparkplug"]
    })
    yield* program.said("open")
    const said = () => program.lines.filter((line) => line.startsWith(prefix))
    const vitals = Effect.gen(function*() {
      const before = said().length
      yield* program.kill("SIGUSR2")
      yield* until(() => said().length > before, "it says what it holds")
      return JSON.parse(said().at(-1)!.slice(prefix.length)) as Vitals
    })
    /** Looks again and again, until it holds no more than this of what can be counted. */
    const restsAt = (most: Omit<Vitals, "bytes" | "code">) =>
      Effect.gen(function*() {
        let last: Vitals | undefined
        const isOver = (vitals: Vitals) =>
          Object.entries(most).some(([what, max]) => vitals[what as keyof Vitals] > max)
        yield* until(
          async () => !isOver(last = await Effect.runPromise(vitals)),
          `the server holds no more than ${JSON.stringify(most)}`,
          "20 seconds"
        ).pipe(Effect.tapErrorCause(() => Effect.sync(() => console.log(`it holds ${JSON.stringify(last)}`))))
        return last!
      })
    return { port, filename, program, vitals, restsAt }
  })
