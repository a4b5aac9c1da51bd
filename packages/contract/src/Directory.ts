/** The actors of a contract, as backends and other actors see them. */
import type * as RpcClient from "@effect/rpc/RpcClient"
import type { ActorError } from "./ActorError.ts"
import type { Definition, InternalRpcs } from "./Definition.ts"

/** The actors of one contract, for trusted code: backends and other actors. */
export interface Directory<D extends Definition> {
  /** The internal rpcs of the actor with this key. Nothing happens before one is called. */
  readonly get: (key: string) => RpcClient.RpcClient<InternalRpcs<D>, ActorError>
}
