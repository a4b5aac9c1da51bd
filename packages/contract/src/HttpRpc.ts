/**
 * The public rpcs of an actor for clients of @effect/rpc over HTTP: `POST {path}/{contract}/{key}/rpc`. Each request is a
 * connection of its own, which ends with it, and a call in it runs at most once.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as RpcMiddleware from "@effect/rpc/RpcMiddleware"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { ActorOverloaded } from "./ActorError.ts"
import { ConnectionError } from "./ConnectionError.ts"
import type { Any, ConnectError, Definition, Params } from "./Definition.ts"
import * as Codec from "./protocol/Codec.ts"
import * as Json from "./protocol/Json.ts"

/** Carries the connection parameters, as `encodeParams` writes them. */
export const paramsHeader = "troupe-params"

/** How a call over HTTP fails beside its own typed error: the actor refuses the connection, or it ends. */
export type Refusal<D extends Definition> = ConnectError<D> | ConnectionError | ActorOverloaded

/** Stands for the connection that a request is made over: as it fails, all calls of the request fail. */
export interface Connected<D extends Definition> extends RpcMiddleware.TagClassAny {
  readonly failure: Schema.Schema<Refusal<D>, unknown>
  readonly requiredForClient: false
}

/** The public rpcs, with the ways in which the connection of a request can fail. */
export type HttpRpcs<D extends Definition> = D extends { readonly rpcs: RpcGroup.RpcGroup<infer R> }
  ? RpcGroup.RpcGroup<Rpc.AddMiddleware<R, Connected<D>>>
  : RpcGroup.RpcGroup<never>

/** See `Contract.httpRpcs`. */
export const make = <D extends Definition>(contract: string, { connectError, rpcs }: D): HttpRpcs<D> => {
  const failure = Schema.Union(...(connectError ? [connectError] : []), ConnectionError, ActorOverloaded)
  const connected = RpcMiddleware.Tag()(`@troupe/contract/HttpRpc/${contract}`, { failure })
  // what is inferred here knows the definition only by its widest type
  return (rpcs ?? RpcGroup.make()).middleware(connected) as unknown as HttpRpcs<D>
}

const isNotAscii = /[^ -~]/g

const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * The value of the header `paramsHeader`: the parameters, encoded with the contract's schema, as JSON in ASCII. Empty if
 * the contract has none. Throws if they do not encode.
 */
export const encodeParams = <C extends Any>(contract: C, params: Params<C>): string => {
  const codec = Codec.ofContract(contract).params
  const encoded = Either.getOrThrow(codec.encode(params))
  return encoded === undefined ? "" : Json.encode(encoded, codec.what).replace(isNotAscii, escape)
}

/** The parameters in a header, still encoded. Throws if it is not what `encodeParams` writes. */
export const decodeParams = (header: string): unknown => {
  if (header.search(isNotAscii) !== -1) throw new Error("it is not ASCII: JSON has escapes for other characters")
  return header === "" ? undefined : JSON.parse(header)
}

/** Where an actor is called, below the path of `ActorHttp.layer`. */
export const pathOf = ({ contract }: Any, key: string): `/${string}` =>
  `/${encodeURIComponent(contract)}/${encodeURIComponent(key)}/rpc`
