/**
 * What a server counts and measures, as metrics of Effect: read them with `Metric.snapshot`, or export them with
 * @effect/opentelemetry. They are those of the process, over all its hosts. Labels name contracts, rpcs and outcomes, never
 * keys, clients or connections, so that their number is bounded by the program.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/** Connections that stand, those that wait to be resumed among them. Label: `contract`. */
export const connections = Metric.gauge("troupe_connections", {
  description: "Connections that stand, those that wait to be resumed among them"
})

/** Connections that have ended. Labels: `contract`, `reason` (the tag of a `DisconnectReason`). */
export const disconnects = Metric.counter("troupe_disconnects", {
  description: "Connections that have ended",
  incremental: true
})

/**
 * Connections that were not opened. Labels: `contract`; `reason`: the tag of a `DisconnectReason`. Who asks for a contract that
 * is not served here, or for more connections than `connectionsMax` on one link, is not counted.
 */
export const refusals = Metric.counter("troupe_refusals", {
  description: "Connections that were not opened",
  incremental: true
})

/** Attempts to go on with a connection on another link. Labels: `contract`, `outcome`: `resumed`, or `refused`. */
export const resumes = Metric.counter("troupe_resumes", {
  description: "Attempts to go on with a connection on another link",
  incremental: true
})

/**
 * Calls that were answered. Labels: `contract`; `rpc`; `source`: `client`, `internal` (a backend or another actor), `alarm`;
 * `outcome`: `success`, `failure` (the rpc's own error), `defect`, `interrupted`, `rejected` (not run).
 */
export const calls = Metric.counter("troupe_calls", { description: "Calls that were answered", incremental: true })

/** Turns that run or wait. Label: `contract`. */
export const mailbox = Metric.gauge("troupe_mailbox_depth", { description: "Turns that run or wait" })

/** Actors in memory. Label: `contract`. */
export const activations = Metric.gauge("troupe_activations", { description: "Actors in memory" })

/** Actors that were put into memory. Labels: `contract`, `outcome`: `awake`, or `failed`. */
export const wakes = Metric.counter("troupe_wakes", {
  description: "Actors that were put into memory",
  incremental: true
})

/** Alarms that have fired. Labels: `contract`; `outcome`: `success`, `failed` (tried again later), `parked`. */
export const alarms = Metric.counter("troupe_alarms", { description: "Alarms that have fired", incremental: true })

/** What is kept for clients until they have it, in bytes; answers do not count. Label: `contract`. */
export const outbox = Metric.gauge("troupe_outbox_bytes", {
  description: "What is kept for clients until they have it, in bytes"
})

/** Actors in one transaction of the store. */
export const commitActors = Metric.histogram(
  "troupe_commit_actors",
  MetricBoundaries.exponential({ start: 1, factor: 4, count: 7 }),
  "Actors in one transaction of the store"
)

/** Turns in one transaction of the store. */
export const commitTurns = Metric.histogram(
  "troupe_commit_turns",
  MetricBoundaries.exponential({ start: 1, factor: 4, count: 8 }),
  "Turns in one transaction of the store"
)

/** How long a transaction of the store takes, in seconds. */
export const commitSeconds = Metric.histogram(
  "troupe_commit_seconds",
  MetricBoundaries.exponential({ start: 0.00025, factor: 2, count: 16 }),
  "How long a transaction of the store takes, in seconds"
)

/** Transactions that the store has refused as a whole. */
export const commitFailures = Metric.counter("troupe_commit_failures", {
  description: "Transactions that the store has refused as a whole",
  incremental: true
})
