/** The way of commits into a store, with a gate on it. */
import * as Address from "@troupe/contract/Address"
import { type ActorStore, type Commit, type CommitResult, StoreError } from "@troupe/server/ActorStore"
import * as Effect from "effect/Effect"

/**
 * How a commit fails. `before`: nothing was applied. `after`: it was applied, but reported as failed. `failed` and
 * `superseded` are answers for each actor of the batch, and nothing was applied.
 */
export type Failure = "before" | "after" | "failed" | "superseded"

type Batch = ReadonlyArray<Commit>

const lost = new StoreError({ operation: "commit", message: "the disk is full" })

export class Commits {
  readonly asked: Array<Commit> = []
  readonly applied: Array<Commit> = []
  /** The last states, by the id of their address. */
  readonly states = new Map<string, string>()
  private failures: ReadonlyArray<Failure> = []
  private held = false
  private readonly blocked = new Set<() => void>()
  private readonly arrivals = new Set<() => void>()

  constructor(private readonly store: ActorStore["Type"]) {}

  readonly commit = (batch: Batch): Effect.Effect<ReadonlyArray<CommitResult>, StoreError> =>
    Effect.suspend(() => {
      this.asked.push(...batch)
      return Effect.zipRight(this.pass, this.decide(batch))
    })

  private decide(batch: Batch): Effect.Effect<ReadonlyArray<CommitResult>, StoreError> {
    return Effect.suspend(() => {
      const [failure, ...rest] = this.failures
      this.failures = rest
      switch (failure) {
        case "before":
          return lost
        case "after":
          return Effect.zipRight(this.apply(batch), lost)
        case "failed":
          return Effect.succeed(batch.map(() => ({ _tag: "failed" as const, message: "refused" })))
        case "superseded":
          return Effect.succeed(batch.map(() => ({ _tag: "superseded" as const })))
        default:
          return this.apply(batch)
      }
    })
  }

  private apply(batch: Batch) {
    return Effect.tap(
      this.store.commit(batch),
      (results) =>
        Effect.sync(() => batch.forEach((commit, i) => results[i]!._tag === "committed" && this.note(commit)))
    )
  }

  private note(commit: Commit): void {
    this.applied.push(commit)
    const id = Address.idOf(commit.address)
    if (commit.destroy) this.states.delete(id)
    else if (commit.state !== undefined) this.states.set(id, commit.state)
  }

  /** Waits while commits are held. */
  private readonly pass = Effect.async<void>((resume) => {
    if (!this.held) return resume(Effect.void)
    const go = () => resume(Effect.void)
    this.blocked.add(go)
    this.arrivals.forEach((arrival) => arrival())
    this.arrivals.clear()
    return Effect.sync(() => this.blocked.delete(go))
  })

  private letGo(): void {
    const blocked = Array.from(this.blocked)
    this.blocked.clear()
    for (const go of blocked) go()
  }

  readonly controls = {
    hold: Effect.sync(() => void (this.held = true)),
    release: Effect.sync(() => {
      this.held = false
      this.letGo()
    }),
    releaseOne: Effect.sync(() => this.letGo()),
    waiting: Effect.async<void>((resume) => {
      if (this.blocked.size > 0) return resume(Effect.void)
      const arrived = () => resume(Effect.void)
      this.arrivals.add(arrived)
      return Effect.sync(() => this.arrivals.delete(arrived))
    }),
    fail: (...failures: ReadonlyArray<Failure>) =>
      Effect.sync(() => void (this.failures = [...this.failures, ...failures])),
    recover: Effect.sync(() => void (this.failures = []))
  }
}
