/** Puts the frames of one tick into one message, and the acknowledgements of that tick into one frame per connection. */
import type { Link } from "../Link.ts"
import { SparseSet } from "../Sparse.ts"
import * as Frame from "./Frame.ts"
import type { Inbox } from "./Sequence.ts"

/** One direction of a connection on this link: what is acknowledged, and where. */
export interface Acknowledged {
  /** 0 if it has none any more. */
  readonly channel: number
  readonly inbox: Inbox
}

/** The brackets of a message. */
const envelopeSize = 2

/** What is longer is sent before the tick ends, so that the other side has something to do meanwhile. */
const aheadSize = 2048

/** How many rounds of tasks it takes until what was received has led to the next call, or to an answer. */
const acknowledgeAfter = 8

/** How many it takes until a connection that was asked for is open, if its hooks wait for nothing. */
const openAfter = 16

const lengthOf = (frame: string): number => frame.length

/** Writes to one link. A message is kept below `messageSizeMax` unless a single frame is larger. */
export class FrameWriter {
  private frames: Array<string> = []
  private size = 0
  private readonly unacknowledged = new SparseSet<Acknowledged>()
  private scheduled = false
  /** What nobody waits for is to be sent when it is its turn among that of other links. */
  private spread = false
  /** For how many rounds what has been put off still waits for frames to go with. */
  private rounds = 0

  constructor(
    private readonly link: Pick<Link, "send">,
    private readonly schedule: (task: () => void) => void,
    /** It may change with what the peer takes. */
    public messageSizeMax: number,
    private readonly sizeOf: (frame: string) => number = lengthOf,
    /** When events are sent. They are sent to many at once, and nobody waits for one. */
    private readonly scheduleEvents = schedule
  ) {}

  /** Sends a frame with those of this tick. */
  write(frame: string): void {
    this.push(frame)
    if (this.size > aheadSize) this.flush()
    else this.flushLater()
  }

  /** Sends an event, before any frame that is written later. */
  writeEvent(frame: string): void {
    this.push(frame)
    if (this.size > aheadSize) return this.flush()
    if (this.scheduled || this.spread) return
    this.spread = true
    this.scheduleEvents(this.flushEvents)
  }

  /** Sends a frame with what is asked for together with it, or alone if that takes longer. */
  writeSoon(frame: string): void {
    this.push(frame)
    this.flushWithin(openAfter)
  }

  /** Acknowledges what a connection has received: with the frames of this tick, or alone if there are none. */
  acknowledge(connection: Acknowledged): void {
    this.unacknowledged.add(connection)
    this.flushWithin(acknowledgeAfter)
  }

  /** Acknowledges what a connection will have received by then when something is sent the next time. */
  acknowledgeLater(connection: Acknowledged): void {
    this.unacknowledged.add(connection)
  }

  /** Sends what has been written so far now, for a link that is about to be closed. */
  flush(): void {
    this.rounds = 0
    for (const connection of this.unacknowledged) {
      // first: what is sent may bring something that is to be acknowledged as well
      this.unacknowledged.delete(connection)
      const { channel, inbox } = connection
      inbox.unacknowledged = 0
      if (channel > 0) this.push(Frame.encodeAck(channel, inbox.received))
    }
    this.send()
  }

  private push(frame: string): void {
    const size = this.sizeOf(frame)
    if (this.size > 0 && this.size + size + envelopeSize > this.messageSizeMax) this.send()
    this.frames.push(frame)
    this.size += size + 1
  }

  private readonly flushEvents = (): void => {
    this.spread = false
    // something else may have taken them along
    if (this.frames.length > 0) this.flush()
  }

  private flushLater(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.schedule(() => {
      this.scheduled = false
      this.flush()
    })
  }

  private flushWithin(rounds: number): void {
    if (!this.scheduled && this.rounds === 0) this.await(rounds)
  }

  /** Flushes after some rounds, unless something else does it before. */
  private await(rounds: number): void {
    this.rounds = rounds
    this.schedule(() => {
      if (this.rounds === 0) return
      if (rounds > 1) this.await(rounds - 1)
      else this.flush()
    })
  }

  private send(): void {
    if (this.frames.length === 0) return
    const text = Frame.join(this.frames)
    this.frames = []
    this.size = 0
    this.link.send(text)
  }
}
