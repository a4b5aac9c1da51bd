/** The turns of one activation, and the state they work on: run one after another, committed in order. */
import type { Address } from "@troupe/contract/Address"
import * as Callback from "@troupe/contract/Callback"
import type { Expiry } from "@troupe/contract/Expiry"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import { Watched } from "@troupe/contract/Watched"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as Runtime from "effect/Runtime"
import type { RecordedReply } from "../ActorStore.ts"
import { AlarmTable } from "./AlarmTable.ts"
import { CommitPipeline, type PipelineOwner } from "./CommitPipeline.ts"
import type { Registration } from "./Registration.ts"
import type { Services } from "./Services.ts"
import type { Start } from "./Start.ts"
import { Cell, type Changes, isNothing, nothing, type Occasion, ofFiber, Turn, type TurnAccess } from "./Turn.ts"
import { Job, Lane, type LoopOwner, TurnLoop } from "./TurnLoop.ts"

/** Why an activation was lost. */
export interface Loss {
  readonly why: string
  /** Its state did not encode: the next activation has to find the guilty turn. */
  readonly encoding: boolean
}

/** Takes its place behind all that has ended. */
const nothingEnded = { changes: nothing, reply: undefined, abandon: () => {} }

type Exited = Exit.Exit<unknown, unknown>

/** How the turn of a call has ended. */
export interface CallEnd {
  /** What the handler has ended with, or a defect if its answer does not encode. */
  readonly exit: Exited
  readonly reply: RecordedReply
  /** Whether the turn is applied. */
  readonly kept: boolean
  /** Whether the reply is recorded, if the turn had consequences. */
  readonly recordable: boolean
  /** Called with the segment that holds the reply, if it was recorded: it may leave now. */
  readonly answer: (segment: number | undefined) => void
  /** Called instead if the turn will never be committed. */
  readonly abandon: () => void
}

/** Who is told of what concerns the whole activation. */
export interface TurnsObserver {
  /** Nothing is queued, running or waiting to be committed. */
  readonly onIdle: () => void
  /** A segment with so many answers has been stored. */
  readonly onRecorded: (segment: number, answers: number) => void
  /** What was answered to other actors, which may ask again. */
  readonly outliving: () => Iterable<RecordedReply>
  /** The state, of so many bytes, comes near to what it may have. Told once. */
  readonly onLarge: (bytes: number) => void
  /** Nothing can be committed any more. */
  readonly onLost: (loss: Loss) => void
  /** A turn that ends the actor has ended, and is to be committed. */
  readonly onDestroying: () => void
  /** It has been committed, and what it sends has left. */
  readonly onDestroyed: () => void
}

/** From which share of what it may have on a state is large. */
const largeShare = 0.8

/** How long an activation stays careful: the turns that were lost together are at most a window of each client. */
const carefulTurnsMax = 10_000

/** How long somebody waits for a turn. If it has not ended then, it is interrupted. */
export interface Patience<E> {
  readonly expiry: Expiry
  readonly onLate: () => E
}

const mayOnlyRead = "onBeforeConnect may read the actor, nothing else"

export class Turns implements TurnAccess, LoopOwner, PipelineOwner {
  readonly state: Cell<unknown>
  readonly committedState: Watched<unknown>
  readonly alarms: AlarmTable
  readonly pipeline: CommitPipeline
  private readonly loop: TurnLoop
  private readonly background = new Lane()
  /** How many more turns are examined one by one. */
  private carefulTurns: number
  /** How many guilty turns have been found whose ends are not committed yet. */
  private guilty = 0
  private encodingFailed = false
  private largeTold = false

  constructor(
    readonly services: Services,
    readonly registration: Registration,
    readonly address: Address,
    start: Start,
    runtime: Runtime.Runtime<never>,
    private readonly observer: TurnsObserver
  ) {
    this.state = new Cell(start.state)
    this.committedState = new Watched(start.state)
    this.alarms = new AlarmTable(start.alarms)
    this.carefulTurns = start.careful ? carefulTurnsMax : 0
    this.loop = new TurnLoop(address, runtime, services.schedule, this)
    this.pipeline = new CommitPipeline(this, start.epoch, start.version, start.stored)
  }

