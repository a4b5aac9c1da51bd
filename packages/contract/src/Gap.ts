/** The marker of lost events. Silent loss does not exist: where a stream of events has a hole, it has a `Gap`. */
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/** Stands in an event stream where events may have been missed: after a reconnection that could not be resumed. */
export class Gap extends Schema.TaggedClass<Gap>("@troupe/contract/Gap")("Gap", {}) {}

/** Whether a value is a `Gap`. */
export const isGap = (u: unknown): u is Gap => u instanceof Gap

/** Drops the gap markers, for readers that only want the events. */
export const ignore = <A, E, R>(self: Stream.Stream<A | Gap, E, R>): Stream.Stream<Exclude<A, Gap>, E, R> =>
  Stream.filter(self, (item): item is Exclude<A, Gap> => !isGap(item))
