/** When something is asked for that can fail, a link or a connection: at once or on the schedule, one attempt at a time. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { Backoff } from "./Backoff.ts"
import type { ClientServices } from "./ClientServices.ts"

/** For whom something is tried. */
export interface AttemptsOwner {
  /** The next attempt is waited for. */
  readonly setStatus: (status: ConnectionStatus.ConnectionStatus) => void
  /** The schedule has ended. */
  readonly onGaveUp: () => void
}

export class Attempts {
  private readonly backoff: Backoff
  private fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined
  private started = 0
  /** From when a fiber is about to be there, which runs at once. */
  private running = false
  /** The last attempt followed a loss at once; if it fails, or what it brought is lost soon, the next one waits. */
  private hasty = false

  constructor(
    private readonly services: ClientServices,
    private readonly owner: AttemptsOwner
  ) {
    this.backoff = new Backoff(services.schedule)
  }

  /** Whether something is tried, or waited for. */
  get active(): boolean {
    return this.running
  }

  /** The next loss is the first of a row. */
  reset(): void {
    this.backoff.reset()
    this.hasty = false
  }

  /** Runs an attempt now, in place of the one before, of which nothing is heard any more. What is known takes no fiber. */
  start<A, E>(attempt: Effect.Effect<A, E>, onEnd: (exit: Exit.Exit<A, E>) => void): void {
    this.interrupt()
    if (Exit.isExit(attempt)) return onEnd(attempt as Exit.Exit<A, E>)
    const number = this.started
    this.running = true
    const fiber = this.services.fork(attempt)
    // it runs at once, and what it does may have stopped it
    if (number !== this.started) return fiber.unsafeInterruptAsFork(FiberId.none)
    this.fiber = fiber
    fiber.addObserver((exit) => {
      if (number !== this.started) return
      this.running = false
      this.fiber = undefined
      onEnd(exit)
    })
  }

  /** At once after the first loss of a row, and on the schedule after the others. */
  startSoon(cause: ConnectionStatus.WaitingCause, attempt: () => void): void {
    if (this.hasty) return this.startLater(cause, attempt)
    this.hasty = true
    attempt()
  }

  /**
   * On the schedule, and so many milliseconds later. One after the other: if the longer of the two counted, all clients
   * would come back at the moment they were told.
   */
  startLater(cause: ConnectionStatus.WaitingCause, attempt: () => void, laterMillis = 0): void {
    const wait = Effect.flatMap(
      this.backoff.next(cause),
      Option.match({
        onNone: () => Effect.succeed(false),
        onSome: (time) => {
          const retryAt = time + laterMillis
          const { attempt } = this.backoff
          this.owner.setStatus(ConnectionStatus.Waiting({ attempt, retryAt: Option.some(retryAt), cause }))
          return Effect.as(Effect.sleep(retryAt - this.services.clock.unsafeCurrentTimeMillis()), true)
        }
      })
    )
    this.start(wait, (exit) => {
      // a schedule that dies has ended as well
      if (Exit.isSuccess(exit) && exit.value) return attempt()
      this.reset()
      this.owner.onGaveUp()
    })
  }

  /** There is nobody any more for whom to try. */
  stop(): void {
    this.interrupt()
    this.hasty = false
  }

  private interrupt(): void {
    this.started++
    this.running = false
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.fiber = undefined
  }
}
