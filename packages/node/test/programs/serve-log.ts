/** Serves the actors of `utils/Log.ts` on a port and a store file, with options that are JSON, and waits to be killed. */
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as NodeActors from "@troupe/node/NodeActors"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorHost from "@troupe/server/ActorHost"
import * as ActorServer from "@troupe/server/ActorServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { layerLog, Log } from "../utils/Log.ts"

const [, , port, filename, options = "{}"] = process.argv

const { host, gateway } = JSON.parse(options)

const server = HttpLayerRouter.serve(ActorServer.layer({ actors: [Log], ...gateway }), {
  disableListenLog: true,
  disableLogger: true
}).pipe(
  Layer.provide(layerLog),
  Layer.provide(ActorHost.layer(host)),
  Layer.provide(SqliteStore.layer({ filename: filename! })),
  Layer.provide(NodeActors.layer(createServer, { port: Number(port), host: "127.0.0.1" }))
)

await Effect.runPromise(Effect.scoped(Effect.zipRight(
  Layer.build(server),
  Effect.zipRight(Effect.sync(() => console.log("open")), Effect.never)
)))
