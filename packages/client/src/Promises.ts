/**
 * A connection for code that does not use Effect: calls give promises, and events come to listeners. Neither takes a fiber.
 * Calls of both kinds stand in one order.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type { RpcClient } from "@effect/rpc/RpcClient"
import type * as RpcSchema from "@effect/rpc/RpcSchema"
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import type { Definition, EventItem, EventName, Rpcs } from "@troupe/contract/Contract"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as RpcObject from "@troupe/contract/protocol/RpcObject"
import type * as Schema from "effect/Schema"
import type { Connection } from "./Connection.ts"
import type { PromiseOptions } from "./internal/ClientConnection.ts"
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

export interface PromiseConnection<D extends Definition> {
  /**
   * The actor's public rpcs, as in `Connection.rpc`, but for streams. A promise is rejected with the rpc's own error, with
   * a `ConnectionError`, or with what a defect is.
   */
  readonly rpc: PromiseRpcs<Rpcs<D>>
  /**
   * Subscribes to an event, as `Connection.events` does: every event from when the promise is fulfilled comes to the
   * listener, or a `Gap` in its place. Gives the function that ends it. `ended` is called if the connection ends for good.
   */
  readonly on: <Name extends EventName<D>>(
    name: Name,
    listener: (item: EventItem<D, Name>) => void,
    ended?: (error: ConnectionError) => void
  ) => Promise<() => void>
}

/** The same connection, with promises. It ends with the scope that `ActorClient.connect` was given. */
export const of = <D extends Definition>(connection: Connection<D>): PromiseConnection<D> => {
  const own = connectionOf(connection)
  return {
    rpc: RpcObject.of(
      Codec.ofContract(own.target.contract).rpcs,
      (codec) => (payload: unknown, options?: PromiseOptions) => own.callPromise(codec, payload, options)
    ) as PromiseRpcs<Rpcs<D>>,
    on: (name, listener, ended) => own.listen(name, listener as (item: unknown) => void, ended)
  }
}
