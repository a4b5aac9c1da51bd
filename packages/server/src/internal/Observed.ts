/**
 * What the outside sees of a call: it is counted by how it ends, and traced if a tracer was installed around the layer of
 * its implementation. Where nobody traces, all calls of an rpc share one observer, and a call costs a counter.
 */
import type { Address } from "@troupe/contract/Address"
import { CallSpan, isTraced } from "@troupe/contract/CallSpan"
import * as Cause from "effect/Cause"
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
    private readonly counted: Counted,
    private readonly report: (cause: unknown) => void
  ) {
    this.span = call.span
  }

  readonly started = (): void =>
    this.safely(() => this.call.event("started", { "mailbox.millis": this.call.millisSince("begun") }))

  readonly ended = (): void =>
    this.safely(() => this.call.event("ended", { "turn.millis": this.call.millisSince("last") }))

  readonly answered = (exit: Exited): void => {
    this.safely(() => {
      this.call.event("committed", { "commit.millis": this.call.millisSince("last") })
      this.call.end(exit)
    })
    this.counted.answered(exit)
  }

  readonly dropped = (): void => this.safely(() => this.call.end(Exit.interrupt(FiberId.none)))

  /** The tracer is somebody else's, and what it throws must not keep an answer, or the commits of all, from their way. */
  private safely(run: () => void): void {
    try {
      run()
    } catch (cause) {
      this.report(cause)
    }
  }
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
    return new Traced(Runtime.runSync(this.runtime)(CallSpan.begin(address, tag, options)), counted, this.report)
  }

  private readonly report = (cause: unknown): void =>
    void Runtime.runFork(this.runtime)(Effect.logError("a tracer has failed", Cause.die(cause)))

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
