/** The values of one stream call: a chunk at a time, the next of which is asked for when one has been taken. */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

export class StreamReader {
  /** The index of the last chunk that has arrived. */
  private received = 0
  private waiting: Chunk.Chunk<unknown> | undefined
  private exit: Exit.Exit<unknown, unknown> | undefined
  private wake: (() => void) | undefined

  /** `acknowledge` says that this chunk has been taken, and the next one may come. */
  constructor(private readonly acknowledge: (index: number) => void) {}

  /** Whether something has arrived. */
  get begun(): boolean {
    return this.received > 0
  }

  /**
   * The last chunk comes again if the server has not heard that it was taken. Returns false if it is one that cannot come
   * now: the one before has not been taken, or is missing, or it is of another run.
   */
  offer(index: number, values: ReadonlyArray<unknown>): boolean {
    if (index === this.received) {
      if (!this.waiting) this.acknowledge(index)
      return true
    }
    if (this.waiting || index !== this.received + 1) return false
    this.received = index
    this.waiting = Chunk.unsafeFromArray(values)
    this.wake?.()
    return true
  }

  /** The stream ends, after what has arrived. */
  end(exit: Exit.Exit<unknown, unknown>): void {
    this.exit = exit
    this.wake?.()
  }

  get stream(): Stream.Stream<unknown, unknown> {
    return Stream.repeatEffectChunkOption(this.take)
  }

  private readonly take: Effect.Effect<Chunk.Chunk<unknown>, Option.Option<unknown>> = Effect.async((resume) => {
    const ready = () => {
      if (!this.waiting && !this.exit) return false
      this.wake = undefined
      resume(this.waiting ? Effect.sync(() => this.takeWaiting(this.waiting!)) : end(this.exit!))
      return true
    }
    if (!ready()) this.wake = ready
    return Effect.sync(() => {
      this.wake = undefined
    })
  })

  private takeWaiting(chunk: Chunk.Chunk<unknown>): Chunk.Chunk<unknown> {
    this.waiting = undefined
    this.acknowledge(this.received)
    return chunk
  }
}

const end = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<never, Option.Option<unknown>> =>
  Exit.isSuccess(exit)
    ? Effect.fail(Option.none())
    : Effect.failCause(Cause.map(exit.cause, Option.some))
