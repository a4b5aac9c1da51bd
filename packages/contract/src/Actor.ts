/** Makes contracts. `class ChatRoom extends Actor.Tag<ChatRoom>()("ChatRoom", { ... }) {}` is where every actor begins. */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { ActorHost, type Implementation } from "./ActorHost.ts"
import type { Contract } from "./Contract.ts"
import { type Definition, type Excess, TypeId } from "./Definition.ts"
import { Forked } from "./Forked.ts"
import * as HttpRpc from "./HttpRpc.ts"
import * as Latest from "./Latest.ts"

/**
 * The base class of a contract. `name` identifies the actors on the wire and in the store; `definition` holds schemas
 * only, so that clients can import the class.
 *
 * ```ts
 * import { Actor } from "@troupe/contract"
 * import { Rpc, RpcGroup } from "@effect/rpc"
 * import { Schema } from "effect"
 *
 * export class Counter extends Actor.Tag<Counter>()("Counter", {
 *   rpcs: RpcGroup.make(Rpc.make("Increment", { success: Schema.Number }))
 * }) {}
 * ```
 */
export const Tag = <Self>() =>
<const Name extends string, const D extends Definition>(
  name: Name,
  definition: D & Excess<D>
): Contract<Self, Name, D> => {
  const tag = Context.Tag(`@troupe/actor/${name}`)<Self, never>()
  // a tag becomes a contract by what is assigned to it here and below; no type says "this class and more"
  const self = Object.assign(tag, { contract: name, definition, [TypeId]: definition }) as unknown as Contract<
    Self,
    Name,
    D
  >
  return Object.assign(self, {
    httpRpcs: HttpRpc.make(name, definition),
    client: Effect.map(ActorHost, (host) => host.directory(self)),
    toLayer: (options: Implementation["options"], build: Implementation["build"]) =>
      Layer.scoped(
        self,
        Effect.flatMap(ActorHost, (host) =>
          Effect.as(host.register({ contract: self, options, build }), host.directory(self)))
      )
  }) as Contract<Self, Name, D>
}

/**
 * Declares that the handler of an rpc runs beside the turns: for what takes long, so that others need not wait for it. It
 * starts in call order, when its call has its turn. Each change it makes to state is a turn of its own, or several are in
 * `room.turn`. Its answer is not recorded: when the activation is lost before it has ended, the call ends with
 * `OutcomeUnknown`, unless its delivery is `idempotent`.
 */
export const forked = <R extends Rpc.Any>(rpc: R): R =>
  // `Rpc.Any` is what every rpc is, and has no methods; the one that annotates keeps the type of the rpc
  (rpc as unknown as { annotate(tag: typeof Forked, value: boolean): R }).annotate(Forked, true)

/**
 * Declares that an event matters only while it is fresh: the position of a cursor, a mark that somebody is typing. It is
 * sent once and never again, and costs nothing to keep. Who does not keep up gets the newest of each sender and misses
 * those before; who is away misses it. So it never leaves a `Gap`, and never ends a connection with `SlowConsumer`. The
 * sender is the connection whose call is being handled, or the actor itself.
 *
 * ```ts
 * import { Actor } from "@troupe/contract"
 * import { Schema } from "effect"
 *
 * export class Board extends Actor.Tag<Board>()("Board", {
 *   events: { cursor: Actor.latest(Schema.Struct({ who: Schema.Int, x: Schema.Number, y: Schema.Number })) }
 * }) {}
 * ```
 */
export const latest: <A, I>(schema: Schema.Schema<A, I>) => Latest.Latest<A, I> = Latest.make
