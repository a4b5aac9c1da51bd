/** What an implementation provides: its options, its hooks, and a handler for each rpc. */
import type * as Headers from "@effect/platform/Headers"
import type * as Rpc from "@effect/rpc/Rpc"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Caller, Connection } from "./Connection.ts"
import type { AnySchema, ConnectError, Definition, InternalRpcs, Params, Rpcs } from "./Definition.ts"
import type { DisconnectReason } from "./DisconnectReason.ts"
import type { Request } from "./Request.ts"

/**
 * How long the effects of a turn last. `commit` survives a crash of the process; `fsync` survives a loss of power too;
 * `memory` writes nothing: the state lives as long as the process.
 */
export type Durability = "memory" | "commit" | "fsync"

/** The first argument of `toLayer`. */
export interface Options<State extends AnySchema, ConnectionState extends AnySchema> {
  /** The schema of the stored state. */
  readonly state: State
  /** The state of an actor that has none stored yet. */
  readonly initialState: (key: string) => State["Type"]
  /** The schema of what `onBeforeConnect` returns. Absent: connections have no state. */
  readonly connection?: ConnectionState
  /** How long an actor without connections and calls stays in memory. Default: the host's, 30 seconds. */
  readonly idleTimeout?: Duration.DurationInput
  /** Default: `commit`. */
  readonly durability?: Durability
}

/** The HTTP request a link was opened with, as far as the transport knows it. */
export interface ConnectRequest {
  readonly headers: Headers.Headers
  readonly url: string
  readonly remoteAddress: string | undefined
}

/** What a handler is given beside the payload. */
export interface HandlerOptions {
  /** The headers the caller has sent with this call; none unless it has given some. */
  readonly headers: Headers.Headers
}

type Handlers<R extends Rpc.Any> = {
  readonly [Current in R as Current["_tag"]]: (
    payload: Rpc.Payload<Current>,
    options: HandlerOptions
  ) => Rpc.ResultFrom<Current, any> | Rpc.Wrapper<Rpc.ResultFrom<Current, any>>
}

/** `onBeforeConnect` runs beside the turns, before the connection exists. It may read state, not change it. */
type OnBeforeConnect<D extends Definition, ConnectionState> = (
  options: { readonly params: Params<D>; readonly request: ConnectRequest }
) => Effect.Effect<ConnectionState, ConnectError<D>, any>

/** What `build` returns. */
export type Behavior<Self, D extends Definition, ConnectionState> =
  & {
    /**
     * Runs as a turn when the connection stands, in the connection's scope: what it acquires is released when the
     * connection ends. The scope is closed with the `DisconnectReason` as a success.
     */
    readonly onConnect?: (connection: Connection<D, ConnectionState>) => Effect.Effect<unknown, never, any>
    /** Runs as a turn when the connection has ended, after the releases. */
    readonly onDisconnect?: (
      connection: Connection<D, ConnectionState>,
      reason: DisconnectReason
    ) => Effect.Effect<unknown, never, any>
    readonly [Phantom]?: Self
  }
  & ([Rpcs<D>] extends [never] ? {} : { readonly rpcs: Handlers<Rpcs<D>> })
  & ([InternalRpcs<D>] extends [never] ? {} : { readonly internal: Handlers<InternalRpcs<D>> })
  & ([ConnectionState] extends [void] ? { readonly onBeforeConnect?: OnBeforeConnect<D, void> }
    : { readonly onBeforeConnect: OnBeforeConnect<D, ConnectionState> })

declare const Phantom: unique symbol

type Hook = "onBeforeConnect" | "onConnect" | "onDisconnect"

/** The values that a hook may return. */
type SuccessOf<F> = F extends (...args: any) => Effect.Effect<infer A, any, any> ? A : never

/**
 * What is wrong with a behaviour though it has all that it must have: a handler of no rpc, or a hook that there is not, which
 * would never be called, and a value of `onBeforeConnect` that nothing would keep. `unknown` if nothing is.
 */
export type Excess<D extends Definition, ConnectionState, B> =
  & { readonly [K in Exclude<keyof B, Hook | "rpcs" | "internal" | typeof Phantom>]: "there is no such hook" }
  & ExcessHandlers<B, "rpcs", Rpcs<D>>
  & ExcessHandlers<B, "internal", InternalRpcs<D>>
  & ([ConnectionState] extends [void] ? [SuccessOf<Get<B, "onBeforeConnect">>] extends [void] ? unknown
    : {
      readonly onBeforeConnect: "its value is the state of the connection: the options need `connection`, its schema"
    }
    : unknown)

type ExcessHandlers<B, Group extends "rpcs" | "internal", R extends Rpc.Any> = B extends
  { readonly [G in Group]: infer H } ? [Exclude<keyof H, R["_tag"]>] extends [never] ? unknown
  : { readonly [G in Group]: { readonly [K in Exclude<keyof H, R["_tag"]>]: "the contract has no such rpc" } }
  : unknown

type ContextOf<F> = F extends (...args: any) => infer Result ? Result extends Effect.Effect<any, any, infer R> ? R
  : Result extends Stream.Stream<any, any, infer R> ? R
  : Result extends Rpc.Wrapper<infer Wrapped> ? ContextOf<() => Wrapped>
  : never
  : never

type ContextOfAll<O> = O extends object ? { [K in keyof O]: ContextOf<O[K]> }[keyof O] : never

type Get<B, K extends string> = B extends { readonly [P in K]: infer V } ? V : never

/**
 * The services a behaviour needs. A handler of a public rpc is given its `Caller`, and every handler the `Request` it
 * handles; nothing else is.
 */
export type BehaviorContext<Self, B> = Exclude<
  | Exclude<ContextOfAll<Get<B, "rpcs">>, Caller<Self> | Request<Self>>
  | Exclude<ContextOfAll<Get<B, "internal">>, Request<Self>>
  | ContextOf<Get<B, "onBeforeConnect">>
  | ContextOf<Get<B, "onConnect">>
  | ContextOf<Get<B, "onDisconnect">>,
  Scope.Scope
>
