/** A client's connection to one actor. */
import type * as RpcClient from "@effect/rpc/RpcClient"
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import type { Definition, EventItem, EventName, Rpcs } from "@troupe/contract/Contract"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Subscribable from "effect/Subscribable"
import type { ConnectionStatus } from "./ConnectionStatus.ts"

/** What `ActorClient.connect` gives. It reconnects by itself until its scope closes. */
export interface Connection<D extends Definition> {
  /**
   * The actor's public rpcs. A call made while disconnected waits, and is sent in call order. Each takes effect exactly
   * once and gets its answer, also when the link drops in between. Interrupting a call that has not been sent removes it;
   * one that has been sent is cancelled if it has not finished.
   */
  readonly rpc: RpcClient.RpcClient<Rpcs<D>, ConnectionError>
  /**
   * Subscribes to an event until the scope closes. Returns when the server has acknowledged the subscription; every event
   * sent from then on is in the stream, or a `Gap` in its place. A reader that falls `eventBufferMax` events behind
   * loses what it has not read, and finds a `Gap` instead. Of an event that `Actor.latest` marks, it finds the newest of
   * each sender, and never a `Gap`.
   */
  readonly events: <Name extends EventName<D>>(
    name: Name
  ) => Effect.Effect<Stream.Stream<EventItem<D, Name>, ConnectionError>, ConnectionError, Scope.Scope>
  /** The present status, and a stream of it. */
  readonly status: Subscribable.Subscribable<ConnectionStatus>
  /** How many calls wait for their answer, sent or not: what a person would call unsent messages while offline. */
  readonly pending: Subscribable.Subscribable<number>
}
