/** Many equal timeouts with one fiber, which exists only while one is running. For Troupe's own packages. */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"

/** Something that is told when its time is up. */
export interface Expirable {
  readonly onExpired: () => void
}

/** Timers of JavaScript end after 25 days; longer ones would never fire. */
const sleepMax = 24 * 60 * 60 * 1000

export class Expiry {
  private readonly deadlines = new Map<Expirable, number>()
  /** When the clock was last looked at. */
  private seen = -Infinity
  private fiber: Fiber.RuntimeFiber<void> | undefined
  private running = false
  private readonly millis: number

  constructor(
    private readonly clock: Clock.Clock,
    private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>,
    millis: number
  ) {
    // not at once: whoever starts it is in the middle of something, and may start the same again when it is told
    this.millis = Math.max(1, millis)
  }

  /** How many timeouts are running. */
  get size(): number {
    return this.deadlines.size
  }

  /** Starts a timeout, from its beginning if it is running. */
  start(key: Expirable): void {
    const now = this.now()
    this.deadlines.delete(key)
    this.deadlines.set(key, now + this.millis)
    if (this.running) return
    this.running = true
    this.fiber = this.fork(this.watch)
  }

  /** The fiber goes on until the next moment that it knows of: mostly another timeout is started by then. */
  stop(key: Expirable): void {
    this.deadlines.delete(key)
  }

  /** Stops all timeouts, and the fiber. */
  end(): void {
    this.deadlines.clear()
    this.running = false
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.fiber = undefined
  }

  /** All timeouts are equally long, so the map's order of insertion is the order of the deadlines. */
  private readonly watch: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.now()
    for (const [key, deadline] of this.deadlines) {
      if (deadline > now) {
        const wait = Math.min(deadline - now, sleepMax)
        return Effect.zipRight(this.clock.sleep(Duration.millis(wait)), this.watch)
      }
      this.deadlines.delete(key)
      try {
        key.onExpired()
      } catch (defect) {
        // others wait with the same fiber
        return Effect.zipRight(Effect.logError("what a timeout was to do has died", Cause.die(defect)), this.watch)
      }
    }
    this.running = false
    this.fiber = undefined
    return Effect.void
  })

  /** If the clock was set back since it was last looked at, all deadlines are. */
  private now(): number {
    const now = this.clock.unsafeCurrentTimeMillis()
    const back = this.seen - now
    if (back > 0) { for (const [key, deadline] of this.deadlines) this.deadlines.set(key, deadline - back) }
    this.seen = now
    return now
  }
}