  onIdle(): void {
    this.observer.onIdle()
  }

  onSize(change: 1 | -1): void {
    this.registration.meters.mailbox(change)
  }

  onRecorded(segment: number, answers: number): void {
    this.observer.onRecorded(segment, answers)
  }

  onCommitted(state: unknown): void {
    if (state !== this.committedState.current) this.committedState.set(state)
  }

  outliving(): Iterable<RecordedReply> {
    return this.observer.outliving()
  }

  onAlarms(due: number): void {
    this.registration.alarmClock.watch(this.address.key, due)
  }

  onLostCommit(why: string): void {
    this.observer.onLost({ why, encoding: this.encodingFailed })
  }

  /** Whether something is queued, running or not committed yet. */
  get busy(): boolean {
    return this.loop.size > 0 || this.pipeline.busy
  }

  /** Whether what is committed outlives the process. */
  get durable(): boolean {
    return this.registration.durability !== "memory"
  }

  /** Waits until everything so far is durable. */
  get committed(): Effect.Effect<void> {
    return this.pipeline.committed
  }

  /** Waits until nothing is queued or running and everything is committed, or lost. */
  get quiet(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.busy) return Effect.void
      if (this.stopped) return Effect.asVoid(Effect.exit(this.committed))
      const barrier = this.loop.size === 0 ? Effect.void : this.run(Effect.void)
      return Effect.exit(Effect.zipRight(barrier, this.committed)).pipe(
        Effect.zipRight(Effect.yieldNow()),
        Effect.zipRight(this.quiet)
      )
    })
  }

  /** Whether nothing is taken any more. */
  get stopped(): boolean {
    return this.loop.stopped
  }

  /** Removes what is queued and interrupts what runs; nothing is taken any more. */
  stop(): void {
    this.loop.stop()
  }

  live(fiber: Fiber.RuntimeFiber<any, any>): Turn | undefined {
    const turn = ofFiber(fiber)
    return turn && !turn.sealed && turn.owner === this ? turn : undefined
  }

  run<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.withFiberRuntime((fiber) => {
      const turn = ofFiber(fiber)
      const own = turn?.owner === this ? { caller: turn.caller, request: turn.request } : {}
      return this.runIn(this.background, own, Effect.interruptible(effect))
    })
  }

  /** Runs an effect as a turn, and returns what it returned when it has been committed. */
  runIn<A, E>(
    lane: Lane,
    occasion: Occasion,
    effect: Effect.Effect<A, E>,
    patience?: Patience<E>
  ): Effect.Effect<A, E> {
    return Callback.async((resume) => {
      const onExpired = () => {
        resume(Effect.suspend(() => Effect.fail(patience!.onLate())))
        this.loop.interrupt(job)
      }
      const deadline = { onExpired }
      const settle = (end: Effect.Effect<A, E>) => {
        patience?.expiry.stop(deadline)
        resume(end)
      }
      const interrupted = () => settle(Effect.interrupt)
      const job = new Job({
        start: () => new Turn(this, occasion),
        run: () => effect,
        end: (exit, turn) => this.complete(turn, exit, () => settle(exit as Exit.Exit<A, E>), interrupted),
        removed: () => {
          occasion.observed?.dropped()
          interrupted()
        }
      })
      patience?.expiry.start(deadline)
      this.loop.submit(lane, job)
      return () => {
        patience?.expiry.stop(deadline)
        this.loop.interrupt(job)
      }
    })
  }

  /** Runs an effect as part of the fiber's turn, or as one of its own, with the services of the fiber. */
  turn<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.withFiberRuntime((fiber) => {
      const turn = this.live(fiber)
      if (turn) return turn.readOnly ? Effect.dieMessage(mayOnlyRead) : effect
      const { currentContext } = fiber
      return this.run(Effect.mapInputContext(effect, () => currentContext as Context.Context<R>))
    })
  }

  submit(lane: Lane, job: Job): void {
    this.loop.submit(lane, job)
  }

  interrupt(job: Job): void {
    this.loop.interrupt(job)
  }

  /** The jobs of a lane wait until `release` has been called as often. */
  hold(lane: Lane): void {
    this.loop.hold(lane)
  }

  release(lane: Lane): void {
    this.loop.release(lane)
  }

  /** Stages something in the fiber's turn, or in one of its own. */
  stage<A = void, E = never>(f: (turn: Turn) => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.withFiberRuntime((fiber) => {
      const turn = this.live(fiber)
      if (!turn) return this.run(this.stage(f))
      return turn.readOnly ? Effect.dieMessage(mayOnlyRead) : f(turn)
    })
  }

  /** Applies a turn that succeeded, or drops one that failed; what it sends leaves when it is committed. */
  complete(turn: Turn, exit: Exited, release: () => void, abandon: () => void = () => {}): void {
    const kept = Exit.isSuccess(exit)
    const changes = this.apply(turn, kept)
    const observed = turn.observed
    observed?.ended()
    this.pipeline.push({
      changes,
      reply: undefined,
      release: () => {
        observed?.answered(exit)
        if (kept) turn.send(release)
        else release()
      },
      abandon: () => {
        observed?.dropped()
        abandon()
      }
    })
  }

  /** As `complete`, for the turn of a call whose answer somebody may ask for again. */
  completeCall(turn: Turn, { kept, exit, reply, recordable, answer, abandon }: CallEnd): void {
    const changes = this.apply(turn, kept)
    // what had no consequence may run again; failures are recorded so that the order of a client's calls survives
    const consequential = !isNothing(changes) || turn.calledOthers || !kept
    const observed = turn.observed
    observed?.ended()
    this.pipeline.push({
      changes,
      reply: recordable && consequential ? reply : undefined,
      release: (segment) => {
        observed?.answered(exit)
        if (kept) turn.send(() => answer(segment))
        else answer(segment)
        // a client that asks again is told that it was another actor which it called
        if (changes.destroys && turn.caller && turn.request) this.services.settle(turn.request.made)
      },
      abandon: () => {
        observed?.dropped()
        abandon()
      }
    })
  }

  /** Applies a turn, if it is kept. Returns what changes of what is stored. */
  apply(turn: Turn, kept: boolean): Changes {
    if (!kept) return nothing
    const changes = { state: turn.changes(this.state), alarms: turn.alarmChanges, destroys: turn.destroys }
    turn.apply()
    if (changes.alarms) this.alarms.apply(changes.alarms)
    if (changes.destroys) {
      turn.disconnects.push(() => this.observer.onDestroyed())
      this.observer.onDestroying()
    }
    return changes
  }

  /**
   * In careful mode a turn whose state does not encode fails alone. The mode ends when the guilty turn has been found and
   * its failure is recorded, or it has not come again for long. Not before: another one in the same commit would take the
   * record with it, again and again.
   */
  examine(turn: Turn, exit: Exited): Exited {
    // its handler may have caught the interruption
    if (turn.late && Exit.isSuccess(exit)) return Exit.interrupt(FiberId.none)
    const careful = this.carefulTurns > 0 || (turn.suspect && this.durable)
    if (!careful || Exit.isFailure(exit) || !turn.changes(this.state)) return exit
    try {
      this.carefulTurns = Math.max(0, this.carefulTurns - 1)
      this.registration.encodeState(turn.read(this.state))
      return exit
    } catch (error) {
      this.guilty++
      this.carefulTurns = carefulTurnsMax
      // at the end of the tick, behind the end of this turn
      this.services.schedule(() => this.pipeline.push({ ...nothingEnded, release: () => this.onGuiltyRecorded() }))
      return Exit.die(error)
    }
  }

  private onGuiltyRecorded(): void {
    this.guilty--
    if (this.guilty === 0) this.carefulTurns = 0
  }

  encodeState(): string {
    this.encodingFailed = true
    const text = this.registration.encodeState(this.state.current)
    this.encodingFailed = false
    if (!this.largeTold && Bytes.exceed(text, this.services.options.stateBytesMax * largeShare)) {
      this.largeTold = true
      this.observer.onLarge(Bytes.of(text))
    }
    return text
  }
}
