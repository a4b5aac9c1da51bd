/** Puts the commits of all actors of a host into one transaction at a time. */
import * as Effect from "effect/Effect"
import type { ActorStore, Commit, CommitResult } from "../ActorStore.ts"

interface Submitted {
  readonly commit: Commit
  readonly onResult: (result: CommitResult) => void
}

export class GroupCommit {
  private waiting: Array<Submitted> = []
  private running = false

  constructor(
    private readonly store: typeof ActorStore.Service,
    private readonly fork: (effect: Effect.Effect<void>) => void,
    private readonly schedule: (task: () => void) => void
  ) {}

  /** Commits with the next transaction. While one is on its way the next coalesces behind it. */
  readonly submit = (commit: Commit, onResult: (result: CommitResult) => void): void => {
    this.waiting.push({ commit, onResult })
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
    return this.store.commit(batch.map(({ commit }) => commit)).pipe(
      Effect.catchAllCause((cause) =>
        Effect.as(
          Effect.logError("commit failed", cause),
          batch.map((): CommitResult => ({ _tag: "failed", message: "the store failed" }))
        )
      ),
      Effect.flatMap((results) => {
        batch.forEach(({ onResult }, i) => onResult(results[i]!))
        return this.drain
      })
    )
  })
}
