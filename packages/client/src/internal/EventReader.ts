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
  private failure: ConnectionError | undefined
  private wake: (() => void) | undefined

  constructor(private readonly bufferMax: number) {}

  offer(event: unknown): void {
    if (this.buffer.length >= this.bufferMax) this.buffer = [gap]
    this.buffer.push(event)
    this.wake?.()
  }

  /** Something may have been missed here. */
  gap(): void {
    if (this.buffer[this.buffer.length - 1] !== gap) this.offer(gap)
  }

  /** The stream ends with the error, after what has arrived. */
  fail(error: ConnectionError): void {
    this.failure = error
    this.wake?.()
  }

  /** What arrives, from what is kept on. */
  get stream(): Stream.Stream<unknown, ConnectionError> {
    return Stream.repeatEffectChunkOption(this.take)
  }

  private readonly take: Effect.Effect<Chunk.Chunk<unknown>, Option.Option<ConnectionError>> = Effect.async(
    (resume) => {
      const ready = () => {
        if (this.buffer.length === 0 && !this.failure) return false
        this.wake = undefined
        resume(this.buffer.length > 0 ? Effect.sync(() => this.takeAll()) : Effect.fail(Option.some(this.failure!)))
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
