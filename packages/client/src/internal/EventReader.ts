/** One reader of an event: a stream of what has arrived and has not been read. */
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import { SparseSet } from "@troupe/contract/Sparse"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { EventBuffer } from "./EventBuffer.ts"
import * as Listener from "./Listener.ts"

type Taken = Effect.Effect<Chunk.Chunk<unknown> | undefined, ConnectionError>

type Events = Channel.Channel<Chunk.Chunk<unknown>, unknown, ConnectionError>

export class EventReader {
  /** How the stream ends, after what has arrived. */
  private ending: Option.Option<ConnectionError> | undefined
  /** Tells whoever waits, who may have been interrupted. */
  private wake: (() => void) | undefined
  /** The same for those who came while somebody waited: the stream is run twice, or again. */
  private readonly besides = new SparseSet<() => void>()

  constructor(private readonly buffer: EventBuffer) {}

  private wakeAll(): void {
    this.wake?.()
    if (this.besides.size > 0) { for (const wake of Array.from(this.besides)) wake() }
  }

  offer(event: unknown, sender?: number): void {
    this.buffer.add(event, sender)
    this.wakeAll()
  }

  /** Something may have been missed here. */
  gap(): void {
    this.buffer.gap()
    this.wakeAll()
  }

  /** Ends the stream, after what has arrived; with an error if there is one. */
  end(error?: ConnectionError): void {
    this.ending ??= Option.fromNullable(error)
    this.wakeAll()
  }

  /** Hands what arrives to a listener at once, from what is kept on, in place of the stream. */
  listen(listener: (event: unknown) => void, ended?: (error: ConnectionError) => void): void {
    this.wake = () => {
      for (const event of this.buffer.takeAll()) Listener.tell(listener, event)
      if (!this.ending) return
      this.wake = undefined
      if (ended && Option.isSome(this.ending)) Listener.tell(ended, this.ending.value)
    }
    this.wake()
  }

  /** What arrives, from what is kept on. */
  get stream(): Stream.Stream<unknown, ConnectionError> {
    return Stream.fromChannel(this.channel)
  }

  /** A loop of its own: what `Stream` has for effects that are repeated costs more for each event, by a fifth. */
  private readonly channel: Events = Channel.flatMap(
    Channel.fromEffect(Effect.suspend(() => this.take)),
    (chunk) => chunk ? Channel.flatMap(Channel.write(chunk), () => this.channel) : Channel.void
  )

  /** What has arrived since; nothing if that was all. To hear of an interruption costs: only the second who waits does. */
  private readonly take: Taken = Effect.suspend(() => this.wake ? this.takeBeside() : this.takeAlone())

  private takeAlone(): Taken {
    return Effect.async((resume) => {
      const ready = () => {
        if (!this.isReady) return false
        this.wake = undefined
        resume(Effect.suspend(() => this.next()))
        return true
      }
      if (!ready()) this.wake = ready
    })
  }

  private takeBeside(): Taken {
    return Effect.async((resume) => {
      const ready = () => {
        if (!this.isReady) return false
        this.besides.delete(ready)
        resume(Effect.suspend(() => this.next()))
        return true
      }
      if (!ready()) this.besides.add(ready)
      return Effect.sync(() => this.besides.delete(ready))
    })
  }

  private get isReady(): boolean {
    return this.buffer.size > 0 || this.ending !== undefined
  }

  /** Another may have taken it since there was something: then it is an empty chunk. */
  private next(): Taken {
    if (this.buffer.size > 0 || !this.ending) return Effect.succeed(Chunk.unsafeFromArray(this.buffer.takeAll()))
    return Option.match(this.ending, { onNone: () => Effect.succeed(undefined), onSome: Effect.fail })
  }
}
