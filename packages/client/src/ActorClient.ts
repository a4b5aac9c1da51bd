/** Connections to actors, from a browser, from Node, from a backend or in a test. One client has one link. */
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import type { ConnectError, Contract, Definition, EventName, Params } from "@troupe/contract/Contract"
import type { Transport } from "@troupe/contract/Transport"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Subscribable from "effect/Subscribable"
import type { Connection } from "./Connection.ts"
import type { ConnectionStatus } from "./ConnectionStatus.ts"
import { makeClient } from "./internal/makeClient.ts"

/** What a client can be told. Every field has a default. */
export interface Options {
  /**
   * When to dial again after a failure. Each output is ignored; the delays count. It starts anew after a link has been up
   * for `stableAfter`. Default: 250 ms, doubling, at most 30 s, each multiplied by a random factor between 0.5 and 1.
   */
  readonly schedule?: Schedule.Schedule<unknown, unknown>
  /** A dial that takes longer is abandoned. Default: 10 seconds. */
  readonly dialTimeout?: Duration.DurationInput
  /** Default: 5 seconds. */
  readonly stableAfter?: Duration.DurationInput
  /** How many calls of one connection may wait for their answers. One more fails with `QueueFull`. Default: 1000. */
  readonly pendingCallsMax?: number
  /** How many bytes of encoded calls of one connection may wait for their answers. Default: 1 MiB. */
  readonly pendingBytesMax?: number
  /** How many events each reader may fall behind. Default: 1024. */
  readonly eventBufferMax?: number
}

/** The second half of `connect`'s arguments. */
export interface ConnectOptions<P, Name, E, R> {
  /** The connection parameters; an effect is evaluated for every new connection, so that a token is never stale. */
  readonly params: P | Effect.Effect<P, E, R>
  /** Events to subscribe to before `onConnect` runs. What arrives before the first reader is kept for it. */
  readonly events?: ReadonlyArray<Name>
}

type ConnectArguments<D extends Definition, E, R> = [void] extends [Params<D>]
  ? [options?: Omit<ConnectOptions<void, EventName<D>, E, R>, "params">]
  : [options: ConnectOptions<Params<D>, EventName<D>, E, R>]

/** A client: one link to one server, and the connections on it. */
export class ActorClient extends Context.Tag("@troupe/client/ActorClient")<ActorClient, {
  /** See the function `connect`. */
  readonly connect: <Self, Name extends string, D extends Definition, E = never, R = never>(
    contract: Contract<Self, Name, D>,
    key: string,
    ...options: ConnectArguments<D, E, R>
  ) => Effect.Effect<Connection<D>, ConnectError<D> | ConnectionError | E, Scope.Scope | R>
  /** The status of the link: what can be shown before any connection stands. */
  readonly status: Subscribable.Subscribable<ConnectionStatus>
  /** Closes the link and does not dial until `resume`. Calls made meanwhile wait. */
  readonly pause: Effect.Effect<void>
  /** Dials again after `pause`. */
  readonly resume: Effect.Effect<void>
}>() {}

/**
 * Opens a connection to the actor of a contract with this key; it stays open, through any number of links, until the
 * scope closes. Waits while the server cannot be reached. Fails with the contract's `connectError` if the actor refuses
 * it, and with `ConnectionClosed` if it cannot be opened for another reason.
 *
 * Each `connect` is a session of its own: two connections of one client to one actor do not share calls or order.
 */
export const connect = <Self, Name extends string, D extends Definition, E = never, R = never>(
  contract: Contract<Self, Name, D>,
  key: string,
  ...options: ConnectArguments<D, E, R>
): Effect.Effect<Connection<D>, ConnectError<D> | ConnectionError | E, ActorClient | Scope.Scope | R> =>
  Effect.flatMap(ActorClient, (client) => client.connect(contract, key, ...options))

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

/** A client over a transport. It dials when the first connection is asked for. */
export const layer = (options: Options = {}): Layer.Layer<ActorClient, never, Transport> =>
  Layer.scoped(ActorClient, makeClient({ ...defaults, ...options }))
