/** A client's connection, as the actor sees it. */
import type * as Effect from "effect/Effect"
import type * as Ref from "effect/Ref"
import type { ConnectionId } from "./ConnectionId.ts"
import type { Definition, EventName, EventPayload, Params } from "./Definition.ts"

/** One client's connection. It outlives its sockets: a dropped link is resumed without the actor noticing. */
export interface Connection<D extends Definition, ConnectionState> {
  readonly id: ConnectionId
  /** The parameters it was opened with. */
  readonly params: Params<D>
  /** What `onBeforeConnect` returned. Changes are part of the turn they are made in. */
  readonly state: Ref.Ref<ConnectionState>
  /**
   * Sends an event to this connection when the turn commits. Nothing happens if the client has not subscribed to it.
   * A payload that its schema cannot encode is a defect.
   */
  readonly send: <Name extends EventName<D>>(event: Name, payload: EventPayload<D, Name>) => Effect.Effect<void>
  /** Ends the connection when the turn commits, after the turn's events and reply. The client does not come back. */
  readonly disconnect: (reason?: string) => Effect.Effect<void>
}

declare const CallerTypeId: unique symbol

/** Stands in `R` where a connection is needed as the caller. Only handlers of public rpcs are given one. */
export interface Caller<in out Self> {
  readonly [CallerTypeId]: (_: Self) => Self
}
