/** Alarms: calls that an actor asks to be made to itself later, whether it is in memory by then or asleep. */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { AlarmsFull } from "./AlarmsFull.ts"
import type { Definition, InternalRpcs } from "./Definition.ts"

type Payload<D extends Definition, Tag extends string> = Rpc.PayloadConstructor<
  Extract<InternalRpcs<D>, { readonly _tag: Tag }>
>

/** How long from now, or when. */
export type AlarmTime = Duration.DurationInput | DateTime.DateTime

/**
 * Sets an alarm: after a delay that is counted from now, or at a time, which is now if it is past, the internal rpc is
 * called, as a turn. The alarm is set when the turn that sets it is committed, and used up by the commit of its own turn;
 * so it fires once, also through crashes. If its handler fails or dies it is tried again, with delays that grow from
 * 250 ms to 30 s, and after `alarmRetriesMax` of these it is parked: it stays, and fires no more until it is set again, or
 * `room.retryAlarm` is called.
 *
 * Its id is the tag. Setting an alarm again that has not fired yet replaces it.
 */
export interface SetAlarm<D extends Definition> {
  <Tag extends InternalRpcs<D>["_tag"]>(
    when: AlarmTime,
    tag: Tag,
    ...payload: [void] extends [Payload<D, Tag>] ? [payload?: undefined] : [payload: Payload<D, Tag>]
  ): Effect.Effect<void>
  /** With an id of its own there can be many alarms of one tag, `alarmsMax` altogether: 1 000 unless configured. */
  <Tag extends InternalRpcs<D>["_tag"]>(
    when: AlarmTime,
    tag: Tag,
    payload: Payload<D, Tag>,
    options: { readonly id: string }
  ): Effect.Effect<void, AlarmsFull>
}

/** An alarm that is set. */
export interface PendingAlarm<Tag extends string> {
  /** The tag, unless it was set with an id of its own. */
  readonly id: string
  /** The internal rpc that is called. */
  readonly tag: Tag
  /** When it fires, in milliseconds since the epoch; none if it is parked. */
  readonly due: Option.Option<number>
  /** How often it has failed since it was set; once, if it was parked and is tried again. */
  readonly failures: number
}
