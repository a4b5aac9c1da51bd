/** Counts what happens to a client. All of it is rare, so labels are not kept. */
import * as MetricLabel from "effect/MetricLabel"
import * as Metrics from "../Metrics.ts"

/** A dial has brought a link, or failed. */
export const dial = (outcome: "up" | "failed"): void =>
  Metrics.dials.unsafeUpdate(1, [MetricLabel.make("outcome", outcome)])

/** There is a connection: another one, or the same on another link. */
export const connection = (contract: string, outcome: "opened" | "resumed"): void =>
  Metrics.connections.unsafeUpdate(1, [MetricLabel.make("contract", contract), MetricLabel.make("outcome", outcome)])

/** A reader finds a gap. */
export const gap = (contract: string): void => Metrics.gaps.unsafeUpdate(1, [MetricLabel.make("contract", contract)])
