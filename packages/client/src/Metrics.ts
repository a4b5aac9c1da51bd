/**
 * What clients count, as metrics of Effect: read them with `Metric.snapshot`. They are those of the process, over all its
 * clients. Labels name contracts and outcomes, never keys.
 */
import * as Metric from "effect/Metric"

/** Attempts to get a link. Label: `outcome`: `up`, or `failed`. */
export const dials = Metric.counter("troupe_client_dials", {
  description: "Attempts to get a link",
  incremental: true
})

/** Connections that a client has got. Labels: `contract`; `outcome`: `opened` (a new one), or `resumed`. */
export const connections = Metric.counter("troupe_client_connections", {
  description: "Connections that a client has got",
  incremental: true
})

/** Gaps in streams of events: something may have been missed. Label: `contract`. */
export const gaps = Metric.counter("troupe_client_gaps", {
  description: "Gaps in streams of events",
  incremental: true
})
