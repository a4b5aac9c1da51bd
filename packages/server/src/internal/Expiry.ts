/** Many equal timeouts with one fiber, which exists only while one is running. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Something that is told when its time is up. */
export interface Expirable {
  readonly onExpired: () => void
}

/** Timers of JavaScript end after 25 days; longer ones would never fire. */
const sleepMax = 24 * 60 * 60 * 1000

export class Expiry {
  private readonly deadlines = new Map<Expirable, number>()
  private running = false

  constructor(
    private readonly clock: Clock.Clock,
    private readonly fork: (effect: Effect.Effect<void>) => void,
    private readonly millis: number
  ) {}

  /** Starts a timeout, from its beginning if it is running. */
  start(key: Expirable): void {
    this.deadlines.delete(key)
    this.deadlines.set(key, this.clock.unsafeCurrentTimeMillis() + this.millis)
    if (this.running) return
    this.running = true
    this.fork(this.watch)
  }

  stop(key: Expirable): void {
    this.deadlines.delete(key)
  }

  /** All timeouts are equally long, so the map's order of insertion is the order of the deadlines. */
  private readonly watch: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.clock.unsafeCurrentTimeMillis()
    for (const [key, deadline] of this.deadlines) {
      if (deadline > now) return Effect.zipRight(Effect.sleep(Math.min(deadline - now, sleepMax)), this.watch)
      this.deadlines.delete(key)
      key.onExpired()
    }
    this.running = false
    return Effect.void
  })
}
