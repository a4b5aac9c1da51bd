/** Puts the frames of one tick into one message, and the acknowledgements of that tick into one frame per connection. */
import type { Link } from "../Link.ts"
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

/** Writes to one link. A message is kept below `messageSizeMax` unless a single frame is larger. */
export class FrameWriter {
  private frames: Array<string> = []
  private size = 0
  private readonly unacknowledged = new Set<Acknowledged>()
  private scheduled = false

  constructor(
    private readonly link: Pick<Link, "send">,
    private readonly schedule: (task: () => void) => void,
    /** It may change with what the peer takes. */
    public messageSizeMax: number,
    private readonly sizeOf: (frame: string) => number = (frame) => frame.length
  ) {}

  /** Sends a frame with those of this tick. */
  write(frame: string): void {
    const size = this.sizeOf(frame)
    if (this.size > 0 && this.size + size + envelopeSize > this.messageSizeMax) this.send()
    this.frames.push(frame)
    this.size += size + 1
    this.flushLater()
  }

  /** Acknowledges, at the end of this tick, what a connection will have received by then. */
  acknowledge(connection: Acknowledged): void {
    this.unacknowledged.add(connection)
    this.flushLater()
  }

  /** Acknowledges what a connection will have received by then when something is sent the next time. */
  acknowledgeLater(connection: Acknowledged): void {
    this.unacknowledged.add(connection)
  }

  /** Sends what has been written so far now, for a link that is about to be closed. */
  flush(): void {
    for (const { channel, inbox } of this.unacknowledged) {
      inbox.unacknowledged = 0
      if (channel > 0) this.frames.push(Frame.encodeAck(channel, inbox.received))
    }
    this.unacknowledged.clear()
    this.send()
  }

  private flushLater(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.schedule(() => {
      this.scheduled = false
      this.flush()
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
