/** An actor in memory, as its implementation sees it: its state, its connections, and what it can send. */
import type * as Effect from "effect/Effect"
import type * as HashMap from "effect/HashMap"
import type * as Ref from "effect/Ref"
import type { Behavior } from "./Behavior.ts"
import type { Caller, Connection } from "./Connection.ts"
import type { ConnectionId } from "./ConnectionId.ts"
import type { Definition, EventName, EventPayload } from "./Definition.ts"

/** What `build` is given. */
export interface Activation<Self, D extends Definition, State, ConnectionState> {
  /** The actor's key. */
  readonly key: string
  /**
   * The actor's state. Inside a turn it reads and writes the turn's staged value, which is dropped if the turn fails.
   * Outside of one (in `build`, in background fibers) each change is a turn of its own, after those that are waiting.
   */
  readonly state: Ref.Ref<State>
  /**
   * All connections by id. Maintained by the host: an attempt to change the map is a defect; use
   * `Connection.disconnect`.
   */
  readonly connections: Ref.Ref<HashMap.HashMap<ConnectionId, Connection<D, ConnectionState>>>
  /** The connection whose call is being handled. */
  readonly caller: Effect.Effect<Connection<D, ConnectionState>, never, Caller<Self>>
  /** Sends an event to all subscribed connections, except one, when the turn commits. It is encoded once. */
  readonly broadcast: <Name extends EventName<D>>(
    event: Name,
    payload: EventPayload<D, Name>,
    options?: { readonly except?: Connection<D, ConnectionState> }
  ) => Effect.Effect<void>
  /** Names a behaviour's type for inference; returns it unchanged. */
  readonly behavior: <const B extends Behavior<Self, D, ConnectionState>>(behavior: B) => B
}
