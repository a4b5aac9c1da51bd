/** Servers of `Feed.ts` as processes, and their clients. */
import type { Gateway, HostOptions } from "@troupe/server"
import { Effect } from "effect"
import { Feed } from "./Feed.ts"
import { freePort } from "./freePort.ts"
import { client } from "./LogServer.ts"
import * as Program from "./Program.ts"
import { until } from "./until.ts"

/** Options of `ActorHost.layer` and `ActorServer.layer` that are JSON. */
export interface Options {
  readonly host?: HostOptions.Options
  readonly gateway?: Omit<Gateway.Options, "actors"> & { readonly origins?: ReadonlyArray<string> }
}

/** A server process: its port, and how many bytes of memory it has in use. */
export const serve = (options: Options = {}) =>
  Effect.gen(function*() {
    const port = yield* freePort
    const program = yield* Program.start("serve-feed", [`${port}`, JSON.stringify(options)], {
      env: { NODE_OPTIONS: "--expose-gc" }
    })
    yield* program.said("open")
    const bytes = Effect.gen(function*() {
      const before = program.lines.length
      yield* program.kill("SIGUSR2")
      yield* until(() => program.lines.length > before, "it says how much memory it has")
      return Number(program.lines.at(-1)!.split(" ")[1])
    })
    return { port, bytes, program }
  })

/** A connection of this name, over a link of its own. */
export const connect = (port: number, name: string) =>
  Effect.flatMap(client(port), ({ connect }) => connect(Feed, "a", { params: { name }, events: ["posted"] }))
