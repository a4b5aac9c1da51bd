/** What a host provides to its activations. */
import type { Durability } from "@troupe/contract/Behavior"
import type { Expiry } from "@troupe/contract/Expiry"
import type { Secrets } from "@troupe/contract/Secrets"
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type { ActorStore, Commit, CommitResult } from "../ActorStore.ts"
import type { Limits } from "./Limits.ts"
import type { MadeCall } from "./Request.ts"

export interface Services {
  readonly options: Limits
  readonly clock: Clock.Clock
  readonly secrets: Secrets["Type"]
  /** Runs a task at the end of the tick. */
  readonly schedule: (task: () => void) => void
  /** Runs a task later. */
  readonly after: (millis: number, task: () => void) => void
  readonly store: typeof ActorStore.Service
  /** Commits with the next transaction. */
  readonly submit: (commit: Commit, turns: number, onResult: (result: CommitResult) => void) => void
  /** Answers of clients that have not come back. */
  readonly retention: Expiry
  /** Connections whose link is gone. */
  readonly resumeWindows: Expiry
  /** Calls from backends and other actors that wait for their turns: one timer for all of them, and no fibers. */
  readonly callTimeouts: Expiry
  /** Calls that were made to other actors will not be made again: their callees need not remember them. */
  readonly settle: (made: ReadonlyArray<MadeCall>) => void
  readonly nextEpoch: (durability: Durability) => Effect.Effect<number>
}
