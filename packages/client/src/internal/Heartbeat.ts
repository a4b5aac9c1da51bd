/** Signs of life on one link: asks for them, and tells when none come back. One fiber waits for the next moment to look. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { ClientServices } from "./ClientServices.ts"

/** The link whose life it is. */
export interface Living {
  /** When a message came last, in milliseconds since the epoch. */
  readonly lastHeard: number
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
  private fiber: Fiber.RuntimeFiber<void> | undefined
  private probing = false

  constructor(
    private readonly services: Pick<ClientServices, "clock" | "fork">,
    private readonly link: Living,
    private readonly options: HeartbeatOptions
  ) {}

  start(): void {
    this.after(this.options.heartbeatMillis, () => {
      if (this.silent >= this.options.silenceMillis) return this.link.onSilence(this.silent)
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
    this.after(Math.min(probeMillis, heartbeatMillis), () => {
      this.probing = false
      if (this.link.heard === heard) return this.link.onSilence(this.silent)
      this.start()
    })
  }

  stop(): void {
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.fiber = undefined
  }

  private get silent(): number {
    return this.services.clock.unsafeCurrentTimeMillis() - this.link.lastHeard
  }

  /** In place of what it has waited for. */
  private after(millis: number, task: () => void): void {
    this.stop()
    this.fiber = this.services.fork(Effect.zipRight(
      Effect.sleep(millis),
      Effect.sync(() => {
        this.fiber = undefined
        task()
      })
    ))
  }
}
