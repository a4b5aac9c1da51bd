/** One reader of an event: what has arrived and has not been read, within a bound. */
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import { Gap } from "@troupe/contract/Gap"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

const gap = new Gap()

export class EventReader {
  private buffer: Array<unknown> = []
  /** How the stream ends, after what has arrived. */
  private ending: Option.Option<ConnectionError> | undefined
  private wake: (() => void) | undefined

  constructor(
    private readonly bufferMax: number,
    private readonly onGap: () => void
  ) {}

  offer(event: unknown): void {
    if (this.buffer.length >= this.bufferMax) {
      this.buffer = [gap]
      this.onGap()
    }
    this.buffer.push(event)
    this.wake?.()
  }

  /** Something may have been missed here. */
  gap(): void {
    if (this.buffer[this.buffer.length - 1] === gap) return
    this.onGap()
    this.offer(gap)
  }

  /** Ends the stream, after what has arrived; with an error if there is one. */
  end(error?: ConnectionError): void {
    this.ending ??= Option.fromNullable(error)
    this.wake?.()
  }

  /** What arrives, from what is kept on. */
  get stream(): Stream.Stream<unknown, ConnectionError> {
    return Stream.repeatEffectChunkOption(this.take)
  }

  private readonly take: Effect.Effect<Chunk.Chunk<unknown>, Option.Option<ConnectionError>> = Effect.async(
    (resume) => {
      const ready = () => {
        if (this.buffer.length === 0 && !this.ending) return false
        this.wake = undefined
        resume(this.buffer.length > 0 ? Effect.sync(() => this.takeAll()) : Effect.fail(this.ending!))
        return true
      }
      if (!ready()) this.wake = ready
    }
  )

  private takeAll(): Chunk.Chunk<unknown> {
    const items = this.buffer
    this.buffer = []
    return Chunk.unsafeFromArray(items)
  }
}
