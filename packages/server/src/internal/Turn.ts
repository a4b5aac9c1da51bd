/**
 * A turn: one handler run to completion, the unit of atomicity. It stages what the handler changes and sends; nothing of
 * it is seen outside before the handler has succeeded.
 *
 * A turn is carried by its fiber and inherited by the fibers forked in it. Nothing is ambient: a fiber that
 * outlives its turn still finds its own, sealed, and never the one that happens to run.
 */
import type { Connection } from "@troupe/contract/Connection"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Readable from "effect/Readable"
import * as Ref from "effect/Ref"
import type { Alarm } from "../ActorStore.ts"
import type * as LogAnnotations from "./LogAnnotations.ts"
import type { Observed } from "./Observed.ts"
import type { Request } from "./Request.ts"

/** A value that turns read and write: the actor's state, or the state of a connection. */
export class Cell<A> {
  constructor(public current: A) {}
}

/** What becomes of alarms, by their ids: set, or, if undefined, ended. */
export type AlarmChanges = ReadonlyMap<string, Alarm | undefined>

/** What a turn changes of what is stored. */
export interface Changes {
  readonly state: boolean
  readonly alarms: AlarmChanges | undefined
  /** The actor ends. */
  readonly destroys: boolean
}

export const nothing: Changes = { state: false, alarms: undefined, destroys: false }

export const isNothing = ({ state, alarms, destroys }: Changes): boolean => !state && !alarms && !destroys

/** The connection a turn is run for. */
export interface Caller extends Connection<any, any> {
  readonly ended: boolean
  /** What the logs of its turns are annotated with, when it has had one. */
  logAnnotations: LogAnnotations.Annotations | undefined
}

/** What a turn is run for. */
export interface Occasion {
  readonly caller?: Caller | undefined
  readonly request?: Request | undefined
  /** The call that it handles, as others see it. */
  readonly observed?: Observed | undefined
  /** Set for `onBeforeConnect`, which runs beside the turns. */
  readonly readOnly?: boolean
  /** Set if it has failed before: the state it makes may not encode. */
  readonly suspect?: boolean
}

/** One run of a handler. `owner` is what runs the turns of its activation. */
export class Turn {
  /** Set when the handler has ended. What is changed later is not part of the turn. */
  sealed = false
  /** Set when it has called another actor: its answer is recorded, so that it does not call again. */
  calledOthers = false
  /** The events of the turn, and its calls that nobody waits for, in order. */
  readonly outputs: Array<() => void> = []
  /** The connections the turn ends. */
  readonly disconnects: Array<() => void> = []
  /** The actor ends with the turn. */
  destroys = false
  /** It may have been run before, so long ago that actors which it calls may have forgotten: it fails. */
  late = false
  readonly caller: Caller | undefined
  readonly request: Request | undefined
  readonly observed: Observed | undefined
  readonly readOnly: boolean
  readonly suspect: boolean
  /**
   * The turn that what was acquired in this one is released in. Effect runs a release with what its acquisition was run
   * with, so it finds this turn and has to be led to the other.
   */
  successor: Turn | undefined
  private writes: Map<Cell<any>, unknown> | undefined
  private alarms: Map<string, Alarm | undefined> | undefined

  constructor(readonly owner: object, { caller, observed, request, readOnly = false, suspect = false }: Occasion) {
    this.caller = caller
    this.request = request
    this.observed = observed
    this.readOnly = readOnly
    this.suspect = suspect
  }

  read<A>(cell: Cell<A>): A {
    return this.writes?.has(cell) ? this.writes.get(cell) as A : cell.current
  }

  write<A>(cell: Cell<A>, value: A): void {
    this.writes ??= new Map()
    this.writes.set(cell, value)
  }

  changeAlarm(id: string, alarm: Alarm | undefined): void {
    this.alarms ??= new Map()
    this.alarms.set(id, alarm)
  }

  get alarmChanges(): AlarmChanges | undefined {
    return this.alarms
  }

  /** Whether applying the turn would change the cell. */
  changes(cell: Cell<unknown>): boolean {
    return this.writes !== undefined && this.writes.has(cell) && this.writes.get(cell) !== cell.current
  }

  /** Makes the staged values the current ones. */
  apply(): void {
    this.writes?.forEach((value, cell) => {
      cell.current = value
    })
    // a connection keeps the turn of its `onConnect`, and that would keep the state of then
    this.writes = undefined
  }

  /** Lets out what was staged, now that the turn is committed: its events, then its reply, then its disconnects. */
  send(reply: () => void): void {
    for (const output of this.outputs) output()
    this.outputs.length = 0
    reply()
    for (const disconnect of this.disconnects) disconnect()
    this.disconnects.length = 0
  }
}

/** The turn a fiber was started in. Whoever joins a fiber does not take its turn over. */
export const currentTurn: FiberRef.FiberRef<Turn | undefined> = FiberRef.unsafeMake<Turn | undefined>(undefined, {
  join: (own) => own
})

/** The turn a fiber was started in, sealed or not. */
export const ofFiber = (fiber: Fiber.RuntimeFiber<any, any>): Turn | undefined => {
  const turn = fiber.getFiberRef(currentTurn)
  return turn?.successor ?? turn
}

/** How a cell finds the turn it is used in. */
export interface TurnAccess {
  /** The fiber's turn, if it belongs to this activation and has not ended. */
  readonly live: (fiber: Fiber.RuntimeFiber<any, any>) => Turn | undefined
  /** Runs an effect as a turn of its own, after those that are waiting. The fiber's caller stays its caller. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

const refVariance = { _A: (_: any) => _ }

/** A cell as a `Ref`: inside a turn it works on the staged value, elsewhere each change is a turn. */
export class TurnRef<A> extends Effectable.Class<A> implements Ref.Ref<A> {
  readonly [Ref.RefTypeId] = refVariance
  readonly [Readable.TypeId]: Readable.TypeId = Readable.TypeId

  constructor(
    private readonly cell: Cell<A>,
    private readonly turns: TurnAccess,
    /** Says why the value cannot be changed; absent if it can. */
    private readonly readOnlyBecause?: string
  ) {
    super()
  }

  toJSON(): unknown {
    return { _id: "Ref" }
  }

  [NodeInspectSymbol](): unknown {
    return this.toJSON()
  }

  get get(): Effect.Effect<A> {
    return Effect.withFiberRuntime((fiber) => {
      const turn = this.turns.live(fiber)
      return Effect.succeed(turn ? turn.read(this.cell) : this.cell.current)
    })
  }

  override commit(): Effect.Effect<A> {
    return this.get
  }

  modify<B>(f: (a: A) => readonly [B, A]): Effect.Effect<B> {
    return Effect.withFiberRuntime((fiber) => {
      const turn = this.turns.live(fiber)
      if (!turn) return this.turns.run(this.modify(f))
      const before = turn.read(this.cell)
      const [result, after] = f(before)
      if (after !== before) {
        const forbidden = turn.readOnly
          ? "onBeforeConnect may read the state of the actor, not change it"
          : this.readOnlyBecause
        if (forbidden) return Effect.dieMessage(forbidden)
        turn.write(this.cell, after)
      }
      return Effect.succeed(result)
    })
  }
}
