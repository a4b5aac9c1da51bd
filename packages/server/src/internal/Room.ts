/** What an implementation's `build` is given, made from the parts of an activation. */
import type { Activation } from "@troupe/contract/Activation"
import type { SetAlarm } from "@troupe/contract/Alarm"
import type { Connection } from "@troupe/contract/Connection"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as HashMap from "effect/HashMap"
import type { Alarms } from "./Alarms.ts"
import { encodeOutput } from "./Answers.ts"
import type { Recipient } from "./ServerConnection.ts"
import type { Subscribers } from "./Subscribers.ts"
import { type Cell, ofFiber, TurnRef } from "./Turn.ts"
import type { Turns } from "./Turns.ts"

/** Stages events: encoded once, for those who are subscribed at that moment. */
export type StageEvent = (
  event: string,
  payload: unknown,
  recipients: () => Iterable<Recipient>,
  except?: unknown
) => Effect.Effect<void>

export const makeStageEvent =
  (turns: Turns, { events }: Codec.ContractCodec, outputBytesMax: number): StageEvent =>
  (event, payload, recipients, except) =>
    turns.stage((turn) => {
      const codec = events.get(event)
      if (!codec) return Effect.dieMessage(`there is no event ${event}`)
      const encoded = codec.encode(payload)
      if (Either.isLeft(encoded)) {
        return Effect.dieMessage(`${codec.what} does not encode: ${Codec.describeSafely(encoded.left)}`)
      }
      const { right: value } = encoded
      const text = Frame.encodeEvent(
        event,
        value === undefined ? undefined : encodeOutput(value, codec.what, outputBytesMax)
      )
      const subscribed = recipients()
      const fresh = { event, text, sender: turn.caller }
      const bytes = Bytes.of(text)
      const send = codec.latest
        ? (recipient: Recipient) => recipient.pushFresh(fresh)
        : (recipient: Recipient) => recipient.pushEvent(text, bytes)
      turn.outputs.push(() => {
        for (const recipient of subscribed) if (recipient !== except) send(recipient)
      })
      return Effect.void
    })

const hosted = "room.connections is maintained by the host: use connection.disconnect"

export const make = (options: {
  readonly key: string
  readonly turns: Turns
  readonly connections: Cell<HashMap.HashMap<ConnectionId, Connection<any, any>>>
  readonly subscribers: Subscribers
  readonly stageEvent: StageEvent
  readonly alarms: Alarms
}): Activation<unknown, any, any, any> => ({
  key: options.key,
  state: new TurnRef<any>(options.turns.state, options.turns),
  connections: new TurnRef(options.connections, options.turns, hosted),
  caller: Effect.withFiberRuntime((fiber) => {
    const turn = ofFiber(fiber)
    return turn?.owner === options.turns && turn.caller
      ? Effect.succeed(turn.caller)
      : Effect.dieMessage("there is no calling connection here")
  }),
  requestId: Effect.withFiberRuntime((fiber) => {
    const turn = ofFiber(fiber)
    return turn?.owner === options.turns && turn.request
      ? Effect.succeed(turn.request.id)
      : Effect.dieMessage("there is no request here")
  }),
  committed: options.turns.committed,
  // its overloads know which calls cannot fail
  alarm: options.alarms.set as unknown as SetAlarm<any>,
  cancelAlarm: options.alarms.cancel,
  destroy: options.turns.stage((turn) => {
    turn.destroys = true
    return Effect.void
  }),
  turn: (effect) => options.turns.turn(effect),
  broadcast: (event, payload, { except } = {}) =>
    options.stageEvent(event, payload, () => options.subscribers.snapshot(event), except),
  behavior: (behavior) => behavior
})
