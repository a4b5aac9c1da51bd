/** An actor in memory, as its implementation sees it: its state, its connections, and what it can send. */
import type * as Effect from "effect/Effect"
import type * as HashMap from "effect/HashMap"
import type * as Ref from "effect/Ref"
import type * as Stream from "effect/Stream"
import type { PendingAlarm, SetAlarm } from "./Alarm.ts"
import type { Behavior, Excess } from "./Behavior.ts"
import type { Caller, Connection } from "./Connection.ts"
import type { ConnectionId } from "./ConnectionId.ts"
import type { Definition, EventName, EventPayload, InternalRpcs } from "./Definition.ts"
import type { Request } from "./Request.ts"

/** What `build` is given. */
export interface Activation<Self, D extends Definition, State, ConnectionState> {
  /** The actor's key. */
  readonly key: string
  /**
   * The actor's state. Inside a turn it reads and writes the turn's staged value, which is dropped if the turn fails.
   * Outside of one (in `build`, in background fibers) each change is a turn of its own, which waits for its place.
   */
  readonly state: Ref.Ref<State>
  /**
   * The state as it is committed: what it is at first, and what it becomes with each commit that changes it. Who reads
   * slowly misses states in between, never the last one. For fibers of `build`, forked handlers and streams; a turn that
   * waits for it waits for itself.
   */
  readonly changes: Stream.Stream<State>
  /**
   * All connections by id. Maintained by the host: an attempt to change the map is a defect; use
   * `Connection.disconnect`.
   */
  readonly connections: Ref.Ref<HashMap.HashMap<ConnectionId, Connection<D, ConnectionState>>>
  /** The connection whose call is being handled. */
  readonly caller: Effect.Effect<Connection<D, ConnectionState>, never, Caller<Self>>
  /**
   * An id of the call that is being handled: the same when the call is handled again because a crash came before the
   * commit, different for every other call. It is what external services call an idempotency key: 32 hexadecimal digits,
   * which tell nothing of the session they come from.
   */
  readonly requestId: Effect.Effect<string, never, Request<Self>>
  /**
   * Waits until everything that the turn has seen is durable, which its own changes are not before it has ended. To be
   * used before an effect on the outside that must not rest on what a crash could take back. Interrupts if it was lost.
   */
  readonly committed: Effect.Effect<void>
  /** Sets an alarm, as part of the turn. */
  readonly alarm: SetAlarm<D>
  /** Cancels the alarm with this id, as part of the turn. Nothing happens if there is none. */
  readonly cancelAlarm: (id: string) => Effect.Effect<void>
  /** The alarms that are set, as the turn has left them so far: the next one first, those that are parked last. */
  readonly alarms: Effect.Effect<ReadonlyArray<PendingAlarm<InternalRpcs<D>["_tag"]>>>
  /**
   * Sets a parked alarm again, as part of the turn: it fires with its payload, now, and is tried again as before. It is the
   * same request, so that nothing is done twice elsewhere. Returns false, and does nothing, if none with this id is parked.
   */
  readonly retryAlarm: (id: string) => Effect.Effect<boolean>
  /**
   * Ends the actor when the turn commits: its state, its alarms and its recorded replies to clients are deleted, the reply
   * and the events of the turn leave, and then all connections are closed with the reason `Destroyed`. What waited for a turn is
   * not run. The next use of the address begins with the initial state.
   */
  readonly destroy: Effect.Effect<void>
  /** Sends an event to all subscribed connections, except one, when the turn commits. It is encoded once. */
  readonly broadcast: <Name extends EventName<D>>(
    event: Name,
    payload: EventPayload<D, Name>,
    options?: { readonly except?: Connection<D, ConnectionState> }
  ) => Effect.Effect<void>
  /**
   * Runs an effect as one turn, when it has its place: several changes of a forked handler, a stream or a background fiber
   * together, or none of them. Inside a turn it is part of that one.
   */
  readonly turn: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Names a behaviour's type for inference; returns it unchanged. What would never be called does not compile. */
  readonly behavior: <const B extends Behavior<Self, D, ConnectionState>>(
    behavior: B & Excess<D, ConnectionState, B>
  ) => B
}
