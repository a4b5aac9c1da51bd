/** What a client and a connection can be told, and what holds where they are not. */
import type { Definition, EventName, Params } from "@troupe/contract/Contract"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** What a client can be told. Every field has a default. */
export interface Options {
  /**
   * When to dial again after a failure. Each output is ignored; the delays count. It starts anew after a link has been up
   * for `stableAfter`. Default: 250 ms, doubling, at most 30 s, each multiplied by a random factor between 0.5 and 1.
   */
  readonly schedule?: Schedule.Schedule<unknown, unknown>
  /** A dial that takes longer is abandoned. Default: 10 seconds. */
  readonly dialTimeout?: Duration.DurationInput
  /** How long a link, or a connection, has to stand for its loss to be the first of a row. Default: 5 seconds. */
  readonly stableAfter?: Duration.DurationInput
  /** How many calls of one connection may wait for their answers. One more fails with `QueueFull`. Default: 1000. */
  readonly pendingCallsMax?: number
  /** How many bytes of encoded calls of one connection may wait for their answers. Default: 1 MiB. */
  readonly pendingBytesMax?: number
  /** How many events each reader may fall behind; of how many senders, where only the latest counts. Default: 1024. */
  readonly eventBufferMax?: number
}

/** The second half of `connect`'s arguments. */
export interface ConnectOptions<P, Name, E, R> {
  /**
   * The connection parameters. An effect is evaluated for every new connection, so that a token is never stale, each time in
   * a scope of its own.
   */
  readonly params: P | Effect.Effect<P, E, R>
  /** Events to subscribe to before `onConnect` runs. What arrives before the first reader is kept for it. */
  readonly events?: ReadonlyArray<Name>
}

/** `any` extends `void` as well. */
type IsAny<T> = 0 extends 1 & T ? true : false

/** The options of `connect`, which a contract without parameters needs none of. `More` may be said beside them. */
export type ConnectArguments<D extends Definition, E, R, More = unknown> = [IsAny<Params<D>>, Params<D>] extends
  [false, void] ? [options?: Omit<ConnectOptions<void, EventName<D>, E, R>, "params"> & More]
  : [options: ConnectOptions<Params<D>, EventName<D>, E, R> & More]

/** The defaults of `Options`. */
export const defaults: Required<Options> = {
  schedule: Schedule.exponential("250 millis", 2).pipe(
    Schedule.union(Schedule.spaced("30 seconds")),
    Schedule.jitteredWith({ min: 0.5, max: 1 })
  ),
  dialTimeout: "10 seconds",
  stableAfter: "5 seconds",
  pendingCallsMax: 1000,
  pendingBytesMax: 1024 * 1024,
  eventBufferMax: 1024
}
