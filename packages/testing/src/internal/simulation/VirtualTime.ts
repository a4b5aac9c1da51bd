/**
 * Time, and the order of everything, in a simulation. All tasks of all fibers wait in one queue, and all that waits for a
 * time in another; when nothing can be done any more, time goes to the next that is due. Nothing else decides what comes
 * first, so the same beginning has the same end.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type { Scheduler } from "effect/Scheduler"
import * as Who from "./Who.ts"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

interface Timer {
  readonly at: number
  readonly order: number
  /** Undefined when it has been cancelled. */
  task: (() => void) | undefined
  /** Who has set it, as far as it was a fiber. */
  fiber: AnyFiber | undefined
}

/** A loop that never waits for anything must end the simulation, not hold it up. */
const tasksAtOnceMax = 1_000_000

/** Before a bound is reached, it is noted for so many tasks whose they are. */
const tasksNoted = 1000

/** A bound on tasks is reached. */
export class Endless extends Error {}

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
  /** Who has had something to do lately, when a bound is near. */
  private busy: Array<AnyFiber | undefined> | undefined

  /** `tasksMax`: so many tasks are run, and no more. */
  constructor(start: number, private readonly tasksMax: number) {
    this.now = start
  }

  /** Runs a task after those that wait already. */
  readonly schedule = (task: () => void): void => {
    this.tasks.push(task)
  }

  /** Runs a task when so much time has passed. Returns what cancels it. */
  after(millis: number, task: () => void): () => void {
    // it would be neither before nor after any other
    if (Number.isNaN(millis)) throw new Error("a timer for NaN milliseconds")
    if (millis >= Number.MAX_SAFE_INTEGER) return () => {}
    const fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
    const timer: Timer = { at: this.now + Math.max(0, millis), order: this.order++, task, fiber }
    this.insert(timer)
    this.waiting++
    return () => {
      if (timer.task) this.waiting--
      timer.task = timer.fiber = undefined
    }
  }

  /** How many tasks wait for a time. */
  get pending(): number {
    return this.waiting
  }

  /** Who waits for a time. */
  get whoWaits(): string {
    return Who.most(this.timers.filter(({ task }) => task).map(({ fiber }) => fiber))
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
        this.count(++sinceTime)
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
      if (sinceTime >= tasksAtOnceMax - tasksNoted) this.busy = undefined
      sinceTime = 0
      this.now = Math.max(this.now, timer.at)
      const { task } = timer
      timer.task = timer.fiber = undefined
      if (!task) continue
      this.waiting--
      this.count(0)
      task()
    }
  }

  /** One more task is run, the so many-th of this moment. */
  private count(sinceTime: number): void {
    this.steps++
    if (sinceTime === tasksAtOnceMax - tasksNoted || this.steps === Math.max(1, this.tasksMax - tasksNoted))
      this.busy = []
    if (sinceTime > tasksAtOnceMax) throw this.tooMany(`nothing waits any more: ${tasksAtOnceMax} tasks at one moment`)
    if (this.steps > this.tasksMax)
      throw this.tooMany(`there is no end: ${this.tasksMax} tasks in all, which is tasksMax`)
  }

  private tooMany(what: string): Endless {
    return new Endless(`${what}, the last of them of ${Who.most(this.busy?.length ? this.busy : [undefined])}`)
  }

  readonly scheduler: Scheduler = {
    shouldYield: (fiber) => fiber.currentOpCount > fiber.getFiberRef(FiberRef.currentMaxOpsBeforeYield) ? 0 : false,
    scheduleTask: (task, _, fiber) => {
      if (this.busy) this.busy.push(fiber)
      this.tasks.push(task)
    }
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
