/** The service that implementations register with and directories call through. Its layer is in `@troupe/server`. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Activation } from "./Activation.ts"
import type { Behavior, Options } from "./Behavior.ts"
import type { Any, AnySchema, Definition } from "./Definition.ts"
import type { Directory } from "./Directory.ts"

/** An implementation as `toLayer` hands it over, with its types forgotten. */
export interface Implementation {
  readonly contract: Any
  readonly options: Options<AnySchema, AnySchema>
  readonly build: (
    activation: Activation<unknown, Definition, unknown, unknown>
  ) => Effect.Effect<Behavior<unknown, Definition, any>, unknown, unknown>
}

/** Runs actors: at most one activation for each address. */
export class ActorHost extends Context.Tag("@troupe/contract/ActorHost")<ActorHost, {
  /**
   * Serves the actors of a contract with the services of the calling fiber, until the scope closes. Two implementations
   * of one contract in one host are a defect.
   */
  readonly register: (implementation: Implementation) => Effect.Effect<void, never, Scope.Scope>
  /** The actors of a contract. An implementation is looked up when a call is made. */
  readonly directory: <D extends Definition>(
    contract: { readonly contract: string; readonly definition: D }
  ) => Directory<D>
}>() {}
