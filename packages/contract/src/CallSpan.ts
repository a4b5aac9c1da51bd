/**
 * One call as a trace shows it: a span at the caller and one at the actor, joined across the wire. Spans are made only
 * where a tracer has been installed. They name the contract, the rpc and the key, and never hold parameters or tokens.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { CallRejected, ConnectionClosed } from "./ConnectionError.ts"

/** A span as it travels with a call, in the shape of @effect/rpc. */
export interface Trace {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
}

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** Whether somebody looks at spans: a tracer has been installed, and tracing is not switched off. */
export const isTraced = (fiber: Fiber.RuntimeFiber<any, any>): boolean =>
  fiber.currentTracer !== nativeTracer && fiber.getFiberRef(FiberRef.currentTracerEnabled)

/** How long the ids of a span may be. They have 16 and 32 digits. */
export const idLengthMax = 64

type Told = { readonly [Name in keyof Trace]?: Trace[Name] | undefined }

/** What a call says of the span it came from, if it does. */
export const traceOf = ({ sampled = true, spanId, traceId }: Told): Trace | undefined =>
  traceId && spanId && traceId.length <= idLengthMax && spanId.length <= idLengthMax
    ? { traceId, spanId, sampled }
    : undefined

/** The span a call came from, if it came with one. */
export const parentOf = (told: Told): Tracer.ExternalSpan | undefined => {
  const trace = traceOf(told)
  return trace && Tracer.externalSpan(trace)
}

/** The actor a call is made to. */
interface Callee {
  readonly contract: string
  readonly key: string
}

/** Where a span belongs. */
export interface SpanOptions {
  /** `client` for who calls, `server` for the actor. */
  readonly kind: "client" | "server"
  /** Absent: the span of the fiber, or, for the actor, none. */
  readonly parent?: Tracer.AnySpan | undefined
  /** Beside contract, rpc and key. */
  readonly attributes?: Readonly<Record<string, unknown>>
}

/** What may be said of an error: a parse error shows values, which are for its own client only. */
const withoutValues = <E>(error: E): unknown =>
  error instanceof CallRejected || error instanceof ConnectionClosed
    ? { _tag: error._tag, message: error instanceof CallRejected ? "the call was rejected" : error.reason._tag }
    : error

const logFailure = (cause: unknown): Effect.Effect<void> => Effect.logError("a tracer has failed", Cause.die(cause))

/**
 * The span of a call, and what happens to the call as its events. Times are nanoseconds. The tracer is somebody else's:
 * what it throws is logged, and keeps no call, no answer and no link from its way.
 */
export class CallSpan {
  private readonly begun: bigint
  private last: bigint

  private constructor(
    readonly span: Tracer.Span,
    private readonly clock: Clock.Clock,
    private readonly runtime: Runtime.Runtime<never>
  ) {
    this.begun = this.last = clock.unsafeCurrentTimeNanos()
  }

  /** Begins the span of a call with the tracer of the fiber. None if the tracer fails. */
  static begin = (
    { contract, key }: Callee,
    tag: string,
    { attributes, kind, parent }: SpanOptions
  ): Effect.Effect<CallSpan | undefined> =>
    Effect.makeSpan(`${contract}/${tag}`, {
      kind,
      captureStackTrace: false,
      attributes: {
        "rpc.system": "troupe",
        "rpc.service": contract,
        "rpc.method": tag,
        "troupe.key": key,
        ...attributes
      },
      ...(parent ? { parent } : { root: kind === "server" })
    }).pipe(
      Effect.flatMap((span) =>
        Effect.clockWith((clock) => Effect.map(Effect.runtime(), (runtime) => new CallSpan(span, clock, runtime)))
      ),
      Effect.catchAllDefect((defect) => Effect.as(logFailure(defect), undefined))
    )

  /** Performs a call in a span of its own, if somebody looks at spans. */
  static use = <A, E, R>(
    callee: Callee,
    tag: string,
    perform: (span: CallSpan | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> =>
    Effect.withFiberRuntime((fiber) => {
      if (!isTraced(fiber)) return perform(undefined)
      return Effect.flatMap(
        CallSpan.begin(callee, tag, { kind: "client" }),
        (span) => span ? Effect.onExit(perform(span), (exit) => Effect.sync(() => span.end(exit))) : perform(undefined)
      )
    })

  /** As `use`, for as long as a scope is open, unless the call ends before. */
  static scoped = (callee: Callee, tag: string): Effect.Effect<CallSpan | undefined, never, Scope.Scope> =>
    Effect.withFiberRuntime((fiber) => {
      if (!isTraced(fiber)) return Effect.succeed(undefined)
      return Effect.acquireRelease(
        CallSpan.begin(callee, tag, { kind: "client" }),
        (span, exit) => Effect.sync(() => span?.end(exit))
      )
    })

  /** What travels with the call. */
  get trace(): Trace {
    const { sampled, spanId, traceId } = this.span
    return { traceId, spanId, sampled }
  }

  /** Something has happened to the call. */
  event(name: string, attributes?: Readonly<Record<string, unknown>>): void {
    const now = this.clock.unsafeCurrentTimeNanos()
    this.safely(() => this.span.event(name, now, attributes))
    this.last = now
  }

  /** How long it has been since the call was begun, or since the last event, in milliseconds. */
  millisSince(mark: "begun" | "last"): number {
    return Number(this.clock.unsafeCurrentTimeNanos() - this[mark]) / 1e6
  }

  /** The call has ended. */
  end(exit: Exit.Exit<unknown, unknown>): void {
    this.safely(() => {
      if (this.span.status._tag === "Ended") return
      this.span.end(this.clock.unsafeCurrentTimeNanos(), Exit.mapError(exit, withoutValues))
    })
  }

  private safely(run: () => void): void {
    try {
      run()
    } catch (cause) {
      Runtime.runFork(this.runtime)(logFailure(cause))
    }
  }
}
