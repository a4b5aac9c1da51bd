/**
 * One WebSocket, or what stands for it: an ordered, two-way stream of text messages. A link has no fiber; what arrives is
 * handed over synchronously.
 */

/** The sending half. None of its methods throws or waits; after `close` they do nothing. */
export interface Link {
  /** Sends one text message. */
  readonly send: (text: string) => void
  /** Closes the link. Codes are those of WebSockets (RFC 6455, section 7.4). */
  readonly close: (code: number, reason: string) => void
  /** How many bytes have been sent but not yet handed to the network. */
  readonly buffered: () => number
  /** From now on messages of so many bytes may arrive. Links that do not look at sizes leave it out. */
  readonly allow?: (messageBytesMax: number) => void
  /** While `false`, what the peer sends waits in the network. Links that cannot make it wait leave it out. */
  readonly setReading?: (reading: boolean) => void
}

/** The receiving half. `onClose` is called exactly once, and no message follows it. */
export interface LinkHandler {
  readonly onMessage: (text: string) => void
  readonly onClose: (event: CloseEvent) => void
}

/** Why a link ended: a WebSocket close code, and the reason that came with it. */
export interface CloseEvent {
  readonly code: number
  readonly reason: string
}

/** The peer is done, or the side that closes is: the ordinary end of a link. */
export const codeNormal = 1000

/** The server is going away, and asks its clients to come back. */
export const codeGoAway = 1001

/** The peer sent what the protocol does not allow. */
export const codeViolation = 1008

/** The server gives the link up for its own sake, and the client may come back. */
export const codeTryAgain = 1013

/** The link ended without a close frame. Never sent. */
export const codeAbnormal = 1006
