/** When a session asks for its next connection: at once or on the schedule, one attempt at a time. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { Backoff } from "./Backoff.ts"
import type { ClientServices } from "./ClientServices.ts"

export class Attempts {
  private readonly backoff: Backoff
  private fiber: Fiber.RuntimeFiber<void> | undefined
  private started = 0
  /** The last attempt followed a loss at once; if it fails, or what it brought is lost soon, the next one waits. */
  private hasty = false

  constructor(
    private readonly services: ClientServices,
    private readonly onWait: (status: ConnectionStatus.ConnectionStatus) => void,
    /** The schedule has ended. */
    private readonly onGaveUp: () => void
  ) {
    this.backoff = new Backoff(services.schedule)
  }

  /** The next loss is the first of a row. */
  reset(): void {
    this.backoff.reset()
    this.hasty = false
  }

  /** Runs an attempt now, in place of the one before. A fiber runs at once, and may start the next before it is known. */
  start(attempt: Effect.Effect<void>): void {
    this.interrupt()
    const number = ++this.started
    const fiber = this.services.fork(attempt)
    if (number !== this.started) return
    this.fiber = fiber
    // one that has ended is not kept in memory
    fiber.addObserver(() => {
      if (number === this.started) this.fiber = undefined
    })
  }

  /** At once after the first loss of a row, and on the schedule after the others. */
  startSoon(cause: ConnectionStatus.WaitingCause, attempt: () => void): void {
    if (this.hasty) return this.startLater(cause, attempt)
    this.hasty = true
    attempt()
  }

  /** On the schedule. */
  startLater(cause: ConnectionStatus.WaitingCause, attempt: () => void): void {
    this.start(Effect.flatMap(this.backoff.next(cause), (retryAt) => {
      if (Option.isNone(retryAt)) return Effect.sync(this.onGaveUp)
      this.onWait(ConnectionStatus.Waiting({ attempt: this.backoff.attempt, retryAt, cause }))
      const wait = Effect.sleep(retryAt.value - this.services.clock.unsafeCurrentTimeMillis())
      return Effect.zipRight(
        wait,
        Effect.sync(() => {
          this.fiber = undefined
          attempt()
        })
      )
    }))
  }

  /** There is no link for an attempt any more. */
  stop(): void {
    this.interrupt()
    this.hasty = false
  }

  private interrupt(): void {
    this.started++
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.fiber = undefined
  }
}
