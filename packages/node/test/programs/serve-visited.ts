/**
 * Serves the actors of `utils/Visited.ts` on a port and a store file, over sockets and over HTTP, and writes what the process
 * holds whenever it gets SIGUSR2. Its third argument are options, as JSON.
 */
import { HttpLayerRouter } from "@effect/platform"
import { NodeActors, SqliteStore } from "@troupe/node"
import { ActorHost, ActorHttp, ActorServer } from "@troupe/server"
import { Effect, Layer } from "effect"
import { createServer } from "node:http"
import { layerVisited, Visited } from "../utils/Visited.ts"
import * as Vitals from "../utils/Vitals.ts"

const [, , port, filename, options = "{}"] = process.argv

const { gateway, host, http, store } = JSON.parse(options)

const watched = Vitals.watch("Visited")

const server = HttpLayerRouter.serve(
  Layer.merge(
    ActorServer.layer({ actors: [Visited], ...gateway }),
    ActorHttp.layer({ actors: [Visited], ...http })
  ),
  { disableListenLog: true, disableLogger: true }
).pipe(
  Layer.provide(NodeActors.layer(createServer, { port: Number(port), host: "127.0.0.1" })),
  Layer.provide(layerVisited("commit")),
  Layer.provide(ActorHost.layer(host)),
  Layer.provide(SqliteStore.layer({ filename: filename!, ...store }))
)

process.on("SIGUSR2", () => console.log(`vitals ${JSON.stringify(watched.vitals())}`))

await Effect.runPromise(watched.supervised(Effect.scoped(Effect.zipRight(
  Layer.build(server),
  Effect.zipRight(Effect.sync(() => console.log("open")), Effect.never)
))))
