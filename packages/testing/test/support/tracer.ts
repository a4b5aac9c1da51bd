/** A tracer that keeps what it is told. */
import { Context, Effect, Option, Tracer } from "effect"

export interface Event {
  readonly name: string
  readonly at: bigint
  readonly attributes: Readonly<Record<string, unknown>>
}

export class Span implements Tracer.Span {
  readonly _tag = "Span"
  readonly attributes = new Map<string, unknown>()
  readonly events: Array<Event> = []
  readonly links: ReadonlyArray<Tracer.SpanLink> = []
  readonly sampled = true
  readonly context = Context.empty()
  status: Tracer.SpanStatus

  constructor(
    readonly name: string,
    readonly parent: Option.Option<Tracer.AnySpan>,
    readonly kind: Tracer.SpanKind,
    startTime: bigint,
    readonly spanId: string,
    readonly traceId: string
  ) {
    this.status = { _tag: "Started", startTime }
  }

  readonly end: Tracer.Span["end"] = (endTime, exit) => {
    this.status = { _tag: "Ended", startTime: this.status.startTime, endTime, exit }
  }
  readonly attribute = (key: string, value: unknown) => void this.attributes.set(key, value)
  readonly addLinks = () => {}
  readonly event = (name: string, at: bigint, attributes: Record<string, unknown> = {}) =>
    void this.events.push({ name, at, attributes })

  get eventNames(): ReadonlyArray<string> {
    return this.events.map(({ name }) => name)
  }

  /** What an event says under a name. */
  attributeOf(event: string, attribute: string): unknown {
    return this.events.find(({ name }) => name === event)?.attributes[attribute]
  }

  get parentId(): string | undefined {
    return Option.getOrUndefined(this.parent)?.spanId
  }

  get exit() {
    return this.status._tag === "Ended" ? this.status.exit : undefined
  }
}

export class RecordingTracer {
  readonly spans: Array<Span> = []

  readonly tracer = Tracer.make({
    span: (name, parent, _context, _links, startTime, kind) => {
      const id = (this.spans.length + 1).toString(16).padStart(16, "0")
      const traceId = Option.match(parent, { onNone: () => id.padStart(32, "f"), onSome: ({ traceId }) => traceId })
      const span = new Span(name, parent, kind, startTime, id, traceId)
      this.spans.push(span)
      return span
    },
    context: (run) => run()
  })

  /** Spans of a name and a kind, in the order in which they were begun. */
  readonly of = (name: string, kind: Tracer.SpanKind): ReadonlyArray<Span> =>
    this.spans.filter((span) => span.name === name && span.kind === kind)

  readonly with = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withTracer(effect, this.tracer)
}
