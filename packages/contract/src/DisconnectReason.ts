/**
 * Why a connection ended, was lost or was refused. One vocabulary for both sides: the actor's `onDisconnect` sees it, it
 * travels in the `Close` and `Refused` frames, and it stands in the client's status and errors.
 */
import * as Schema from "effect/Schema"

/** The actor called `connection.disconnect(reason)`. */
export const Disconnected = Schema.TaggedStruct("Disconnected", { reason: Schema.optional(Schema.String) })

/** The client closed the scope of its connection. */
export const ClientClosed = Schema.TaggedStruct("ClientClosed", {})

/** The actor was destroyed. */
export const Destroyed = Schema.TaggedStruct("Destroyed", {})

/** `onBeforeConnect` failed. `error` is the contract's `connectError`, encoded. */
export const Denied = Schema.TaggedStruct("Denied", { error: Schema.Unknown })

/** The connection parameters do not decode with the contract's schema. No hook has run. */
export const InvalidParams = Schema.TaggedStruct("InvalidParams", { issue: Schema.String })

/** The server does not serve this contract or one of the events, or the key is not acceptable. */
export const UnknownActor = Schema.TaggedStruct("UnknownActor", { issue: Schema.String })

/** The peer sent what the protocol does not allow, or speaks another version of it. */
export const ProtocolViolation = Schema.TaggedStruct("ProtocolViolation", { issue: Schema.String })

/** A limit of the server was reached; `limit` names the option, `max` is its value. */
export const LimitReached = Schema.TaggedStruct("LimitReached", { limit: Schema.String, max: Schema.Finite })

/** `onBeforeConnect` or `onConnect` took longer than the server allows. */
export const ConnectTimeout = Schema.TaggedStruct("ConnectTimeout", { afterMillis: Schema.Finite })

/** The actor could not be built or a hook died. `defectId` is found in the server's log, with the cause. */
export const Unavailable = Schema.TaggedStruct("Unavailable", { defectId: Schema.String })

/** The actor's activation left memory: a crash, a failed commit, a restart. */
export const ActivationLost = Schema.TaggedStruct("ActivationLost", {})

/** The link was away for longer than the resume window. */
export const ResumeExpired = Schema.TaggedStruct("ResumeExpired", {})

/** The client did not take what was sent to it, and the connection's outbox was full. */
export const SlowConsumer = Schema.TaggedStruct("SlowConsumer", {})

/** The same session opened another connection, which took its place. */
export const Superseded = Schema.TaggedStruct("Superseded", {})

/** The client's dial schedule has ended, so it does not try any more. */
export const GaveUp = Schema.TaggedStruct("GaveUp", {})

/** Every reason there is. */
export const DisconnectReason = Schema.Union(
  Disconnected,
  ClientClosed,
  Destroyed,
  Denied,
  InvalidParams,
  UnknownActor,
  ProtocolViolation,
  LimitReached,
  ConnectTimeout,
  Unavailable,
  ActivationLost,
  ResumeExpired,
  SlowConsumer,
  Superseded,
  GaveUp
)

export type DisconnectReason = typeof DisconnectReason.Type

/**
 * What a client does next, after it had been connected once: `closed` is for good, `reopen` opens a new connection at
 * once on the same link, `retry` opens one on a schedule.
 */
export const recovery = (reason: DisconnectReason): "closed" | "reopen" | "retry" => {
  switch (reason._tag) {
    case "ActivationLost":
    case "ResumeExpired":
    case "SlowConsumer":
      return "reopen"
    case "Unavailable":
    case "ConnectTimeout":
    case "LimitReached":
      return "retry"
    default:
      return "closed"
  }
}

/** The reason in a sentence for people. Never contains parameters or other values of the user. */
export const describe = (reason: DisconnectReason): string => {
  switch (reason._tag) {
    case "Disconnected":
      return reason.reason === undefined ? "disconnected by the actor" : `disconnected by the actor: ${reason.reason}`
    case "ClientClosed":
      return "closed by the client"
    case "Destroyed":
      return "the actor was destroyed"
    case "Denied":
      return "refused by onBeforeConnect"
    case "InvalidParams":
      return `invalid connection parameters: ${reason.issue}`
    case "UnknownActor":
    case "ProtocolViolation":
      return reason.issue
    case "LimitReached":
      return `the limit ${reason.limit} of ${reason.max} was reached`
    case "ConnectTimeout":
      return `the actor's connect hooks took longer than ${reason.afterMillis} ms`
    case "Unavailable":
      return `the actor is unavailable (defect ${reason.defectId})`
    case "ActivationLost":
      return "the actor's activation was lost"
    case "ResumeExpired":
      return "the connection was away for longer than the resume window"
    case "SlowConsumer":
      return "the client did not take its messages in time"
    case "GaveUp":
      return "the client's dial schedule has ended"
    case "Superseded":
      return "replaced by a newer connection of the same session"
  }
}
