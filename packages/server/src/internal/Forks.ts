/**
 * Handlers that run beside the turns: forked ones, and those of streams. A call of one starts when it has its turn, and
 * then goes on in a fiber of its own, in the activation's scope. Nothing of it is recorded: it ends with the activation.
 */
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Mailbox from "effect/Mailbox"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { encodeOutput } from "./Answers.ts"
import type { Parts } from "./Parts.ts"
import type { CallEntry, Session } from "./Session.ts"
import { currentTurn, nothing, ofFiber, Turn } from "./Turn.ts"

/** The activation that they are forked in. */
export interface ForksOwner extends Pick<Parts, "services" | "scope" | "turns" | "answers"> {
  /** Keeps the activation in memory while one runs. */
  readonly hold: () => void
  readonly release: () => void
  /** The call has ended, and its answer may leave. */
  readonly answerForked: (session: Session, entry: CallEntry, exit: string) => void
}

/** A call whose handler runs beside the turns. */
export interface Forked {
  readonly session: Session
  readonly entry: CallEntry
  readonly codec: Codec.RpcCodec
  /** What the handler returns: an effect, a stream, or an effect that gives a mailbox. */
  readonly handle: () => unknown
}

/** How large a chunk may become, in bytes, before what follows goes into the next. One value may be larger. */
const chunkBytesMax = 64 * 1024

export class Forks {
  constructor(private readonly owner: ForksOwner) {}

  /** Starts a handler in the turn of the fiber it is started from, whose caller and request it keeps. */
  start(forked: Forked): Effect.Effect<void> {
    const { owner } = this
    const span = forked.entry.observed?.span
    const run = Effect.suspend(() => this.run(forked))
    const body = Effect.interruptible(span ? Effect.withParentSpan(run, span) : run)
    const ended = Effect.map(Effect.exit(body), (exit) => {
      owner.release()
      this.end(forked, exit)
    })
    return Effect.suspend(() => {
      owner.hold()
      forked.entry.streams = forked.codec.element !== undefined
      return forkBeside(ended, owner.scope)
    }).pipe(
      Effect.map((fiber) => {
        forked.entry.interrupt = () => fiber.unsafeInterruptAsFork(FiberId.none)
      }),
      // so that it begins before the turns that follow
      Effect.zipRight(Effect.yieldNow())
    )
  }

  private run(forked: Forked): Effect.Effect<unknown, unknown> {
    const { codec, handle } = forked
    if (!codec.element) return handle() as Effect.Effect<unknown, unknown>
    const element = codec.element
    return Stream.runForEachChunk(toStream(handle()), (values) => this.sendAll(forked, element, values))
  }

  private sendAll({ session, entry }: Forked, element: Codec.Codec, values: Chunk.Chunk<unknown>): Effect.Effect<void> {
    const send = (texts: ReadonlyArray<string>) =>
      Effect.zipRight(this.owner.turns.committed, sendChunk(session, entry, texts))
    return Effect.flatMap(
      encode(element, values, this.owner.services.options.outputBytesMax),
      (parts) => Effect.forEach(parts, send, { discard: true })
    )
  }

  /** The answer leaves after the commits of everything the handler has seen. */
  private end({ session, entry, codec }: Forked, exit: Exit.Exit<unknown, unknown>): void {
    const { turns, answers } = this.owner
    entry.interrupt = undefined
    entry.chunk = undefined
    const { text, exit: ended } = answers.encode(codec, exit, session.connection?.id)
    const { observed } = entry
    observed?.ended()
    turns.pipeline.push({
      changes: nothing,
      reply: undefined,
      release: () => {
        observed?.answered(ended)
        this.owner.answerForked(session, entry, text)
      },
      abandon: () => observed?.dropped()
    })
  }
}

/** Forks an effect for whom the fiber's turn is run, but not as part of it. */
export const forkBeside = <A, E>(
  effect: Effect.Effect<A, E>,
  scope: Scope.Scope
): Effect.Effect<Fiber.RuntimeFiber<A, E>> =>
  Effect.withFiberRuntime((fiber) => {
    const { owner, caller, request } = ofFiber(fiber)!
    const turn = new Turn(owner, { caller, request })
    turn.sealed = true
    return Effect.forkIn(Effect.locally(effect, currentTurn, turn), scope)
  })

const toStream = (result: unknown): Stream.Stream<unknown, unknown> =>
  Predicate.hasProperty(result, Stream.StreamTypeId)
    ? result as Stream.Stream<unknown, unknown>
    : Stream.unwrapScoped(
      Effect.map(result as Effect.Effect<Mailbox.ReadonlyMailbox<unknown, unknown>, unknown>, Mailbox.toStream)
    )

/** Values as texts, in parts that are not too large. */
const encode = (
  element: Codec.Codec,
  values: Chunk.Chunk<unknown>,
  outputBytesMax: number
): Effect.Effect<ReadonlyArray<ReadonlyArray<string>>> =>
  Effect.suspend(() => {
    const parts: Array<Array<string>> = []
    let bytes = Number.POSITIVE_INFINITY
    for (const value of values) {
      const text = encodeOutput(Codec.encodeOrThrow(element, value), element.what, outputBytesMax)
      if (bytes + text.length > chunkBytesMax) {
        parts.push([])
        bytes = 0
      }
      parts[parts.length - 1]!.push(text)
      bytes += text.length
    }
    return Effect.succeed(parts)
  })

/** Sends a chunk, and waits until the client has read it. */
const sendChunk = (session: Session, entry: CallEntry, values: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.async((resume) => {
    const index = (entry.chunks = entry.chunks + 1)
    entry.chunk = {
      text: Frame.encodeChunk(entry.number, index, values),
      sentOn: undefined,
      acknowledged: () => {
        entry.chunk = undefined
        resume(Effect.void)
      }
    }
    session.connection?.sendChunk(entry)
  })
