/**
 * Serves the actor of `utils/Gates.ts` on a port and a store file. Links that are silent are given up by clients soon, and
 * by the server late. Connections without a link end soon.
 */
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as NodeActors from "@troupe/node/NodeActors"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorHost from "@troupe/server/ActorHost"
import * as ActorServer from "@troupe/server/ActorServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { Gates, layerGates, layerRoute } from "../utils/Gates.ts"

const [, , port, filename] = process.argv

const actors = ActorServer.layer({
  actors: [Gates],
  heartbeat: "200 millis",
  silence: "1 second",
  openTimeout: "1 hour"
})

const server = HttpLayerRouter.serve(Layer.merge(actors, layerRoute), {
  disableListenLog: true,
  disableLogger: true
}).pipe(
  Layer.provide(layerGates),
  Layer.provide(ActorHost.layer({ resumeWindow: "100 millis" })),
  Layer.provide(SqliteStore.layer({ filename: filename! })),
  Layer.provide(NodeActors.layer(createServer, { port: Number(port), host: "127.0.0.1" }))
)

await Effect.runPromise(Effect.scoped(Effect.zipRight(
  Layer.build(server),
  Effect.zipRight(Effect.sync(() => console.log("open")), Effect.never)
)))
