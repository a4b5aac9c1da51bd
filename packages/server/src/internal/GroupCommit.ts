/**
 * Puts the commits of all actors of a host into one transaction at a time, and lets what waited for a large one go on
 * little by little, so that the event loop gets to other things in between.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ActorStore, Commit, CommitResult } from "../ActorStore.ts"
import * as Metrics from "../Metrics.ts"

interface Submitted {
  readonly commit: Commit
  readonly turns: number
  readonly onResult: (result: CommitResult) => void
}

interface Result {
  readonly turns: number
  readonly tell: () => void
}

/** The result of a commit of which the store has not told any. */
const failed: CommitResult = { _tag: "failed", message: "the store failed" }

/** How many turns go on before the event loop gets to other things. Each brings work with it: its answer, the next call. */
const turnsAtOnce = 256

export class GroupCommit {
  private waiting: Array<Submitted> = []
  private running = false
  private results: Array<Result> = []
  private telling = false

  constructor(
    private readonly store: typeof ActorStore.Service,
    private readonly fork: (effect: Effect.Effect<void>) => void,
    private readonly schedule: (task: () => void) => void,
    private readonly clock: Clock.Clock
  ) {}

  /** Commits so many turns with the next transaction. While one is on its way the next coalesces behind it. */
  readonly submit = (commit: Commit, turns: number, onResult: (result: CommitResult) => void): void => {
    this.waiting.push({ commit, turns, onResult })
    if (this.running) return
    this.running = true
    this.schedule(() => this.fork(this.drain))
  }

  private readonly drain: Effect.Effect<void> = Effect.suspend(() => {
    const batch = this.waiting
    this.waiting = []
    if (batch.length === 0) {
      this.running = false
      return Effect.void
    }
    const begun = this.clock.unsafeCurrentTimeNanos()
    return Effect.suspend(() => this.store.commit(batch.map(({ commit }) => commit))).pipe(
      Effect.catchAllCause((cause) => {
        Metrics.commitFailures.unsafeUpdate(1, [])
        // a logger that throws must not end what all commits go through
        this.fork(Effect.logError("commit failed", cause))
        return Effect.succeed<ReadonlyArray<CommitResult>>([])
      }),
      Effect.flatMap((results) => {
        this.measure(batch, begun)
        batch.forEach(({ onResult, turns }, i) =>
          this.results.push({ turns, tell: () => onResult(results[i] ?? failed) })
        )
        if (!this.telling) this.tell()
        // the next transaction is on its way while the rest is told
        return this.drain
      })
    )
  })

  private measure(batch: ReadonlyArray<Submitted>, begun: bigint): void {
    Metrics.commitActors.unsafeUpdate(batch.length, [])
    Metrics.commitTurns.unsafeUpdate(batch.reduce((sum, { turns }) => sum + turns, 0), [])
    Metrics.commitSeconds.unsafeUpdate(Number(this.clock.unsafeCurrentTimeNanos() - begun) / 1e9, [])
  }

  /** Tells some results. Timers, and what comes from outside, go before the rest. */
  private tell(): void {
    let next = 0
    for (let turns = 0; next < this.results.length && turns < turnsAtOnce; next++) {
      turns += this.results[next]!.turns
      try {
        this.results[next]!.tell()
      } catch (cause) {
        // a bug behind one actor must not keep the commits of all others from going on
        this.fork(Effect.logError("what a commit has led to has died", Cause.die(cause)))
      }
    }
    this.results = this.results.slice(next)
    this.telling = this.results.length > 0
    if (this.telling) this.fork(Effect.zipRight(Effect.sleep(0), Effect.sync(() => this.tell())))
  }
}
