/** What a host can be told, and what holds where it is not. */
import * as Address from "@troupe/contract/Address"
import type * as Duration from "effect/Duration"

/** What a host can be told. Every field has a default. */
export interface Options {
  /** How long an actor without connections and calls stays in memory. Default: 30 seconds. */
  readonly idleTimeout?: Duration.DurationInput
  /** How long `build` may take. An actor whose takes longer is unavailable, until it is used again. Default: 30 seconds. */
  readonly buildTimeout?: Duration.DurationInput
  /** How long `onBeforeConnect`, and `onConnect`, may take each. Default: 10 seconds. */
  readonly connectTimeout?: Duration.DurationInput
  /** How long a connection whose link is gone waits to be resumed. Default: 2 minutes. */
  readonly resumeWindow?: Duration.DurationInput
  /** How long a call from a backend or another actor waits for its answer. Default: 30 seconds. */
  readonly callTimeout?: Duration.DurationInput
  /** How long running turns may take to finish when the host shuts down. Default: 5 seconds. */
  readonly shutdownTimeout?: Duration.DurationInput
  /** How many calls of one connection may be in flight. Default: 256. */
  readonly window?: number
  /** How many calls from backends and other actors may wait at one actor. Default: 1000. */
  readonly mailboxMax?: number
  /** How many calls of one connection are begun in a second; the others wait. Default: any number. */
  readonly callsPerSecond?: number
  /** How deep params and payloads may be nested, in arrays and objects. Default: 64. */
  readonly depthMax?: number
  /**
   * How many bytes may wait for one client, kept until it has them. More events end its connection with `SlowConsumer`;
   * while there are more answers, its calls wait. Default: 1 MiB.
   */
  readonly outboxBytesMax?: number
  /** How long one answer, one event or one value of a stream may be, encoded, in bytes. Default: 4 MiB. */
  readonly outputBytesMax?: number
  /** How large the encoded state of an actor may be, in bytes; with the durability `memory` it is not encoded. Default: 1 MiB. */
  readonly stateBytesMax?: number
  /** How many alarms with ids of their own an actor may have. Default: 1000. */
  readonly alarmsMax?: number
  /** How often an alarm is tried again before it is parked. Default: 10. */
  readonly alarmRetriesMax?: number
  /** How many events one connection may subscribe to. Default: 256. */
  readonly subscriptionsMax?: number
  /** How long a key may be, in UTF-8 bytes. Default: 512. */
  readonly keyBytesMax?: number
}

/** The defaults of `Options`. */
export const defaults: Required<Options> = {
  idleTimeout: "30 seconds",
  buildTimeout: "30 seconds",
  connectTimeout: "10 seconds",
  resumeWindow: "2 minutes",
  callTimeout: "30 seconds",
  shutdownTimeout: "5 seconds",
  window: 256,
  mailboxMax: 1000,
  callsPerSecond: Infinity,
  depthMax: 64,
  outboxBytesMax: 1024 * 1024,
  outputBytesMax: 4 * 1024 * 1024,
  stateBytesMax: 1024 * 1024,
  alarmsMax: 1000,
  alarmRetriesMax: 10,
  subscriptionsMax: 256,
  keyBytesMax: Address.keyBytesMax
}
