/** What an activation is made of, as its parts find each other: each of them knows the activation, and asks it. */
import type { Address } from "@troupe/contract/Address"
import type * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { Answers } from "./Answers.ts"
import type { Recorded } from "./Recorded.ts"
import type { Registration } from "./Registration.ts"
import type { Services } from "./Services.ts"
import type { Subscribers } from "./Subscribers.ts"
import type { Turns } from "./Turns.ts"

export interface Parts {
  readonly services: Services
  readonly registration: Registration
  readonly address: Address
  /** Of the activation. */
  readonly scope: Scope.Scope
  /** What its handlers and hooks are run with. */
  readonly runtime: Runtime.Runtime<never>
  readonly turns: Turns
  readonly answers: Answers
  readonly recorded: Recorded
  readonly subscribers: Subscribers
}
