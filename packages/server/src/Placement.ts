/** Which process owns an actor. One process owns them all, unless a cluster says otherwise. */
import type { Address } from "@troupe/contract/Address"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Decides where actors live. The default is that they all live here. */
export class Placement extends Context.Reference<Placement>()("@troupe/server/Placement", {
  defaultValue: () => ({
    /** Waits until this process owns the actor, and keeps it until the scope closes. */
    acquire: (_address: Address): Effect.Effect<void, never, Scope.Scope> => Effect.void
  })
}) {}
