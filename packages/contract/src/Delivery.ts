/** How an rpc is delivered when the connection's memory is lost, as an annotation on the rpc. */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Context from "effect/Context"

/**
 * What becomes of a call that was sent when its connection is lost before the answer came. All of them ride resumes of
 * the same connection.
 *
 * - `exactly-once`, the default: sent again, joined with what is running, answered from what was recorded. Not sent again
 *   once the record may have been deleted: then it ends with `OutcomeUnknown`. Of streams and forked rpcs nothing is recorded:
 *   they go on, or end with `OutcomeUnknown` when their activation is lost.
 * - `idempotent`: sent again whatever its age. Nothing is recorded, so a call that has run may run again; but not a stream
 *   that has given values.
 * - `at-most-once`: never sent again, it ends with `OutcomeUnknown`. Nothing is recorded.
 */
export type Mode = "exactly-once" | "idempotent" | "at-most-once"

/** The annotation: `Rpc.make(...).annotate(Delivery.Delivery, "idempotent")`. */
export class Delivery extends Context.Reference<Delivery>()("@troupe/contract/Delivery", {
  defaultValue: (): Mode => "exactly-once"
}) {}

/** The delivery of an rpc. */
export const of = (rpc: Rpc.AnyWithProps): Mode => Context.get(rpc.annotations, Delivery)

/** Whether what a call has done is recorded, so that it is found when the call is made again. */
export const isRecorded = ({ forked, rpc }: { readonly forked: boolean; readonly rpc: Rpc.AnyWithProps }): boolean =>
  !forked && of(rpc) === "exactly-once"

/**
 * For how much of a store's retention a client sends a call again: later its answer might have been deleted. The rest is for
 * clocks that differ, and for the call to run.
 */
export const resendShare = 0.9
