/** What a client provides to its connections. */
import type { Fork } from "@troupe/contract/Background"
import type { Secrets } from "@troupe/contract/Secrets"
import type * as Clock from "effect/Clock"
import type * as Runtime from "effect/Runtime"
import type * as Schedule from "effect/Schedule"
import type { Bounds } from "./Calls.ts"

export interface ClientServices {
  readonly clock: Clock.Clock
  readonly secrets: Secrets["Type"]
  readonly schedule: Schedule.Schedule<unknown, unknown>
  /** Runs a task at the end of the tick. */
  readonly flush: (task: () => void) => void
  readonly fork: Fork
  /** Whether somebody looks at spans, as far as the client was told when it was made. */
  readonly traced: boolean
  readonly runtime: Runtime.Runtime<never>
  readonly bounds: Bounds
  readonly eventBufferMax: number
  readonly stableAfterMillis: number
  /** A call was answered while the server is going away. */
  readonly onAnswered: () => void
}
