/** The alarms of one activation: set and cancelled by its turns, fired as turns, tried again when they fail. */
import * as Headers from "@effect/platform/Headers"
import * as ContractAddress from "@troupe/contract/Address"
import type { AlarmTime, PendingAlarm } from "@troupe/contract/Alarm"
import { AlarmsFull } from "@troupe/contract/AlarmsFull"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Json from "@troupe/contract/protocol/Json"
import * as RpcObject from "@troupe/contract/protocol/RpcObject"
import { SparseSet } from "@troupe/contract/Sparse"
import type * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type { Alarm } from "../ActorStore.ts"
import { isNamed } from "./AlarmTable.ts"
import { toMillis } from "./Limits.ts"
import type { Parts } from "./Parts.ts"
import { Request } from "./Request.ts"
import * as RetryDelay from "./RetryDelay.ts"
import { Turn } from "./Turn.ts"
import { Job, Lane } from "./TurnLoop.ts"

/** The activation whose alarms they are. */
export interface AlarmsOwner
  extends Pick<Parts, "services" | "registration" | "address" | "runtime" | "turns" | "answers">
{
  /** Runs the handler of an internal rpc. */
  readonly handleInternal: (
    codec: Codec.RpcCodec,
    payload: unknown,
    headers: Headers.Headers
  ) => Effect.Effect<unknown, unknown>
}

export class Alarms {
  private readonly lane = new Lane()
  /** What has been handed to the turns and has not ended. */
  private readonly firing = new SparseSet<string>()

  constructor(private readonly owner: AlarmsOwner) {}

  private codecOf(tag: string): Codec.RpcCodec | undefined {
    return this.owner.registration.codecs.contract.internal.get(tag)
  }

  /** Sets an alarm in the fiber's turn. Without an id of its own it goes by its tag. */
  readonly set = (
    when: AlarmTime,
    tag: string,
    payload: unknown,
    { id = tag }: { readonly id?: string } = {}
  ): Effect.Effect<void, AlarmsFull> =>
    this.owner.turns.stage((turn) => {
      const codec = this.codecOf(tag)
      const issue = codec ? ContractAddress.keyIssue(id) : `there is no internal rpc ${tag}`
      if (!codec || issue) return Effect.dieMessage(`the alarm ${id} cannot be set: ${issue}`)
      const encoded = Codec.encodeOrThrow(codec.payload, RpcObject.construct(codec, payload))
      const text = encoded === undefined ? undefined : Json.encode(encoded, codec.payload.what)
      const max = this.owner.services.options.alarmsMax
      if (id !== tag && this.namedWith(turn, id) > max) return new AlarmsFull({ limit: "alarmsMax", max })
      turn.changeAlarm(id, {
        id,
        due: this.timeOf(when),
        tag,
        payload: text,
        attempt: 0,
        firing: this.owner.services.secrets.next()
      })
      return Effect.void
    })

  /** In milliseconds since the epoch. */
  private timeOf(when: AlarmTime): number {
    const millis = DateTime.isDateTime(when) ? DateTime.toEpochMillis(when) : this.now + toMillis(when)
    return Math.min(Math.ceil(millis), Number.MAX_SAFE_INTEGER)
  }

  readonly cancel = (id: string): Effect.Effect<void> =>
    this.owner.turns.stage((turn) => {
      const staged = turn.alarmChanges
      if (this.owner.turns.alarms.get(id) || staged?.has(id)) turn.changeAlarm(id, undefined)
      return Effect.void
    })

  /** Sets an alarm that is parked again, in the fiber's turn. */
  readonly retry = (id: string): Effect.Effect<boolean> =>
    this.owner.turns.stage((turn) => {
      const alarm = this.in(turn).get(id)
      const parked = alarm !== undefined && !isSet(alarm)
      // the firing stays the same, and is known to have failed: what has succeeded elsewhere is not done again
      if (parked) turn.changeAlarm(id, { ...alarm, due: this.now, attempt: 1 })
      return Effect.succeed(parked)
    })

  /** All of them, as the fiber's turn sees them. */
  get all(): Effect.Effect<ReadonlyArray<PendingAlarm<string>>> {
    return Effect.withFiberRuntime((fiber) => {
      const alarms = Array.from(this.in(this.owner.turns.live(fiber)).values())
      return Effect.succeed(alarms.sort((a, b) => dueOf(a) - dueOf(b)).map(toPending))
    })
  }

  private in(turn: Turn | undefined): ReadonlyMap<string, Alarm> {
    const alarms = new Map(Array.from(this.owner.turns.alarms.values(), (alarm) => [alarm.id, alarm]))
    turn?.alarmChanges?.forEach((alarm, id) => {
      if (alarm) alarms.set(id, alarm)
      else alarms.delete(id)
    })
    return alarms
  }

  /** How many alarms with ids of their own there would be with this one. */
  private namedWith(turn: Turn, id: string): number {
    const { alarms } = this.owner.turns
    let named = alarms.named + (isNamed(alarms.get(id)) ? 0 : 1)
    turn.alarmChanges?.forEach((alarm, changed) => {
      if (changed !== id) named += Number(isNamed(alarm)) - Number(isNamed(alarms.get(changed)))
    })
    return named
  }

