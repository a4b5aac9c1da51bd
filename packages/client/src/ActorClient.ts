/** Connections to actors, from a browser, from Node, from a backend or in a test. One client has one link. */
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import type { ConnectError, Contract, Definition } from "@troupe/contract/Contract"
import { withDefaults } from "@troupe/contract/Options"
import type { Transport } from "@troupe/contract/Transport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Subscribable from "effect/Subscribable"
import { type ConnectArguments, defaults, type Options } from "./ClientOptions.ts"
import type { Connection } from "./Connection.ts"
import type { ConnectionStatus } from "./ConnectionStatus.ts"
import { makeClient } from "./internal/makeClient.ts"

export { type ConnectArguments, type ConnectOptions, defaults, type Options } from "./ClientOptions.ts"

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

/** Closes the client's link and does not dial until `resume`. Calls made meanwhile wait. */
export const pause: Effect.Effect<void, never, ActorClient> = Effect.flatMap(ActorClient, (client) => client.pause)

/** Dials again after `pause`. */
export const resume: Effect.Effect<void, never, ActorClient> = Effect.flatMap(ActorClient, (client) => client.resume)

/** The status of the client's link: what can be shown before any connection stands. */
export const status: Effect.Effect<Subscribable.Subscribable<ConnectionStatus>, never, ActorClient> = Effect.map(
  ActorClient,
  (client) => client.status
)

/**
 * A client over a transport, for as long as the scope is open: one of several in a process, each with a link of its own.
 * It dials when the first connection is asked for.
 */
export const make = (options: Options = {}): Effect.Effect<ActorClient["Type"], never, Scope.Scope | Transport> =>
  makeClient(withDefaults(defaults, options)) as Effect.Effect<ActorClient["Type"], never, Scope.Scope | Transport>

/** The client of an app. It dials when the first connection is asked for. */
export const layer = (options: Options = {}): Layer.Layer<ActorClient, never, Transport> =>
  Layer.scoped(ActorClient, make(options))
