/**
 * Runs jobs one after another, inline in one fiber that exists only while there is work that needs one. Jobs wait in lanes,
 * and the lanes take turns, so that a busy client does not starve another.
 */
import type { Address } from "@troupe/contract/Address"
import { SparseSet } from "@troupe/contract/Sparse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as MutableList from "effect/MutableList"
import * as Runtime from "effect/Runtime"
import * as Tracer from "effect/Tracer"
import * as LogAnnotations from "./LogAnnotations.ts"
import { currentTurn, type Turn } from "./Turn.ts"

/** What a job does. */
export interface JobOptions {
  /** Called when it is its turn. */
  readonly start: () => Turn
  /** What runs in the turn, uninterruptible unless it says otherwise. Called once, after `start`. */
  readonly run: () => Effect.Effect<unknown, unknown>
  /** Called when it has run. The turn is sealed. */
  readonly end: (exit: Exit.Exit<unknown, unknown>, turn: Turn) => void
  /** Called instead of `start` if the job was removed while it was queued. */
  readonly removed: () => void
}

/** Something that runs as one turn. */
export class Job {
  phase: "queued" | "running" | "ended" = "queued"
  interruptRequested = false
  /** Where it is queued. */
  lane: Lane | undefined
  /** Those before and behind it in its lane. */
  previous: Job | undefined
  next: Job | undefined

  constructor(readonly options: JobOptions) {}
}

/** A job whose turn it is. */
interface Begun {
  readonly job: Job
  readonly turn: Turn
  readonly effect: Effect.Effect<unknown, unknown>
}

/** A queue of jobs that run in order. */
export class Lane {
  private first: Job | undefined
  private last: Job | undefined
  /** Whether it stands in the ring. */
  ready = false
  /** While this is not 0, its jobs wait. */
  holds = 0

  get isEmpty(): boolean {
    return this.first === undefined
  }

  append(job: Job): void {
    job.lane = this
    job.previous = this.last
    if (this.last) this.last.next = job
    else this.first = job
    this.last = job
  }

  shift(): Job | undefined {
    const job = this.first
    if (job) this.remove(job)
    return job
  }

  /** Nothing of the job is kept: what it was to do may be large, and those before it may take long. */
  remove(job: Job): void {
    const { next, previous } = job
    if (previous) previous.next = next
    else this.first = next
    if (next) next.previous = previous
    else this.last = previous
    job.lane = job.previous = job.next = undefined
  }
}

/**
 * Children that a job has forked and left behind end with it, as they would with a fiber of its own. Nobody waits for
 * them: their finalizers may ask for turns. Effect has no public way to take them off a fiber that goes on.
 */
const interruptChildren = (fiber: Fiber.RuntimeFiber<any, any>): void => {
  const { _children: children } = fiber as unknown as { readonly _children: Set<Fiber.RuntimeFiber<any, any>> | null }
  if (!children || children.size === 0) return
  for (const child of children) child.unsafeInterruptAsFork(fiber.id())
  children.clear()
}

/** How many jobs may follow each other without a fiber, which yields to others in between. */
const valuesMax = 64

type Locals = FiberRefs.FiberRefs["locals"]

/** What a fiber has of its own when no turn runs. */
interface Own {
  readonly locals: Locals
  readonly context: Context.Context<never>
  readonly annotations: LogAnnotations.Annotations
}

/** Sets all values of a fiber at once. An effect that does it costs more than most handlers; the method is not public. */
const setFiberRefs = (fiber: Fiber.RuntimeFiber<any, any>, locals: Locals): void =>
  (fiber as unknown as { readonly setFiberRefs: (refs: FiberRefs.FiberRefs) => void })
    .setFiberRefs(FiberRefs.unsafeMake(locals))

/** Whose turns it runs. */
export interface LoopOwner {
  /** Looks at a turn that has ended, and may fail it. */
  readonly examine: (turn: Turn, exit: Exit.Exit<unknown, unknown>) => Exit.Exit<unknown, unknown>
  /** Nothing is queued or running. */
  readonly onIdle: () => void
  /** There is one job more, or one less. */
  readonly onSize: (change: 1 | -1) => void
}

export class TurnLoop {
  private jobs = 0
  private readonly ring = MutableList.empty<Lane>()
  /** Lanes that would stand in the ring if they were not held. */
  private readonly held = new SparseSet<Lane>()
  private running: Job | undefined
  /** The fiber of the running job. */
  private fiber: Fiber.RuntimeFiber<void> | undefined
  private scheduled = false
  private draining = false
  /** Whether nothing is taken any more. */
  stopped = false

  constructor(
    private readonly address: Address,
    private readonly runtime: Runtime.Runtime<never>,
    private readonly schedule: (task: () => void) => void,
    private readonly owner: LoopOwner
  ) {}

  /** How many jobs are queued or running. */
  get size(): number {
    return this.jobs
  }

  private count(change: 1 | -1): void {
    this.jobs += change
    this.owner.onSize(change)
  }

  submit(lane: Lane, job: Job): void {
    if (this.stopped) {
      // whoever is told may want it interrupted
      job.phase = "ended"
      return job.options.removed()
    }
    this.count(1)
    lane.append(job)
    this.enter(lane)
  }

  /** The jobs of a lane wait until `release` has been called as often. What runs goes on. */
  hold(lane: Lane): void {
    lane.holds++
  }

