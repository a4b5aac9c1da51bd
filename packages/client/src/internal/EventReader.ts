/** One reader of an event: a stream of what has arrived and has not been read. */
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { EventBuffer } from "./EventBuffer.ts"

type Events = Channel.Channel<Chunk.Chunk<unknown>, unknown, ConnectionError>

/** Somebody else's mistake is shown where such are shown, and stops nobody. */
const tell = <A>(listener: (value: A) => void, value: A): void => {
  try {
    listener(value)
  } catch (error) {
    void Promise.reject(error)
  }
}

export class EventReader {
  /** How the stream ends, after what has arrived. */
  private ending: Option.Option<ConnectionError> | undefined
  private wake: (() => void) | undefined

  constructor(private readonly buffer: EventBuffer) {}

  offer(event: unknown, sender?: number): void {
    this.buffer.add(event, sender)
    this.wake?.()
  }

  /** Something may have been missed here. */
  gap(): void {
    this.buffer.gap()
    this.wake?.()
  }

  /** Ends the stream, after what has arrived; with an error if there is one. */
  end(error?: ConnectionError): void {
    this.ending ??= Option.fromNullable(error)
    this.wake?.()
  }

  /** Hands what arrives to a listener at once, from what is kept on, in place of the stream. */
  listen(listener: (event: unknown) => void, ended?: (error: ConnectionError) => void): void {
    this.wake = () => {
      for (const event of this.buffer.takeAll()) tell(listener, event)
      if (!this.ending) return
      this.wake = undefined
      if (ended && Option.isSome(this.ending)) tell(ended, this.ending.value)
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

  /** What has arrived since, at least one; nothing if that was all. */
  private readonly take: Effect.Effect<Chunk.Chunk<unknown> | undefined, ConnectionError> = Effect.async((resume) => {
    const ready = () => {
      if (this.buffer.size === 0 && !this.ending) return false
      this.wake = undefined
      resume(
        this.buffer.size > 0
          ? Effect.sync(() => Chunk.unsafeFromArray(this.buffer.takeAll()))
          : Option.match(this.ending!, { onNone: () => Effect.succeed(undefined), onSome: Effect.fail })
      )
      return true
    }
    if (!ready()) this.wake = ready
  })
}
