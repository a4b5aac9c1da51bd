/** Steps through a schedule by hand: the delays are shown to people before they are waited for. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"

export class Backoff {
  /** How many failures in a row there have been. */
  attempt = 0
  private state: unknown

  constructor(private readonly schedule: Schedule.Schedule<unknown, unknown>) {
    this.state = schedule.initial
  }

  /** Starts anew. */
  reset(): void {
    this.attempt = 0
    this.state = this.schedule.initial
  }

  /** When to try again, in whole milliseconds since the epoch; none if the schedule has ended. */
  next(cause: unknown): Effect.Effect<Option.Option<number>> {
    return Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Effect.map(this.schedule.step(now, cause, this.state), ([state, , decision]) => {
          this.attempt++
          this.state = state
          return ScheduleDecision.isContinue(decision)
            ? Option.some(Math.max(now, Math.ceil(ScheduleIntervals.start(decision.intervals))))
            : Option.none()
        })
    )
  }
}
