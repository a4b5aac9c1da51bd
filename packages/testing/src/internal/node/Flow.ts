/** One direction of a connection through a proxy: what comes out of one socket goes into another, late, slowly, or not. */
import * as Duration from "effect/Duration"
import type * as Net from "node:net"
import type { Conditions } from "./Faults.ts"

/** What a flow asks, and tells, its connection. */
export interface Surroundings {
  readonly bufferBytesMax: number
  readonly conditions: () => Conditions
  /** A number from 0 to 1. */
  readonly chance: () => number
  /** How many bytes may still be carried. */
  readonly bytesLeft: () => number
  readonly carried: (bytes: number) => void
}

interface Piece {
  readonly bytes: Buffer
  /** When it may arrive. */
  readonly due: number
}

/** A bound on bytes per second is kept over times as long as this, in milliseconds. */
const paceMillis = 50

/** What a timer takes, in milliseconds: with more it is due at once. */
export const timerMillisMax = 2 ** 31 - 1

/** A reset that arrives together with bytes is taken for an end, so it has to wait until they may have been read. */
const later = (task: () => void) => void setImmediate(() => setImmediate(task))

export class Flow {
  private readonly waiting: Array<Piece> = []
  private waitingBytes = 0
  /** When the next piece may leave, as the bound on bytes per second has it. */
  private freeAt = 0
  private bytesLeft = Infinity
  private onBytesUsed: () => void = () => {}
  private lost = false
  private ended = false
  /** What its source has come to, which is passed on when everything before it has been. With `"end"` it still listens. */
  private closed: "reset" | "close" | "end" | undefined
  private blocked = false
  private timer: NodeJS.Timeout | undefined
  private immediate: NodeJS.Immediate | undefined

  constructor(
    private readonly from: Net.Socket,
    private readonly to: Net.Socket,
    private readonly surroundings: Surroundings
  ) {
    from.on("data", (bytes: Buffer) => this.take(bytes))
    from.on("error", () => {})
    from.on("end", () => {
      this.closed = "end"
      if (this.lost) this.leave()
      else this.carry()
    })
    from.on("close", (failed) => {
      this.closed = failed ? "reset" : "close"
      this.carry()
    })
    to.on("drain", () => {
      this.blocked = false
      this.carry()
    })
  }

  /** Everything is lost from now on. */
  lose(): void {
    this.lost = true
    this.drop()
    this.from.resume()
    if (this.closed === "end") this.leave()
  }

  /** Nobody tells its source anything any more, also not that the other side has heard of its end. */
  private leave(): void {
    this.from.end()
  }

  /** Carries so many more bytes, and does something when the system has the last of them. */
  stopAfter(bytes: number, then: () => void): void {
    this.bytesLeft = bytes
    this.onBytesUsed = then
    if (bytes === 0) then()
  }

  end(): void {
    this.ended = true
    this.drop()
  }

  /** What waits for a slow line does not wait for it any longer. */
  conditionsHaveChanged(): void {
    this.freeAt = 0
    this.carry()
  }

  private drop(): void {
    this.waiting.length = 0
    this.waitingBytes = 0
    this.stopWaiting()
  }

  private stopWaiting(): void {
    clearTimeout(this.timer)
    clearImmediate(this.immediate)
    this.immediate = undefined
  }

  private take(bytes: Buffer): void {
    if (this.lost || this.ended) return
    const { jitter = 0, latency = 0 } = this.surroundings.conditions()
    const delay = Duration.toMillis(latency) + this.surroundings.chance() * Duration.toMillis(jitter)
    const before = this.waiting.at(-1)?.due ?? 0
    this.waiting.push({ bytes, due: Math.max(before, performance.now() + delay) })
    this.waitingBytes += bytes.length
    if (this.waitingBytes >= this.surroundings.bufferBytesMax) this.from.pause()
    this.carry()
  }

  /** Passes on what is due. */
  private carry(): void {
    this.stopWaiting()
    while (!this.ended && !this.lost && !this.blocked) {
      const first = this.waiting[0]
      if (!first) return this.passOnClose()
      const now = performance.now()
      const at = Math.max(first.due, this.freeAt)
      if (at > now) {
        this.timer = setTimeout(() => this.carry(), Math.min(timerMillisMax, Math.ceil(at - now)))
        return
      }
      if (this.bytesLeft === 0) return
      const isSlice = this.pass(first, now)
      if (isSlice) {
        // the other side gets each alone only if it is given time to read
        this.immediate = setImmediate(() => this.carry())
        return
      }
    }
  }

  /** Passes as much of a piece on as may go together. Returns whether what follows has to arrive apart from it. */
  private pass(first: Piece, now: number): boolean {
    const { bytesPerSecond = Infinity, sliceBytesMax = Infinity } = this.surroundings.conditions()
    const together = Math.max(1, Math.floor(bytesPerSecond * paceMillis / 1000))
    const size = Math.min(first.bytes.length, together, sliceBytesMax, this.bytesLeft, this.surroundings.bytesLeft())
    const bytes = first.bytes.subarray(0, size)
    if (size === first.bytes.length) this.waiting.shift()
    else this.waiting[0] = { bytes: first.bytes.subarray(size), due: first.due }
    this.waitingBytes -= size
    // a timer that was late is made up for
    this.freeAt = Math.max(this.freeAt, now - paceMillis) + size / bytesPerSecond * 1000
    this.write(bytes)
    return sliceBytesMax < Infinity
  }

  private write(bytes: Buffer): void {
    if (this.to.destroyed) return
    this.bytesLeft -= bytes.length
    const last = this.bytesLeft === 0
    this.blocked = !this.to.write(bytes, () => {
      if (last) later(() => this.ended || this.onBytesUsed())
    })
    this.surroundings.carried(bytes.length)
    if (this.waitingBytes < this.surroundings.bufferBytesMax) this.from.resume()
  }

  private passOnClose(): void {
    if (this.closed === "reset") this.to.resetAndDestroy()
    if (this.closed === "close") this.to.destroySoon()
    if (this.closed === "end" && this.to.writable) this.to.end()
  }
}
