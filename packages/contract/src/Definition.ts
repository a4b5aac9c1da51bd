/** What `Actor.Tag` is given, and the types that follow from it. */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import type * as RpcSchema from "@effect/rpc/RpcSchema"
import type * as Schema from "effect/Schema"
import type { Gap } from "./Gap.ts"
import type { Latest } from "./Latest.ts"

/** A schema that needs no services. It must be synchronous too; one that is not is a defect at its first use. */
export type AnySchema = Schema.Schema.AnyNoContext

/** What `Actor.Tag` is given. */
export interface Definition {
  /** Connection parameters. Absent: a connection has none. */
  readonly params?: AnySchema
  /** What `onBeforeConnect` may fail with. Absent: it cannot fail. */
  readonly connectError?: AnySchema
  /** Public rpcs, called over a connection. Absent: clients can only listen. */
  readonly rpcs?: RpcGroup.RpcGroup<any>
  /** Internal rpcs, called by backends and other actors. They cannot be reached from a socket. */
  readonly internal?: RpcGroup.RpcGroup<any>
  /** Events the actor sends to its connections, by name. `Actor.latest` marks those that matter only while fresh. */
  readonly events?: { readonly [name: string]: AnySchema }
}

type StreamTag<R> = R extends Rpc.Rpc<infer Tag, any, RpcSchema.Stream<any, any>, any, any> ? Tag : never

type GuardedTag<R> = R extends Rpc.Rpc<infer Tag, any, any, any, infer Middleware>
  ? [Middleware] extends [never] ? never : Tag
  : never

type Wrong<Group extends "rpcs" | "internal", Tag extends string, Why extends string> = [Tag] extends [never] ? unknown
  : { readonly [G in Group]: `${Tag} ${Why}` }

/** What is wrong with a definition: parts that there are not, and rpcs that cannot be served. `unknown` if nothing is. */
export type Excess<D> =
  & { readonly [K in Exclude<keyof D, keyof Definition>]: "a contract has no such part" }
  & Wrong<"internal", StreamTag<InternalRpcs<D>>, "is a stream, and calls between actors return one value">
  & Wrong<"internal", GuardedTag<InternalRpcs<D>>, "has a middleware, which nobody would run">
  & Wrong<"rpcs", GuardedTag<Rpcs<D>>, "has a middleware, which nobody would run">

export const TypeId: unique symbol = Symbol.for("@troupe/contract/Contract")

export type TypeId = typeof TypeId

/** Carries the definition in the instance type of a contract class, so that `Rpcs<ChatRoom>` can be written. */
export interface Defined<out D extends Definition> {
  readonly [TypeId]: D
}

/** The definition of a contract, given as the class's instance type or as the class itself. */
export type DefinitionOf<C> = C extends Defined<infer D> ? D
  : C extends { readonly definition: infer D extends Definition } ? D
  : C extends Definition ? C
  : never

type TypeOf<S, Absent> = S extends Schema.Schema<infer A, any, any> ? A : Absent

/** The connection parameters of a contract, decoded. */
export type Params<C> = DefinitionOf<C> extends { readonly params: infer S } ? TypeOf<S, void> : void

/** The typed refusal of a contract. */
export type ConnectError<C> = DefinitionOf<C> extends { readonly connectError: infer S } ? TypeOf<S, never> : never

/** The public rpcs of a contract, as a union of `Rpc`s. */
export type Rpcs<C> = DefinitionOf<C> extends { readonly rpcs: infer G } ? RpcGroup.Rpcs<G> : never

/** The internal rpcs of a contract, as a union of `Rpc`s. */
export type InternalRpcs<C> = DefinitionOf<C> extends { readonly internal: infer G } ? RpcGroup.Rpcs<G> : never

type Events<C> = DefinitionOf<C> extends { readonly events: infer E } ? E : {}

/** The names of a contract's events. */
export type EventName<C> = Events<C> extends infer E ? keyof E & string : never

/** What one event carries, decoded. */
export type EventPayload<C, Name extends EventName<C>> = TypeOf<Events<C>[Name], never>

/** What stands in the stream of an event: its payloads, and a `Gap` where some are missing, unless only the latest counts. */
export type EventItem<C, Name extends EventName<C>> =
  | EventPayload<C, Name>
  | (Events<C>[Name] extends Latest<any, any> ? never : Gap)

/** Any contract. */
export interface Any {
  readonly contract: string
  readonly definition: Definition
}
