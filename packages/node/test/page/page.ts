/** A page that makes numbered calls, and keeps what it is told, for tests to look at. Its address has its name. */
import * as ActorClient from "@troupe/client/ActorClient"
import * as WebSocketTransport from "@troupe/client/WebSocketTransport"
import * as Gap from "@troupe/contract/Gap"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Register } from "../utils/Register.ts"

/** An answer: the entry, and its place or the error. */
export type Answer = readonly [entry: string, place: number | string]

/** Something that was told, and when, in milliseconds since the page was opened. */
export type Moment = readonly [what: string, at: number]

export interface Told {
  readonly answers: ReadonlyArray<Answer>
  /** Entries, and `gap`. */
  readonly events: ReadonlyArray<string>
  /** `Connected`, `resumed`, or the tag of the status. */
  readonly statuses: ReadonlyArray<Moment>
  /** What the browser has said of the network and of the page. */
  readonly moments: ReadonlyArray<Moment>
}

export interface Page {
  readonly told: Told
  /** Makes the calls of these numbers, `millis` after each other or all at once, without waiting for an answer. */
  readonly call: (from: number, to: number, millis?: number) => void
  /** Makes a call that waits for its gate. */
  readonly callGated: (number: number) => void
  /** In how many milliseconds the next dial is due; undefined if none is waited for. */
  readonly retryIn: () => number | undefined
  /** How many milliseconds ago a timer that should come every 250 of them has come. */
  readonly sinceTick: () => number
}

/** `name` is who this is, `port` where the links lead. */
const query = new URL(location.href).searchParams
const name = query.get("name")!

const answers: Array<Answer> = []
const events: Array<string> = []
const statuses: Array<Moment> = []
const moments: Array<Moment> = []
let tick = performance.now()

const note = (list: Array<Moment>, what: string) => void list.push([what, performance.now()])

for (const event of ["online", "offline", "pagehide", "pageshow"] as const) {
  addEventListener(event, (of) => note(moments, "persisted" in of && of.persisted ? `${event} persisted` : event))
}
for (const event of ["freeze", "resume"]) document.addEventListener(event, () => note(moments, event))
document.addEventListener("visibilitychange", () => note(moments, document.visibilityState))
setInterval(() => {
  tick = performance.now()
}, 250)

const program = Effect.gen(function*() {
  const register = yield* ActorClient.connect(Register, "a", { params: { name }, events: ["entered"] })
  yield* Effect.forkScoped(
    Stream.runForEach(
      register.status.changes,
      (status) =>
        Effect.sync(() => note(statuses, status._tag === "Connected" && status.resumed ? "resumed" : status._tag))
    )
  )
  yield* Effect.forkScoped(
    Stream.runForEach(
      yield* register.events("entered"),
      (event) => Effect.sync(() => events.push(Gap.isGap(event) ? "gap" : event))
    )
  )

  const enter = (rpc: "Enter" | "EnterGated", number: number) => {
    const entry = `${name}-${number}`
    Effect.runFork(
      register.rpc[rpc]({ entry }).pipe(
        Effect.catchAll((error) => Effect.succeed(`${error._tag} ${error.sent}`)),
        Effect.map((place) => answers.push([entry, place]))
      )
    )
  }
  const page: Page = {
    told: { answers, events, statuses, moments },
    call: (from, to, millis) => {
      for (let number = from; number <= to; number++) {
        if (millis === undefined) enter("Enter", number)
        else setTimeout(() => enter("Enter", number), (number - from) * millis)
      }
    },
    callGated: (number) => enter("EnterGated", number),
    retryIn: () => {
      const status = Effect.runSync(register.status.get)
      return status._tag === "Waiting" && status.retryAt._tag === "Some" ? status.retryAt.value - Date.now() : undefined
    },
    sinceTick: () => performance.now() - tick
  }
  Object.assign(globalThis, { page })
  return yield* Effect.never
})

const transport = WebSocketTransport.layer({ url: `ws://127.0.0.1:${query.get("port")}/actors` })

Effect.runFork(program.pipe(Effect.scoped, Effect.provide(Layer.provide(ActorClient.layer(), transport))))
