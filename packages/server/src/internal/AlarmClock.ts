/**
 * Knows when the next actor of a contract has an alarm, and tells it, whether it is in memory or asleep. What sleeps costs
 * no memory here: the clock walks along the alarms in the store, in the order in which they are due, and once in a while
 * anew, because a host that believed to own an actor may commit an alarm after the clock has passed its place. Without a
 * store it has a fiber only while it knows of an alarm.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { StoreError } from "../ActorStore.ts"
import { AlarmIndex, type Position } from "./AlarmIndex.ts"
import * as RetryDelay from "./RetryDelay.ts"

export interface AlarmClockOptions {
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  /** The stored alarms after a position. Absent if nothing is stored: then all that is known is what was watched. */
  readonly scan:
    | ((after: Position | undefined, max: number) => Effect.Effect<ReadonlyArray<Position>, StoreError>)
    | undefined
  /** Makes the actor fire what is due, and says whether something was. It is tried again later if that fails. */
  readonly deliver: (key: string) => Effect.Effect<boolean, unknown>
}

/** How many positions are read at a time. */
const pageMax = 256

/** How many actors are told at the same time. They may have to be woken, and the others wait. */
const deliveriesMax = 1000

/** How long the clock sleeps at most, so that a machine that was suspended is not late for long, and walks on. */
const sleepMax = 60 * 60 * 1000

export class AlarmClock {
  /** Everything in the store up to here has been handed out. */
  private cursor: Position | undefined
  /** When it has begun at the first one. */
  private begunAt = Number.NEGATIVE_INFINITY
  /** Alarms that the cursor has passed: at most one for each key, the earliest. */
  private readonly passed = new AlarmIndex()
  private readonly passedByKey = new Map<string, number>()
  /** How often an actor was told in vain, or was lost, since it has fired an alarm for good. */
  private readonly failures = new Map<string, number>()
  /** Actors that are being told. */
  private readonly telling = new Set<string>()
  private readonly deliveries = Effect.unsafeMakeSemaphore(deliveriesMax)
  private phase: "idle" | "working" | "sleeping" | "stopped" = "idle"
  /** The store is being read: the cursor may pass what is committed meanwhile, and is not in what was read. */
  private scanning = false
  /** When it has to work next. */
  private next = Number.POSITIVE_INFINITY
  private fiber: Fiber.RuntimeFiber<void> | undefined

  constructor(private readonly options: AlarmClockOptions) {}

  /** Looks for alarms that were set before the clock was there. */
  start(): void {
    if (this.options.scan) this.wakeAt(Number.NEGATIVE_INFINITY)
  }

