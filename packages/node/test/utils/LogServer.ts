/** Servers of `Log.ts` on a store file, over real sockets, and their clients. */
import { HttpLayerRouter } from "@effect/platform"
import { ActorClient } from "@troupe/client"
import { NodeActors, NodeWebSocketTransport, SqliteStore } from "@troupe/node"
import { ActorHost, ActorServer, type HostOptions } from "@troupe/server"
import { Context, Effect, Layer, Schedule } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { layerLog, Log } from "./Log.ts"

/** Serves the actors from a store file until the scope closes, and returns the port. */
export const serve = (store: SqliteStore.Options, options: HostOptions.Options = {}) =>
  Effect.gen(function*() {
    const server = Http.createServer()
    yield* Layer.build(
      HttpLayerRouter.serve(ActorServer.layer({ actors: [Log], drainTimeout: 0 }), {
        disableListenLog: true,
        disableLogger: true
      }).pipe(
        Layer.provide(layerLog),
        Layer.provide(ActorHost.layer(options)),
        Layer.provide(SqliteStore.layer(store)),
        Layer.provide(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" }))
      )
    )
    return (server.address() as Net.AddressInfo).port
  })

/** A client of a server on a port, with a link of its own, which comes back at once after a loss. */
export const client = (port: number, options: ActorClient.Options = {}) =>
  Effect.map(
    Layer.build(
      ActorClient.layer({ schedule: Schedule.spaced("10 millis"), ...options }).pipe(
        Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` }))
      )
    ),
    Context.get(ActorClient.ActorClient)
  )

/** A client with one connection. */
export const connect = (port: number, options?: ActorClient.Options) =>
  Effect.flatMap(client(port, options), ({ connect }) => connect(Log, "a"))
