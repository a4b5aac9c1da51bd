/** Something that keeps a system busy, and what it achieves. */
import { ActorStore } from "@troupe/server/ActorStore"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import Database from "libsql"
import { monitorEventLoopDelay } from "node:perf_hooks"

export type Durability = "memory" | "commit" | "fsync"

/** What has been done so far. */
export class Progress {
  /** Turns whose effect is as durable as it is to be, so that their answers may leave. */
  turns = 0
  /** Commits of single actors: each holds all turns that its actor has ended meanwhile. */
  commits = 0
  /** Transactions of the store: each holds commits of several actors. */
  transactions = 0
  /** Why nothing is done any more. */
  failure: unknown

  /** Counts what a store commits. */
  readonly count = (store: typeof ActorStore.Service): typeof ActorStore.Service =>
    ActorStore.of({
      ...store,
      commit: (batch) =>
        Effect.tap(store.commit(batch), () =>
          Effect.sync(() => {
            this.commits += batch.length
            this.transactions++
          }))
    })
}

export interface Load {
  readonly level: "store" | "host"
  readonly durability: Durability
  readonly actors: number
  /** Keeps the system busy until the scope closes, with a store in that file. Each turn adds one to its actor's count. */
  readonly run: (filename: string, progress: Progress) => Effect.Effect<void, unknown, Scope.Scope>
}

export interface Figures {
  readonly turnsPerSecond: number
  readonly commitsPerSecond: number
  readonly transactionsPerSecond: number
  /** What all threads of the process have worked for one turn. */
  readonly cpuMicrosPerTurn: number
  /** By how much the event loop was late. */
  readonly lateMillisP50: number
  readonly lateMillisP99: number
  readonly lateMillisMax: number
}

/** How often the event loop is asked how late it is. */
const resolutionMillis = 1

/**
 * The monitor notes the time between two runs of a timer with that interval. The interval is subtracted; what is left is
 * how long the loop was busy with something else. So a loop that is blocked for long is late once, not many times.
 */
const lateMillis = (nanos: number): number => Math.max(0, nanos / 1e6 - resolutionMillis)

const during = (seconds: number, progress: Progress): Effect.Effect<Figures> =>
  Effect.gen(function*() {
    const { turns, commits, transactions } = progress
    const delays = monitorEventLoopDelay({ resolution: resolutionMillis })
    const cpu = process.cpuUsage()
    const began = performance.now()
    delays.enable()
    yield* Effect.sleep(seconds * 1000)
    delays.disable()
    const { user, system } = process.cpuUsage(cpu)
    const elapsed = (performance.now() - began) / 1000
    return {
      turnsPerSecond: (progress.turns - turns) / elapsed,
      commitsPerSecond: (progress.commits - commits) / elapsed,
      transactionsPerSecond: (progress.transactions - transactions) / elapsed,
      cpuMicrosPerTurn: (user + system) / (progress.turns - turns),
      lateMillisP50: lateMillis(delays.percentile(50)),
      lateMillisP99: lateMillis(delays.percentile(99)),
      lateMillisMax: lateMillis(delays.max)
    }
  })

/** What all actors of a file have counted, together. */
const storedTurns = (filename: string): number => {
  const db = new Database(filename)
  const row = db.prepare("SELECT coalesce(sum(state ->> '$.count'), 0) AS turns FROM actor").get()
  db.close()
  return (row as { readonly turns: number }).turns
}

/** Runs a load, lets it warm up, measures, and looks into the file whether it is true. */
export const measure = (load: Load, filename: string, seconds: number): Effect.Effect<Figures, unknown> =>
  Effect.gen(function*() {
    const progress = new Progress()
    const figures = yield* Effect.scoped(Effect.gen(function*() {
      yield* load.run(filename, progress)
      yield* Effect.sleep("1 second")
      return yield* during(seconds, progress)
    }))
    if (progress.failure !== undefined) return yield* Effect.die(progress.failure)
    const stored = storedTurns(filename)
    if (load.durability === "memory" ? stored > 0 : stored < progress.turns) {
      return yield* Effect.dieMessage(`${progress.turns} turns were answered, and ${stored} are in the file`)
    }
    return figures
  })
