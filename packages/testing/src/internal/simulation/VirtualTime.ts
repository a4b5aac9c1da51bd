/**
 * Time, and the order of everything, in a simulation. All tasks of all fibers wait in one queue, and all that waits for a
 * time in another; when nothing can be done any more, time goes to the next that is due. Nothing else decides what comes
 * first, so the same beginning has the same end.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import type { Scheduler } from "effect/Scheduler"

interface Timer {
  readonly at: number
  readonly order: number
  /** Undefined when it has been cancelled. */
  task: (() => void) | undefined
}

/** A loop that never waits for anything must end the simulation, not hold it up. */
const tasksMax = 2_000_000

export class VirtualTime {
  /** Milliseconds since the epoch. */
  now: number
  private tasks: Array<() => void> = []
  private next = 0
  private readonly timers: Array<Timer> = []
  private order = 0
  private waiting = 0
  /** How many tasks have been run. */
  steps = 0

  constructor(start: number) {
    this.now = start
  }

  /** Runs a task after those that wait already. */
  readonly schedule = (task: () => void): void => {
    this.tasks.push(task)
  }

  /** Runs a task when so much time has passed. Returns what cancels it. */
  after(millis: number, task: () => void): () => void {
    if (millis >= Number.MAX_SAFE_INTEGER) return () => {}
    const timer: Timer = { at: this.now + Math.max(0, millis), order: this.order++, task }
    this.insert(timer)
    this.waiting++
    return () => {
      if (timer.task) this.waiting--
      timer.task = undefined
    }
  }

  /** How many tasks wait for a time. */
  get pending(): number {
    return this.waiting
  }

  /** All at once it is later, as for a machine that was suspended. */
  jump(millis: number): void {
    this.now += millis
  }

  /** Goes on until a condition holds, or until then. Returns whether it holds. */
  run(done: () => boolean, until: number): boolean {
    let sinceTime = 0
    for (;;) {
      while (this.next < this.tasks.length) {
        const task = this.tasks[this.next]!
        this.tasks[this.next++] = undefined!
        this.steps++
        if (++sinceTime > tasksMax) throw new Error(`nothing waits any more: ${tasksMax} tasks at one moment`)
        task()
      }
      this.tasks = []
      this.next = 0
      if (done()) return true
      const timer = this.pop()
      if (!timer || timer.at > until) {
        if (timer) this.insert(timer)
        this.now = Math.max(this.now, until)
        return false
      }
      sinceTime = 0
      this.now = Math.max(this.now, timer.at)
      const { task } = timer
      timer.task = undefined
      if (!task) continue
      this.waiting--
      this.steps++
      task()
    }
  }

  readonly scheduler: Scheduler = {
    shouldYield: (fiber) => fiber.currentOpCount > fiber.getFiberRef(FiberRef.currentMaxOpsBeforeYield) ? 0 : false,
    scheduleTask: this.schedule
  }

  readonly clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => this.now,
    unsafeCurrentTimeNanos: () => BigInt(Math.floor(this.now * 1e6)),
    currentTimeMillis: Effect.sync(() => this.now),
    currentTimeNanos: Effect.sync(() => BigInt(Math.floor(this.now * 1e6))),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const cancel = this.after(Duration.toMillis(duration), () => resume(Effect.void))
        return Effect.sync(cancel)
      })
  }

  // --- a heap of timers, the earliest first ---------------------------------------------------------------------------

  private insert(timer: Timer): void {
    const { timers } = this
    let i = timers.push(timer) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (isBefore(timers[parent]!, timer)) break
      timers[i] = timers[parent]!
      i = parent
    }
    timers[i] = timer
  }

  private pop(): Timer | undefined {
    const { timers } = this
    const first = timers[0]
    const last = timers.pop()
    if (first === undefined || last === undefined || first === last) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= timers.length) break
      if (child + 1 < timers.length && isBefore(timers[child + 1]!, timers[child]!)) child++
      if (!isBefore(timers[child]!, last)) break
      timers[i] = timers[child]!
      i = child
    }
    timers[i] = last
    return first
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
