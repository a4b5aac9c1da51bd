/** The metrics of one contract. Labels are made once: a metric finds what it counts by the identity of its labels. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as Metrics from "../Metrics.ts"

/** Who makes a call. */
export type Source = "client" | "internal" | "alarm"

export type Outcome = "success" | "failure" | "defect" | "interrupted" | "rejected"

export const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  if (Cause.isFailure(exit.cause)) return "failure"
  return Cause.isInterruptedOnly(exit.cause) ? "interrupted" : "defect"
}

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

const labels = (record: Readonly<Record<string, string>>): Labels =>
  Object.entries(record).map(([name, value]) => MetricLabel.make(name, value))

/** Counts one of several things, which have a name. */
class Named<Name extends string> {
  private readonly known = new Map<Name, Labels>()

  constructor(
    private readonly metric: Metric.Metric.Counter<number>,
    private readonly label: string,
    private readonly common: Readonly<Record<string, string>>
  ) {}

  readonly count = (name: Name): void => {
    let found = this.known.get(name)
    if (!found) this.known.set(name, found = labels({ ...this.common, [this.label]: name }))
    this.metric.unsafeUpdate(1, found)
  }
}

export class Meters {
  private readonly labels: Labels
  private readonly calls = new Map<string, Named<Outcome>>()
  private readonly disconnects: Named<string>
  private readonly refusals: Named<string>
  private readonly resumes: Named<"resumed" | "refused">
  private readonly wakes: Named<"awake" | "failed">
  private readonly alarms: Named<"success" | "failed" | "parked">

  constructor(private readonly contract: string) {
    const common = { contract }
    this.labels = labels(common)
    this.disconnects = new Named(Metrics.disconnects, "reason", common)
    this.refusals = new Named(Metrics.refusals, "reason", common)
    this.resumes = new Named(Metrics.resumes, "outcome", common)
    this.wakes = new Named(Metrics.wakes, "outcome", common)
    this.alarms = new Named(Metrics.alarms, "outcome", common)
  }

  /** Counts the calls of an rpc by how they have ended. */
  ofCalls(source: Source, rpc: string): (outcome: Outcome) => void {
    const id = `${source} ${rpc}`
    let found = this.calls.get(id)
    if (!found) {
      this.calls.set(id, found = new Named(Metrics.calls, "outcome", { contract: this.contract, rpc, source }))
    }
    return found.count
  }

  readonly connections = (change: number): void => Metrics.connections.unsafeModify(change, this.labels)
  readonly mailbox = (change: number): void => Metrics.mailbox.unsafeModify(change, this.labels)
  readonly activations = (change: number): void => Metrics.activations.unsafeModify(change, this.labels)
  readonly outbox = (change: number): void => Metrics.outbox.unsafeModify(change, this.labels)
  readonly disconnected = (reason: string): void => this.disconnects.count(reason)
  readonly refused = (reason: string): void => this.refusals.count(reason)
  readonly resumed = (outcome: "resumed" | "refused"): void => this.resumes.count(outcome)
  readonly woken = (outcome: "awake" | "failed"): void => this.wakes.count(outcome)
  readonly alarmed = (outcome: "success" | "failed" | "parked"): void => this.alarms.count(outcome)
}
