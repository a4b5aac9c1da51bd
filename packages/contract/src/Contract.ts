/**
 * What a client may know of an actor: its name and its schemas. The state, the connection state and the handlers stay
 * with the implementation, so that importing a contract brings no server code into a browser.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Activation } from "./Activation.ts"
import type { ActorHost } from "./ActorHost.ts"
import type { Behavior, BehaviorContext, Options } from "./Behavior.ts"
import type { AnySchema, Defined, Definition } from "./Definition.ts"
import type { Directory } from "./Directory.ts"
import type { HttpRpcs } from "./HttpRpc.ts"

export type {
  Any,
  AnySchema,
  ConnectError,
  Defined,
  Definition,
  DefinitionOf,
  EventItem,
  EventName,
  EventPayload,
  InternalRpcs,
  Params,
  Rpcs
} from "./Definition.ts"

/** A contract: a class made by `Actor.Tag`, which is at once the service tag of its actors. */
export interface Contract<Self, Name extends string, D extends Definition> extends Context.Tag<Self, Directory<D>> {
  new(_: never): Context.TagClassShape<Name, Directory<D>> & Defined<D>
  /** The name it was given. It stands on the wire and in the store: renaming makes other actors. */
  readonly contract: Name
  readonly definition: D
  /**
   * The public rpcs as a group for `RpcClient.make`, over `RpcClient.layerProtocolHttp`. A call can also fail with the
   * contract's `connectError`, or as a connection can. See `HttpRpc`.
   */
  readonly httpRpcs: HttpRpcs<D>
  /**
   * The implementation, as a layer. `build` runs once for each activation, in its scope; what it needs, the layer needs.
   */
  readonly toLayer: <
    State extends AnySchema,
    B extends Behavior<Self, D, ConnectionState["Type"]>,
    ConnectionState extends AnySchema = typeof Schema.Void,
    EX = never,
    RX = never
  >(
    options: Options<State, ConnectionState>,
    build: (activation: Activation<Self, D, State["Type"], ConnectionState["Type"]>) => Effect.Effect<B, EX, RX>
  ) => Layer.Layer<Self, never, ActorHost | Exclude<RX, Scope.Scope> | BehaviorContext<Self, B>>
  /**
   * The directory of these actors, for use inside implementations, where asking for the contract itself would make the
   * layers circular. The implementation is looked up when a call is made.
   */
  readonly client: Effect.Effect<Directory<D>, never, ActorHost>
}
