/** A link, as connections use it from the moment on at which its server has been greeted. */
import type * as Frame from "@troupe/contract/protocol/Frame"
import type { FrameWriter } from "@troupe/contract/protocol/FrameWriter"

/** Who takes the frames of a channel. */
export interface Receiver {
  readonly onFrame: (frame: Extract<Frame.ServerFrame, { readonly channel: number }>) => void
  /** Whether an answer is on its way that the link could still bring. */
  readonly awaitsAnswer: boolean
}

/** Where one connection speaks on a link. Its number is never used again there. */
export interface Channel {
  readonly number: number
  readonly link: OpenLink
  /** From now on its frames are dropped. */
  readonly release: () => void
}

export interface OpenLink {
  readonly writer: FrameWriter
  readonly newChannel: (receiver: Receiver) => Channel
  /** The server has said `Welcome`, and what it takes. */
  readonly welcomed: boolean
  /** How long an `Open` or a `Resume` may be, in bytes. */
  readonly openBytesMax: number
  /** How long any other message to this server may be, in bytes. */
  readonly messageBytesMax: number
  /** When a message came last, in milliseconds since the epoch. */
  readonly lastHeard: number
  /** How long the message is whose frames are handled now, in bytes, or more than that. */
  readonly heardBytes: number
  /** The server is going away: answers may still come, but nothing new is sent. */
  readonly draining: boolean
}
