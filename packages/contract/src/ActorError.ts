/** How a call from a backend or from another actor fails beside its own typed error. */
import * as Schema from "effect/Schema"
import { Address } from "./Address.ts"
import { ActorDestroyed } from "./ConnectionError.ts"

/** The mailbox was at capacity, so the call was refused before it ran. Repeating is safe, later. */
export class ActorOverloaded extends Schema.TaggedError<ActorOverloaded>("@troupe/contract/ActorOverloaded")(
  "ActorOverloaded",
  { address: Address, capacity: Schema.Int }
) {
  override get message() {
    return `${this.address} refused a call: its mailbox holds ${this.capacity} already`
  }
}

/**
 * The actor could not be built, or its activation was lost before the call was committed. The call may have run only
 * if the activation was lost; the server's log says why, under `defectId` or before it.
 */
export class ActorUnavailable extends Schema.TaggedError<ActorUnavailable>("@troupe/contract/ActorUnavailable")(
  "ActorUnavailable",
  { address: Address, defectId: Schema.String }
) {
  override get message() {
    return `${this.address} is unavailable (defect ${this.defectId})`
  }
}

/** No answer came within the host's `callTimeout`. The call is interrupted, but it may have been committed already. */
export class CallTimeout extends Schema.TaggedError<CallTimeout>("@troupe/contract/CallTimeout")("CallTimeout", {
  address: Address,
  afterMillis: Schema.Number
}) {
  override get message() {
    return `${this.address} did not answer within ${this.afterMillis} ms`
  }
}

/**
 * The call would have closed a circle of turns that wait for each other, so it was refused before it ran. `path` is the
 * circle, from the caller round to the caller. Repeating fails again for as long as the others wait.
 */
export class CallCycle extends Schema.TaggedError<CallCycle>("@troupe/contract/CallCycle")("CallCycle", {
  path: Schema.NonEmptyArray(Address)
}) {
  override get message() {
    return `actors would wait for each other for ever: ${this.path.join(" -> ")}`
  }
}

/** What every call through a `Directory` may fail with. */
export const ActorError = Schema.Union(ActorOverloaded, ActorUnavailable, ActorDestroyed, CallTimeout, CallCycle)

export type ActorError = typeof ActorError.Type
