/** Signs of life on one link: asks for them, and tells when none come back. */
import type { Timer } from "./Timer.ts"

/** The link whose life it is. */
export interface Living {
  /** For how long nothing has been heard, in milliseconds. */
  readonly silent: number
  /** How many messages have come. */
  readonly heard: number
  /** Asks for a sign of life. */
  readonly ping: () => void
  /** Nothing was heard for too long. */
  readonly onSilence: (millis: number) => void
}

export interface HeartbeatOptions {
  readonly heartbeatMillis: number
  /** After which silence the link is dead. */
  readonly silenceMillis: number
  /** How long an answer is waited for at most after an opportunity. */
  readonly probeMillis: number
}

export class Heartbeat {
  private probing = false

  constructor(
    /** Nothing else is waited for with it until the link ends. */
    private readonly timer: Timer,
    private readonly link: Living,
    private readonly options: HeartbeatOptions
  ) {}

  start(): void {
    this.timer.set(this.options.heartbeatMillis, () => {
      const { silent } = this.link
      if (silent >= this.options.silenceMillis) return this.link.onSilence(silent)
      this.link.ping()
      this.start()
    })
  }

  /**
   * An answer is not waited for long: the network that the link was made in may be gone, and the browser does not say so.
   */
  probe(): void {
    if (this.probing) return
    const { heartbeatMillis, probeMillis } = this.options
    const { heard } = this.link
    this.probing = true
    this.link.ping()
    this.timer.set(Math.min(probeMillis, heartbeatMillis), () => {
      this.probing = false
      if (this.link.heard === heard) return this.link.onSilence(this.link.silent)
      this.start()
    })
  }
}
