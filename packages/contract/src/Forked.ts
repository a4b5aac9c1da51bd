/** Which rpcs are handled beside the turns, as an annotation on the rpc. */
import type * as Rpc from "@effect/rpc/Rpc"
import * as RpcSchema from "@effect/rpc/RpcSchema"
import * as Context from "effect/Context"

/**
 * Whether the handler of an rpc runs beside the turns, from when its call has its turn. `Actor.forked(Rpc.make(...))`
 * sets it. Handlers of stream rpcs always do.
 */
export class Forked extends Context.Reference<Forked>()("@troupe/contract/Forked", {
  defaultValue: () => false
}) {}

/** Whether the handler of an rpc runs beside the turns. */
export const of = (rpc: Rpc.AnyWithProps): boolean =>
  Context.get(rpc.annotations, Forked) || RpcSchema.isStreamSchema(rpc.successSchema)
