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

  /** `acknowledge` asks for the next chunk. */
  constructor(private readonly acknowledge: () => void) {}

  /** Whether something has arrived. */
  get begun(): boolean {
    return this.received > 0
  }

  /** A chunk that is known already comes again if the server has not heard that it was taken. */
  offer(index: number, values: ReadonlyArray<unknown>): void {
    if (index > this.received) {
      this.received = index
      this.waiting = Chunk.unsafeFromArray(values)
      this.wake?.()
    } else if (!this.waiting) this.acknowledge()
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
    this.acknowledge()
    return chunk
  }
}

const end = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<never, Option.Option<unknown>> =>
  Exit.isSuccess(exit)
    ? Effect.fail(Option.none())
    : Effect.failCause(Cause.map(exit.cause, Option.some))
