/**
 * A connection for code that does not use Effect: calls give promises, and events come to listeners. Neither takes a fiber.
 * Calls of both kinds stand in one order.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type { RpcClient } from "@effect/rpc/RpcClient"
import type * as RpcSchema from "@effect/rpc/RpcSchema"
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import type { Contract, Definition, EventItem, EventName, Rpcs } from "@troupe/contract/Contract"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as RpcObject from "@troupe/contract/protocol/RpcObject"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { ActorClient } from "./ActorClient.ts"
import type { ConnectArguments } from "./ClientOptions.ts"
import type { Connection } from "./Connection.ts"
import type { ConnectionStatus } from "./ConnectionStatus.ts"
import type { PromiseOptions } from "./internal/ClientConnection.ts"
import * as Listener from "./internal/Listener.ts"
import { connectionOf } from "./internal/publicConnection.ts"

export type { PromiseOptions } from "./internal/ClientConnection.ts"

/** Those rpcs that have one answer. */
type Unary<R extends Rpc.Any> = R extends Rpc.Any
  ? [Rpc.SuccessSchema<R>] extends [RpcSchema.Stream<infer _A, infer _E>] ? never : R
  : never

type From<R extends Rpc.Any, Prefix extends string> = {
  readonly [Current in Unary<R> as Current["_tag"] extends `${Prefix}.${infer Method}` ? Method : Current["_tag"]]: (
    input: Rpc.PayloadConstructor<Current>,
    options?: PromiseOptions
  ) => Promise<Rpc.Success<Current>>
}

/** A method for each rpc that has one answer. */
export type PromiseRpcs<R extends Rpc.Any> = Schema.Simplify<
  & From<RpcClient.NonPrefixed<R>, "">
  & { readonly [Prefix in RpcClient.Prefixes<R>]: From<RpcClient.Prefixed<R, Prefix>, Prefix> }
>

/** What `Connection` is, in promises and listeners. */
export interface PromiseConnection<D extends Definition> {
  /**
   * The actor's public rpcs, as in `Connection.rpc`, but for streams. A promise is rejected with the rpc's own error, with
   * a `ConnectionError`, or with what a defect is.
   */
  readonly rpc: PromiseRpcs<Rpcs<D>>
  /**
   * Subscribes to an event, as `Connection.events` does: every event from when the promise is fulfilled comes to the
   * listener, or a `Gap` in its place. Gives the function that ends it. `ended` is called if it ends otherwise later: with
   * the connection, for good, or because a server to which it came back does not take it.
   */
  readonly on: <Name extends EventName<D>>(
    name: Name,
    listener: (item: EventItem<D, Name>) => void,
    ended?: (error: ConnectionError) => void
  ) => Promise<() => void>
  /** The present status. */
  readonly status: ConnectionStatus
  /** Tells a listener the status, at once and whenever it changes. Gives the function that ends it. */
  readonly onStatus: (listener: (status: ConnectionStatus) => void) => () => void
}

/** A connection that no scope ends. */
export interface OwnConnection<D extends Definition> extends PromiseConnection<D> {
  /** Ends it, as the end of its scope ends another: its calls are rejected with `ConnectionClosed`. */
  readonly close: () => void
}

/** What `connect` may be told beside what `ActorClient.connect` is. */
export interface ConnectSignal {
  /** Gives the connection up while it is not open, and rejects its promise with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** The same connection, with promises. It ends with the scope that `ActorClient.connect` was given. */
export const of = <D extends Definition>(connection: Connection<D>): PromiseConnection<D> => {
  const own = connectionOf(connection)
  return {
    rpc: RpcObject.of(
      Codec.ofContract(own.target.contract).rpcs,
      (codec) => (payload: unknown, options?: PromiseOptions) => own.callPromise(codec, payload, options)
    ) as PromiseRpcs<Rpcs<D>>,
    on: (name, listener, ended) => own.listen(name, listener as (item: unknown) => void, ended),
    get status() {
      return own.status.current
    },
    onStatus: (listener) => own.status.listen((status) => Listener.tell(listener, status))
  }
}

/**
 * Opens a connection, as `ActorClient.connect` does, with the client of an app. It stays open until it is closed, or the
 * app is disposed of. The promise is rejected with the contract's `connectError` if the actor refuses it, with
 * `ConnectionClosed` if it cannot be opened for another reason, with what `params` or the layers of the app fail with, or
 * with what a defect is.
 */
export const connect = async <
  Self,
  Name extends string,
  D extends Definition,
  E = never,
  R = never,
  LayerError = never
>(
  app: ManagedRuntime.ManagedRuntime<ActorClient | R, LayerError>,
  contract: Contract<Self, Name, D>,
  key: string,
  ...[options]: ConnectArguments<D, E, R, ConnectSignal>
): Promise<OwnConnection<D>> => {
  const signal = options?.signal
  signal?.throwIfAborted()
  const scope = Effect.runSync(Scope.make())
  const close = () => Effect.runSync(Scope.close(scope, Exit.void))
  const connecting = Effect.flatMap(
    ActorClient,
    // with a signal they are a subtype, which TypeScript cannot see while the definition is a parameter
    (client) => client.connect<Self, Name, D, E, R>(contract, key, ...[options] as unknown as ConnectArguments<D, E, R>)
  )
  const exit = await app.runPromiseExit(Scope.extend(connecting, scope), { signal })
  if (Exit.isSuccess(exit)) return Object.assign(of(exit.value), { close })
  close()
  signal?.throwIfAborted()
  throw Cause.squash(exit.cause)
}