  private get now(): number {
    return this.owner.services.clock.unsafeCurrentTimeMillis()
  }

  /** Fires what is due, each as a turn. Returns whether something is being fired. */
  fireDue(): boolean {
    const { turns, address, registration: { alarmClock } } = this.owner
    const { now } = this
    const due: Array<Alarm & { readonly due: number }> = []
    let next = Number.POSITIVE_INFINITY
    for (const alarm of turns.alarms.values()) {
      if (!isSet(alarm)) continue
      if (alarm.due > now) next = Math.min(next, alarm.due)
      else if (!this.firing.has(alarm.firing)) due.push(alarm)
    }
    for (const alarm of due.sort((a, b) => a.due - b.due)) this.fire(alarm)
    if (next < Number.POSITIVE_INFINITY) alarmClock.watch(address.key, next)
    return this.firing.size > 0
  }

  private fire(alarm: Alarm): void {
    const { address, registration, turns } = this.owner
    const request = Request.ofAlarm(address, alarm.firing, alarm.attempt > 0)
    const observed = registration.observers.alarm.begin(address, alarm.tag, undefined, {
      "troupe.attempt": alarm.attempt + 1
    })
    let runs = false
    this.firing.add(alarm.firing)
    const over = () => void this.firing.delete(alarm.firing)
    turns.submit(
      this.lane,
      new Job({
        start: () => {
          // it may have been cancelled or set anew while it waited for its turn
          runs = this.isCurrent(alarm)
          if (!runs) observed.dropped()
          return new Turn(turns, { request, observed: runs ? observed : undefined, suspect: alarm.attempt > 0 })
        },
        run: () => runs ? this.call(alarm) : Effect.void,
        end: (exit, turn) => {
          over()
          if (turns.stopped) return observed.dropped()
          if (Exit.isSuccess(exit)) this.onSucceeded(alarm, turn, exit, runs)
          else {
            observed.answered(exit)
            this.onFailed(alarm, exit.cause)
          }
        },
        removed: () => {
          observed.dropped()
          over()
        }
      })
    )
  }

  private isCurrent({ id, firing }: Alarm): boolean {
    return this.owner.turns.alarms.get(id)?.firing === firing
  }

  /** What a payload has been stored as. */
  private decode({ payload: codec }: Codec.RpcCodec, text: string | undefined) {
    return codec.decode(text === undefined ? undefined : Json.decode(text, codec.what))
  }

  private call({ tag, payload }: Alarm): Effect.Effect<unknown, unknown> {
    return Effect.suspend(() => {
      const codec = this.codecOf(tag)
      if (!codec) return Effect.dieMessage(`there is no internal rpc ${tag} any more`)
      const decoded = this.decode(codec, payload)
      return Either.isRight(decoded)
        ? this.owner.handleInternal(codec, decoded.right, Headers.empty)
        : Effect.dieMessage(`${codec.payload.what} does not decode: ${Codec.describeSafely(decoded.left)}`)
    })
  }

  /** Its commit uses the alarm up, unless the handler has set it again. */
  private onSucceeded(alarm: Alarm, turn: Turn, exit: Exit.Exit<unknown, unknown>, ran: boolean): void {
    const { turns, services, address, registration: { alarmClock, meters } } = this.owner
    if (ran && !turn.alarmChanges?.has(alarm.id)) turn.changeAlarm(alarm.id, undefined)
    turns.complete(turn, exit, () => {
      if (ran) meters.alarmed("success")
      alarmClock.onFired(address.key)
      services.settle(turn.request?.made ?? [])
    })
  }

  private onFailed(alarm: Alarm, cause: Cause.Cause<unknown>): void {
    const { turns, services, answers, runtime, address, registration: { alarmClock, meters } } = this.owner
    const attempt = alarm.attempt + 1
    const parked = alarm.attempt >= services.options.alarmRetriesMax
    const due = parked ? undefined : this.now + Runtime.runSync(runtime)(RetryDelay.millis(alarm.attempt))
    const alarms = new Map([[alarm.id, { ...alarm, attempt, due }]])
    turns.alarms.apply(alarms)
    meters.alarmed(parked ? "parked" : "failed")
    answers.log(
      parked
        ? Effect.logError(`the alarm ${alarm.id} is parked: it has failed ${attempt} times`, cause)
        : Effect.logWarning(`the alarm ${alarm.id} has failed, and will be tried again`, cause)
    )
    turns.pipeline.push({
      changes: { state: false, alarms, destroys: false },
      reply: undefined,
      release: () => alarmClock.onFired(address.key),
      abandon: () => {}
    })
  }
}

const dueOf = ({ due = Infinity }: Alarm): number => due

const toPending = ({ attempt, due, id, tag }: Alarm): PendingAlarm<string> => ({
  id,
  tag,
  due: Option.fromNullable(due),
  failures: attempt
})

const isSet = (alarm: Alarm): alarm is Alarm & { readonly due: number } => alarm.due !== undefined
