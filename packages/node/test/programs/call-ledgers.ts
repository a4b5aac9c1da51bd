/**
 * A client process: calls ledgers over a port, in several sessions and several calls at a time, until it gets SIGTERM, and
 * writes a line for each call that has ended. Then it waits for the answers that are still out, and ends; if some do not
 * come, it says which.
 */
import * as ActorClient from "@troupe/client/ActorClient"
import * as NodeWebSocketTransport from "@troupe/node/NodeWebSocketTransport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import type { Answer } from "../../crash/Answer.ts"
import { Ledger } from "../utils/Ledger.ts"
import * as Logs from "../utils/Logs.ts"

const [, , port, client, ...lanes] = process.argv

/** How many calls of a session are out at a time. */
const atATime = 4

/** A ledger with so many entries is full, and all go on with the next. */
const entriesMax = 300

/** How long answers may take to come when the server is there. */
const settledIn = "60 seconds"

let stop = false
process.on("SIGTERM", () => {
  stop = true
})

const connect = (key: string) => ActorClient.connect(Ledger, key)
type Rpc = Effect.Effect.Success<ReturnType<typeof connect>>["rpc"]

/** A call: how it ended, and the place it was given. */
type Ended = Omit<Answer, "key" | "entry">

/** A call that nobody sends again, by a backend; each on a connection of its own. */
const enter = (key: string, entry: string): Effect.Effect<Ended> =>
  Effect.async((resume) => {
    const lost = () => resume(Effect.succeed({ end: "unknown" }))
    const request = Http.request({ port, path: "/enter", method: "POST", host: "127.0.0.1", agent: false })
    request.on("error", lost).on("close", lost).on("response", (response) => {
      let body = ""
      response.on("data", (chunk: Buffer) => (body += chunk.toString()))
      response.on("end", () => {
        if (response.statusCode === 200) resume(Effect.succeed({ end: "done", ledger: Number(body) }))
        else lost()
      })
      response.on("error", lost)
    })
    request.end(JSON.stringify({ key, entry }))
  })

/** A call whose answers are a stream, which is lost with the server. */
const tail = (rpc: Rpc, entry: string) =>
  rpc.AppendAndTail({ entry }).pipe(
    Stream.runCollect,
    Effect.map((values): Ended => {
      const all = Array.from(values)
      return { end: "done", ledger: all.at(-1)!.place, tail: all.map(({ entry }) => entry) }
    }),
    Effect.catchTag("OutcomeUnknown", () => Effect.succeed<Ended>({ end: "unknown" }))
  )

const decline = (rpc: Rpc, entry: string) =>
  Effect.flip(rpc.AppendAndDecline({ entry })).pipe(
    Effect.filterOrDie((error) => error._tag === "Declined" && error.entry === entry, (error) => error),
    Effect.as<Ended>({ end: "declined" })
  )

/** Each eighth call is of the same kind. The order of calls is promised among those of one letter. */
const call = (rpc: Rpc, key: string, letters: string, number: number): Effect.Effect<Answer, unknown> => {
  const named = (kind: string, start: (entry: string) => Effect.Effect<Ended, unknown>) => {
    const entry = `${letters}${kind}-${number}`
    out.add(entry)
    return Effect.map(start(entry), (ended): Answer => ({ key, entry, ...ended }))
  }
  switch (number % 8) {
    case 5:
      return named("", (entry) => Effect.map(rpc.AppendBySlip({ entry }), (told) => ({ end: "done", ...told })))
    case 2:
      return named("", (entry) => Effect.map(rpc.AppendToBoth({ entry }), (places) => ({ end: "done", ...places })))
    case 3:
      return named("s", (entry) => tail(rpc, entry))
    case 6:
      return named("", (entry) => decline(rpc, entry))
    case 7:
      return named("b", (entry) => enter(key, entry))
    default:
      return named("", (entry) => Effect.map(rpc.Append({ entry }), (ledger) => ({ end: "done", ledger })))
  }
}

/** What has been asked for and has not ended. */
const out = new Set<string>()

/** A session on one ledger, until it is full. Returns the number of the next call. */
const fill = (key: string, letters: string, first: number) =>
  Effect.gen(function*() {
    const { rpc } = yield* connect(key)
    let next = first
    for (let place = 0; !stop && place < entriesMax;) {
      const numbers = Array.from({ length: atATime }, () => next++)
      const answers = yield* Effect.forEach(numbers, (number) =>
        Effect.tap(call(rpc, key, letters, number), (answer) =>
          Effect.sync(() => {
            out.delete(answer.entry)
            console.log(JSON.stringify(answer))
          })), { concurrency: "unbounded" })
      place = Math.max(...answers.map(({ ledger = 0 }) =>
        ledger
      ))
    }
    return next
  })

/** Sessions on the ledgers of a lane, one after the other. */
const walk = (lane: string) =>
  Effect.gen(function*() {
    for (let page = 0, next = 0; !stop; page++) {
      next = yield* Effect.scoped(fill(`${lane}${page}`, `${client}${lane}`, next))
    }
  })

const Live = ActorClient.layer({ schedule: Schedule.spaced("20 millis") }).pipe(
  Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` })),
  Layer.provideMerge(Logs.toErrors)
)

const patience = Effect.repeat(Effect.sync(() => stop), {
  until: (stopped) => stopped,
  schedule: Schedule.spaced("50 millis")
}).pipe(Effect.zipRight(Effect.sleep(settledIn)))

const program = Effect.gen(function*() {
  const ended = yield* Effect.raceFirst(
    Effect.asSome(Effect.forEach(lanes, walk, { concurrency: "unbounded" })),
    Effect.as(patience, Option.none())
  )
  if (Option.isNone(ended)) console.log(JSON.stringify({ hung: Array.from(out) }))
}).pipe(Effect.provide(Live))

Effect.runPromise(program).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  }
)
