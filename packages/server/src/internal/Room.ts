/** What an implementation's `build` is given, made from the parts of an activation. */
import type { Activation } from "@troupe/contract/Activation"
import type { SetAlarm } from "@troupe/contract/Alarm"
import type { Connection } from "@troupe/contract/Connection"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as HashMap from "effect/HashMap"
import type { Alarms } from "./Alarms.ts"
import { encodeOutput } from "./Answers.ts"
import type { Recorded } from "./Recorded.ts"
import type { Recipient } from "./ServerConnection.ts"
import { Shown } from "./Shown.ts"
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
      const value = Codec.encodeOrThrow(codec, payload)
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

/** The parts of an activation that it shows. */
interface RoomParts {
  readonly key: string
  readonly turns: Turns
  readonly connections: Cell<HashMap.HashMap<ConnectionId, Connection<any, any>>>
  readonly subscribers: Subscribers
  readonly stageEvent: StageEvent
  readonly alarms: Alarms
  readonly recorded: Recorded
}

/** What an actor does not ask for is not made: there may be very many of them. */
class Room extends Shown implements Activation<unknown, any, any, any> {
  private shownState: TurnRef<any> | undefined
  private shownConnections: TurnRef<any> | undefined

  constructor(private readonly parts: RoomParts) {
    super()
  }

  toJSON(): unknown {
    return { _id: "Activation", key: this.key }
  }

  get key() {
    return this.parts.key
  }

  get state() {
    const { turns } = this.parts
    return this.shownState ??= new TurnRef<any>(turns.state, turns)
  }

  get changes() {
    return this.parts.turns.committedState.changes(1)
  }

  get connections() {
    const { connections, turns } = this.parts
    return this.shownConnections ??= new TurnRef<any>(connections, turns, hosted)
  }

  get caller() {
    const { turns } = this.parts
    return Effect.withFiberRuntime<Connection<any, any>>((fiber) => {
      const turn = ofFiber(fiber)
      return turn?.owner === turns && turn.caller
        ? Effect.succeed(turn.caller)
        : Effect.dieMessage("there is no calling connection here")
    })
  }

  get requestId() {
    const { turns } = this.parts
    return Effect.withFiberRuntime<string>((fiber) => {
      const turn = ofFiber(fiber)
      return turn?.owner === turns && turn.request
        ? Effect.succeed(turn.request.id)
        : Effect.dieMessage("there is no request here")
    })
  }

  get committed() {
    return this.parts.turns.committed
  }

  get alarm() {
    // its overloads know which calls cannot fail
    return this.parts.alarms.set as unknown as SetAlarm<any>
  }

  get cancelAlarm() {
    return this.parts.alarms.cancel
  }

  get alarms() {
    // the tags of a contract that is forgotten are none
    return this.parts.alarms.all as Activation<unknown, any, any, any>["alarms"]
  }

  get retryAlarm() {
    return this.parts.alarms.retry
  }

  get destroy() {
    const { recorded, turns } = this.parts
    const destroyed = turns.stage((turn) =>
      Effect.sync(() => {
        turn.destroys = true
      })
    )
    // what earlier activations have answered to other actors is to outlive it too; a turn may end while that is read
    return Effect.zipRight(Effect.orDie(recorded.load), destroyed)
  }

  // they may be taken from it: none of these needs `this` when it is called

  get turn(): Activation<unknown, any, any, any>["turn"] {
    const { turns } = this.parts
    return (effect) => turns.turn(effect)
  }

  get broadcast(): Activation<unknown, any, any, any>["broadcast"] {
    const { stageEvent, subscribers } = this.parts
    return (event, payload, { except } = {}) => stageEvent(event, payload, () => subscribers.snapshot(event), except)
  }

  get behavior(): Activation<unknown, any, any, any>["behavior"] {
    return identity
  }
}

export const make = (parts: RoomParts): Activation<unknown, any, any, any> => new Room(parts)
