/**
 * How a call over a connection fails beside its own typed error. Each member says in `sent` whether the call may have
 * run: `"no"` means that it has not run and never will, so repeating it is safe; `"maybe"` means that nobody can tell.
 */
import * as Schema from "effect/Schema"
import { Address } from "./Address.ts"
import * as DisconnectReason from "./DisconnectReason.ts"

/** Whether a failed call may have reached its handler. */
export const Sent = Schema.Literal("no", "maybe")

export type Sent = typeof Sent.Type

const fate = (sent: Sent): string => sent === "no" ? "nothing was sent" : "the call may have run"

/** The connection ended for good while the call was waiting or on its way. Repeating is safe if `sent` is `"no"`. */
export class ConnectionClosed extends Schema.TaggedError<ConnectionClosed>("@troupe/contract/ConnectionClosed")(
  "ConnectionClosed",
  { reason: DisconnectReason.DisconnectReason, sent: Sent }
) {
  override get message() {
    return `connection closed (${DisconnectReason.describe(this.reason)}); ${fate(this.sent)}`
  }
}

/** The client's queue of pending calls was full, so the call was not taken. Repeating is safe, later. */
export class QueueFull extends Schema.TaggedError<QueueFull>("@troupe/contract/QueueFull")("QueueFull", {
  limit: Schema.Literal("pendingCallsMax", "pendingBytesMax"),
  max: Schema.Number,
  sent: Schema.Literal("no")
}) {
  override get message() {
    return `the queue of pending calls is full: ${this.limit} is ${this.max}; the call was not sent`
  }
}

/**
 * The server does not know the rpc, its payload did not decode, or the call is larger than a message may be. Nothing has
 * run; repeating fails again.
 */
export class CallRejected extends Schema.TaggedError<CallRejected>("@troupe/contract/CallRejected")("CallRejected", {
  issue: Schema.String,
  sent: Schema.Literal("no")
}) {
  override get message() {
    return `the call was rejected: ${this.issue}`
  }
}

/** The call was sent, and its outcome can no longer be learned. Repeat it only if running twice does no harm. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("@troupe/contract/OutcomeUnknown")(
  "OutcomeUnknown",
  { cause: Schema.String, sent: Schema.Literal("maybe") }
) {
  override get message() {
    return `the outcome of the call is unknown: ${this.cause}`
  }
}

/**
 * The actor was destroyed before the answer came, and the one that has its address now knows nothing of the call. If
 * `sent` is `"maybe"`, what the call may have done is gone with the state. Repeating it runs it there.
 */
export class ActorDestroyed extends Schema.TaggedError<ActorDestroyed>("@troupe/contract/ActorDestroyed")(
  "ActorDestroyed",
  { address: Address, sent: Sent }
) {
  override get message() {
    return `${this.address} was destroyed; ${fate(this.sent)}`
  }
}

/** What every call and subscription over a connection may fail with. */
export const ConnectionError = Schema.Union(ConnectionClosed, QueueFull, CallRejected, OutcomeUnknown, ActorDestroyed)

export type ConnectionError = typeof ConnectionError.Type
