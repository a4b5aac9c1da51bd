/**
 * What the outside sees of a call: it is counted by how it ends, and traced if a tracer was installed around the layer of
 * its implementation. Where nobody traces, all calls of an rpc share one observer, and a call costs a counter.
 */
import type { Address } from "@troupe/contract/Address"
import { CallSpan, isTraced } from "@troupe/contract/CallSpan"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import type * as Tracer from "effect/Tracer"
import { type Meters, type Outcome, outcomeOf, type Source } from "./Meters.ts"

type Exited = Exit.Exit<unknown, unknown>

export interface Observed {
  /** What spans of the handler belong to. */
  readonly span: Tracer.Span | undefined
  /** It has its turn. */
  readonly started: () => void
  /** The handler has ended. */
  readonly ended: () => void
  /** Its commit is durable, and its answer may leave. */
  readonly answered: (exit: Exited) => void
  /** It will not be answered. */
  readonly dropped: () => void
}

const nothing = (): void => {}

/** All calls of an rpc where nobody traces. */
class Counted implements Observed {
  readonly span = undefined
  readonly started = nothing
  readonly ended = nothing
  readonly dropped = nothing

  constructor(private readonly count: (outcome: Outcome) => void) {}

  readonly answered = (exit: Exited): void => this.count(outcomeOf(exit))
}

/** One call where somebody does. */
class Traced implements Observed {
  readonly span: Tracer.Span

  constructor(
    private readonly call: CallSpan,
    private readonly counted: Counted
  ) {
    this.span = call.span
  }

  readonly started = (): void => this.call.event("started", { "mailbox.millis": this.call.millisSince("begun") })

  readonly ended = (): void => this.call.event("ended", { "turn.millis": this.call.millisSince("last") })

  readonly answered = (exit: Exited): void => {
    this.call.event("committed", { "commit.millis": this.call.millisSince("last") })
    this.call.end(exit)
    this.counted.answered(exit)
  }

  readonly dropped = (): void => this.call.end(Exit.interrupt(FiberId.none))
}

/** Observes the calls that come to the actors of a contract from one source. */
export class Observer {
  private readonly counted = new Map<string, Counted>()

  constructor(
    private readonly meters: Meters,
    private readonly source: Source,
    private readonly runtime: Runtime.Runtime<never>,
    private readonly traced: boolean
  ) {}

  /** A call has come. `parent` is the span of who has made it. */
  begin(
    address: Address,
    tag: string,
    parent: Tracer.AnySpan | undefined,
    attributes?: Readonly<Record<string, unknown>>
  ): Observed {
    let counted = this.counted.get(tag)
    if (!counted) this.counted.set(tag, counted = new Counted(this.meters.ofCalls(this.source, tag)))
    if (!this.traced) return counted
    const options = { kind: "server", parent, attributes: { "troupe.source": this.source, ...attributes } } as const
    const call = Runtime.runSync(this.runtime)(CallSpan.begin(address, tag, options))
    return call ? new Traced(call, counted) : counted
  }

  /** A call was not run: there is no such rpc, or its payload does not fit. */
  rejected(tag = "unknown"): void {
    this.meters.ofCalls(this.source, tag)("rejected")
  }
}

/** The observers of a contract. */
export interface Observers {
  readonly client: Observer
  readonly internal: Observer
  readonly alarm: Observer
}

/** `runtime` is that of the layer of the implementation. */
export const make = (meters: Meters, runtime: Runtime.Runtime<never>): Observers => {
  const traced = Runtime.runSync(runtime)(Effect.withFiberRuntime<boolean>((fiber) => Effect.succeed(isTraced(fiber))))
  const of = (source: Source) => new Observer(meters, source, runtime, traced)
  return { client: of("client"), internal: of("internal"), alarm: of("alarm") }
}
