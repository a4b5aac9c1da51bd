/** A server whose store fails and recovers, as its clients see it: calls wait, and each takes effect once. */
import { assert } from "@effect/vitest"
import type { ConnectionStatus } from "@troupe/client"
import { Gap } from "@troupe/contract"
import { Effect, Fiber, Stream } from "effect"
import * as LogServer from "./LogServer.ts"
import { until } from "./until.ts"

/** What breaks a store, and what mends it. */
export interface Failure {
  readonly begin: Effect.Effect<unknown>
  readonly end: Effect.Effect<unknown>
  /** How many calls it meets. Default: 20. */
  readonly calls?: number
  /** Whether an actor can still be read, and so come into memory. Default: it cannot. */
  readonly wakes?: boolean
  /** How many characters their entries have at least. Default: few. */
  readonly length?: number
}

export const hasReason = (tag: "ActivationLost" | "Unavailable") => (status: ConnectionStatus.ConnectionStatus) =>
  status._tag === "Waiting" && status.cause._tag === "NotOpened" && status.cause.reason._tag === tag

/** A client that notes all it is told. */
export const connect = (port: number) =>
  Effect.gen(function*() {
    // so that only the first loss of a connection is made good at once, and the reasons of the others can be seen
    const log = yield* LogServer.connect(port, { stableAfter: "1 hour" })
    const statuses: Array<ConnectionStatus.ConnectionStatus> = []
    const answers: Array<number> = []
    const heard: Array<unknown> = []
    yield* Effect.forkScoped(
      Stream.runForEach(log.status.changes, (status) => Effect.sync(() => statuses.push(status)))
    )
    yield* Effect.forkScoped(
      Stream.runForEach(yield* log.events("appended"), (event) =>
        Effect.sync(() => Gap.isGap(event) || heard.push(event)))
    )
    const append = (entry: string) =>
      Effect.tap(log.rpc.Append({ entry }), (count) =>
        Effect.sync(() => answers.push(count)))
    return { append, answers, entries: log.rpc.Entries(), heard, statuses }
  })

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)

/** Calls a server whose store fails meanwhile, twice, and finds each call executed once, in order, after the recovery. */
export const survives = (port: number, { begin, calls: count = 20, end, length = 0, wakes = false }: Failure) =>
  Effect.gen(function*() {
    const client = yield* connect(port)
    const entries: Array<string> = []
    const named = (name: string) => name.padEnd(length, ".")
    let lost = false
    for (const round of [1, 2]) {
      const before = yield* client.append(named(`${round}`))
      entries.push(named(`${round}`))
      assert.strictEqual(before, entries.length)
      yield* until(() => client.heard.length >= client.answers.length)
      yield* begin
      const told = { answers: client.answers.length, heard: client.heard.length }
      client.statuses.length = 0
      const mine = numbers(0, count).map((i) => named(`${round}-${i}`))
      const calls = yield* Effect.forEach(mine, (entry) => Effect.fork(client.append(entry)))
      // the next activation cannot be had either, or is lost with its first commit, however often it is asked for
      const isRefused = (status: ConnectionStatus.ConnectionStatus) =>
        hasReason("Unavailable")(status) || (wakes && hasReason("ActivationLost")(status))
      yield* until(() => client.statuses.filter(isRefused).length >= 3, "the actor is unavailable")
      // a first loss on a link is made good at once, and its reason is not shown
      lost ||= client.statuses.some(hasReason("ActivationLost"))
      if (!wakes) assert.isFalse(client.statuses.some(({ _tag }) => _tag === "Connected"))
      assert.deepStrictEqual({ answers: client.answers.length, heard: client.heard.length }, told)
      yield* end
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), numbers(before + 1, mine.length))
      entries.push(...mine)
    }
    assert.deepStrictEqual(yield* client.entries, entries)
    return { entries, lost }
  })