  release(lane: Lane): void {
    lane.holds--
    if (lane.holds === 0 && this.held.delete(lane)) this.enter(lane)
  }

  private enter(lane: Lane): void {
    if (lane.ready) return
    if (lane.holds > 0) return void this.held.add(lane)
    lane.ready = true
    MutableList.append(this.ring, lane)
    this.wake()
  }

  /** Removes a queued job, or interrupts a running one. */
  interrupt(job: Job): void {
    if (job.phase === "queued") return this.remove(job)
    if (job.phase === "running" && !job.interruptRequested) {
      job.interruptRequested = true
      this.fiber?.unsafeInterruptAsFork(FiberId.none)
    }
  }

  /** Removes all that is queued and interrupts what runs. What is submitted later is removed at once. */
  stop(): void {
    this.stopped = true
    for (const lane of this.held) {
      lane.holds = 0
      this.enter(lane)
    }
    this.held.clear()
    if (this.running) this.interrupt(this.running)
    for (let job = this.next(); job; job = this.next()) this.remove(job)
  }

  private remove(job: Job): void {
    job.lane?.remove(job)
    job.phase = "ended"
    this.count(-1)
    job.options.removed()
    if (this.size === 0) this.owner.onIdle()
  }

  /** The fiber starts at the end of the tick, so that all that arrives together runs in one. */
  private wake(): void {
    if (this.draining || this.scheduled) return
    this.scheduled = true
    this.schedule(() => {
      this.scheduled = false
      this.drain()
    })
  }

  private next(): Job | undefined {
    for (let lane = MutableList.shift(this.ring); lane; lane = MutableList.shift(this.ring)) {
      if (lane.holds > 0 && !this.stopped) {
        lane.ready = false
        this.held.add(lane)
        continue
      }
      const job = lane.shift()
      lane.ready = !lane.isEmpty
      if (lane.ready) MutableList.append(this.ring, lane)
      if (job) return job
    }
    return undefined
  }

  private drain(): void {
    this.draining = true
    const begun = this.endValues()
    if (!begun) return this.onDrained()
    const fiber = Runtime.runFork(this.runtime)(Effect.uninterruptible(this.loop(begun)))
    fiber.addObserver(() => {
      // an actor at rest keeps neither the fiber nor the last caller in memory
      this.fiber = undefined
      this.onDrained()
    })
  }

  private onDrained(): void {
    this.draining = false
    if (MutableList.length(this.ring) > 0) this.wake()
    else if (this.size === 0) this.owner.onIdle()
  }

  private begin(): Begun | undefined {
    const job = this.next()
    if (!job) return undefined
    job.phase = "running"
    this.running = job
    const turn = job.options.start()
    turn.observed?.started()
    return { job, turn, effect: job.options.run() }
  }

  /** Jobs that are over when they have begun, as that of a connection without hooks, take no fiber. Returns the next one. */
  private endValues(): Begun | undefined {
    let begun = this.begin()
    for (let ended = 0; ended < valuesMax && begun && Exit.isExit(begun.effect); ended++) {
      this.end(begun, begun.effect)
      begun = this.begin()
    }
    return begun
  }

  private loop(first: Begun): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      const own = {
        locals: fiber.getFiberRefs().locals,
        context: fiber.currentContext,
        annotations: fiber.getFiberRef(FiberRef.currentLogAnnotations)
      }
      this.fiber = fiber
      let begun: Begun | undefined = first
      let leave = false
      return Effect.whileLoop({
        while: () => !leave && begun !== undefined,
        body: () => this.run(fiber, begun!, own),
        step: () => {
          interruptChildren(fiber)
          // it may be told so too late for the job it was meant for, and must not run another one
          leave = begun!.job.interruptRequested
          begun = leave ? undefined : this.begin()
        }
      })
    })
  }

  private annotationsOf({ caller }: Turn, base: LogAnnotations.Annotations): LogAnnotations.Annotations {
    return caller
      ? caller.logAnnotations ??= LogAnnotations.add(base, this.address, caller.id)
      : LogAnnotations.add(base, this.address)
  }

  /** What a handler sets for its fiber does not reach the next one. */
  private run(fiber: Fiber.RuntimeFiber<any, any>, begun: Begun, own: Own): Effect.Effect<void> {
    const { effect, turn } = begun
    const locals = new Map(own.locals)
    const set = <A>(fiberRef: FiberRef.FiberRef<A>, value: A) => locals.set(fiberRef, [[fiber.id(), value]])
    set(currentTurn, turn)
    const span = turn.observed?.span
    if (span) set(FiberRef.currentContext, Context.add(own.context, Tracer.ParentSpan, span))
    set(FiberRef.currentLogAnnotations, this.annotationsOf(turn, own.annotations))
    setFiberRefs(fiber, locals)
    const ended = (exit: Exit.Exit<unknown, unknown>) => {
      this.end(begun, exit)
      return Effect.void
    }
    return Effect.matchCauseEffect(effect, {
      onFailure: (cause) => ended(Exit.failCause(cause)),
      onSuccess: (value) => ended(Exit.succeed(value))
    })
  }

  private end({ job, turn }: Begun, exit: Exit.Exit<unknown, unknown>): void {
    turn.sealed = true
    job.phase = "ended"
    this.running = undefined
    this.count(-1)
    // interrupted from within: the fiber is marked, and must not run another job
    if (Exit.isInterrupted(exit)) job.interruptRequested = true
    job.options.end(this.owner.examine(turn, exit), turn)
  }
}
