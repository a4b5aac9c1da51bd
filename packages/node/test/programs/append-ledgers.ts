/**
 * A client process: calls ledgers over a port, in several sessions and several calls at a time, until it gets SIGTERM.
 * Then it waits for the answers that are still out, writes a line for each call and its answer, and ends.
 */
import * as ActorClient from "@troupe/client/ActorClient"
import * as NodeWebSocketTransport from "@troupe/node/NodeWebSocketTransport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Ledger } from "../utils/Ledger.ts"
import * as Logs from "../utils/Logs.ts"

const [, , port, client, ...keys] = process.argv

/** How many calls of a session are out at a time. */
const atATime = 4

let stop = false
process.on("SIGTERM", () => {
  stop = true
})

/** One session on one ledger. */
const session = (key: string) =>
  Effect.gen(function*() {
    const ledger = yield* ActorClient.connect(Ledger, key)
    const call = (number: number) => {
      const entry = `${client}-${number}`
      const appended = number % 3 === 2
        ? ledger.rpc.AppendToBoth({ entry })
        : Effect.map(ledger.rpc.Append({ entry }), (place) => ({ ledger: place, journal: 0 }))
      return Effect.map(appended, (places) => JSON.stringify({ key, entry, ...places }))
    }
    const answers: Array<string> = []
    for (let i = 0; !stop; i += atATime) {
      const numbers = Array.from({ length: atATime }, (_, n) => i + n)
      answers.push(...(yield* Effect.forEach(numbers, call, { concurrency: "unbounded" })))
    }
    return answers
  })

const Live = ActorClient.layer({ schedule: Schedule.spaced("20 millis") }).pipe(
  Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` })),
  Layer.provideMerge(Logs.toErrors)
)

const program = Effect.forEach(keys, session, { concurrency: "unbounded" }).pipe(
  Effect.tap((answers) => Effect.sync(() => console.log(answers.flat().join("\n")))),
  Effect.scoped,
  Effect.provide(Live)
)

Effect.runPromise(program).catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