  stop(): void {
    this.phase = "stopped"
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  /** An actor has an alarm that is due then. It has been committed. */
  watch(key: string, due: number): void {
    if (!this.options.scan || this.scanning || (this.cursor && due <= this.cursor.due)) this.pass(key, due)
    this.wakeAt(due)
  }

  /** An actor has woken, and its next alarm is due then. It is told, unless it is, or is to be told later for its failures. */
  meet(key: string, due: number): void {
    if (!this.telling.has(key) && !this.failures.has(key)) this.watch(key, due)
  }

  /** An actor was lost, and with it what it may have fired. It is told again, after delays that grow. */
  onLost(key: string): void {
    this.options.fork(this.tellAgain(key))
  }

  /** An actor has fired an alarm, and that is committed. */
  onFired(key: string): void {
    this.failures.delete(key)
  }

  /** This is all there is of an actor now: when the next of its alarms is due, if it has one. */
  replace(key: string, due: number | undefined): void {
    const known = this.passedByKey.get(key)
    if (known !== undefined) this.passed.remove({ due: known, key })
    this.passedByKey.delete(key)
    this.failures.delete(key)
    if (due !== undefined) this.watch(key, due)
  }

  private get now(): number {
    return this.options.clock.unsafeCurrentTimeMillis()
  }

  /** When it is to walk along the store anew. */
  private get beginsAgainAt(): number {
    return this.options.scan ? this.begunAt + sleepMax : Number.POSITIVE_INFINITY
  }

  private pass(key: string, due: number): void {
    const known = this.passedByKey.get(key)
    if (known !== undefined && known <= due) return
    if (known !== undefined) this.passed.remove({ due: known, key })
    this.passed.add({ due, key })
    this.passedByKey.set(key, due)
  }

  private wakeAt(due: number): void {
    if (this.phase === "stopped" || due >= this.next) return
    this.next = due
    if (this.phase === "working") return
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.phase = "working"
    this.fiber = this.options.fork(this.run)
  }

  private readonly run: Effect.Effect<void> = Effect.suspend(() => {
    const delay = Math.min(this.next, this.beginsAgainAt) - this.now
    if (this.phase === "stopped") return Effect.void
    if (delay === Number.POSITIVE_INFINITY) {
      this.phase = "idle"
      this.fiber = undefined
      return Effect.void
    }
    if (delay <= 0) {
      this.phase = "working"
      this.next = Number.POSITIVE_INFINITY
      return Effect.zipRight(this.handOut, this.run)
    }
    this.phase = "sleeping"
    return Effect.zipRight(Effect.sleep(Math.min(delay, sleepMax)), this.run)
  })

  /** Hands out all that is due, and finds out when the next is. */
  private readonly handOut: Effect.Effect<void> = Effect.suspend(() => {
    const { scan } = this.options
    this.handOutPassed()
    if (!scan) return Effect.void
    if (this.now >= this.beginsAgainAt) {
      this.begunAt = this.now
      this.cursor = undefined
    }
    return this.handOutStored(scan)
  })

  private handOutPassed(): void {
    const { now } = this
    for (let first = this.passed.first; first; first = this.passed.first) {
      if (first.due > now) {
        this.next = Math.min(this.next, first.due)
        return
      }
      this.passed.remove(first)
      this.passedByKey.delete(first.key)
      this.tell(first.key)
    }
  }

  private handOutStored(scan: NonNullable<AlarmClockOptions["scan"]>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.scanning = true
      return scan(this.cursor, pageMax)
    }).pipe(
      Effect.flatMap((positions) => {
        const { now } = this
        this.scanning = false
        const due = positions.filter((position) => position.due <= now)
        this.cursor = due[due.length - 1] ?? this.cursor
        for (const { key } of due) this.tell(key)
        if (due.length === pageMax) return Effect.zipRight(this.roomForMore, this.handOutStored(scan))
        this.next = Math.min(this.next, positions[due.length]?.due ?? Number.POSITIVE_INFINITY)
        return Effect.void
      }),
      // a defect too: without the clock no alarm of the contract would fire again
      Effect.catchAllCause((cause) => {
        // and so would it be with a logger that throws
        this.options.fork(Effect.logError("alarms could not be read", cause))
        return this.tryLater
      })
    )
  }

  private readonly tryLater: Effect.Effect<void> = Effect.map(RetryDelay.millis(2), (delay) => {
    this.scanning = false
    this.next = Math.min(this.next, this.now + delay)
  })

  private readonly roomForMore = this.deliveries.withPermits(1)(Effect.void)

  private tell(key: string): void {
    this.telling.add(key)
    const told = Effect.ensuring(
      Effect.suspend(() => this.options.deliver(key)),
      Effect.sync(() => this.telling.delete(key))
    )
    const delivery = Effect.matchCauseEffect(told, {
      onFailure: () => this.tellAgain(key),
      onSuccess: (fired) => Effect.sync(() => fired || this.onFired(key))
    })
    this.options.fork(this.deliveries.withPermits(1)(delivery))
  }

  private tellAgain(key: string): Effect.Effect<void> {
    const failures = this.failures.get(key) ?? 0
    this.failures.set(key, failures + 1)
    return Effect.map(RetryDelay.millis(failures), (delay) => {
      const due = this.now + delay
      this.pass(key, due)
      this.wakeAt(due)
    })
  }
}
