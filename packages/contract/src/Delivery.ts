/** How an rpc is delivered when the connection's memory is lost, as an annotation on the rpc. */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Context from "effect/Context"

/**
 * `exactly-once`, the default: sent again, joined with what is running, answered from what was recorded.
 * `at-most-once`: rides resumes of the same connection; when the connection is lost it ends with `OutcomeUnknown`.
 */
export class Delivery extends Context.Reference<Delivery>()("@troupe/contract/Delivery", {
  defaultValue: (): "exactly-once" | "at-most-once" => "exactly-once"
}) {}

/** The delivery of an rpc: `Rpc.make(...).annotate(Delivery.Delivery, "at-most-once")`. */
export const of = (rpc: Rpc.AnyWithProps): "exactly-once" | "at-most-once" => Context.get(rpc.annotations, Delivery)
