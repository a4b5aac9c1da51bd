/** What users see of a connection. */
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import type * as Codec from "@troupe/contract/protocol/Codec"
import * as RpcObject from "@troupe/contract/protocol/RpcObject"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Connection } from "../Connection.ts"
import type { ClientConnection } from "./ClientConnection.ts"
import type { EventReader } from "./EventReader.ts"

const ofPublic = new WeakMap<object, ClientConnection>()

export const toPublic = (connection: ClientConnection, codec: Codec.ContractCodec): Connection<any> => {
  let rpc: Connection<any>["rpc"] | undefined
  // who does not look at something does not pay for it
  const made: Connection<any> = {
    get rpc() {
      return rpc ??= RpcObject.make(
        codec.rpcs,
        (...call) => connection.call(...call),
        (...call) => connection.stream(...call)
      ) as Connection<any>["rpc"]
    },
    events: (name: string) => subscribe(connection, name) as never,
    get status() {
      return connection.status.subscribable
    },
    get pending() {
      return connection.pending.subscribable
    }
  }
  ofPublic.set(made, connection)
  return made
}

/** What stands behind it. A defect if it is none of ours. */
export const connectionOf = (made: object): ClientConnection => {
  const connection = ofPublic.get(made)
  if (!connection) throw new Error("this is no connection of ActorClient.connect")
  return connection
}

/** Subscribes with the scope; returns when the server has acknowledged it. */
const subscribe = (
  connection: ClientConnection,
  event: string
): Effect.Effect<Stream.Stream<unknown, ConnectionError>, ConnectionError, Scope.Scope> =>
  Effect.suspend(() => {
    const ready = Deferred.unsafeMake<void, ConnectionError>(FiberId.none)
    const leave = (reader: EventReader | undefined) =>
      Effect.sync(() => reader && connection.unsubscribe(event, reader))
    return Effect.acquireRelease(
      Effect.sync(() => connection.subscribe(event, (exit) => Deferred.unsafeDone(ready, exit))),
      leave
    ).pipe(
      // whoever does not wait for it will not read it
      Effect.tap((reader) => Effect.onInterrupt(Deferred.await(ready), () => leave(reader))),
      Effect.map((reader) => reader!.stream)
    )
  })
