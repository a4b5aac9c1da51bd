/**
 * Serves the actors of `utils/Work.ts` and `utils/Log.ts` as a program of a user does: SIGTERM lets it finish what it has
 * begun. Arguments: the port, the store file, how many milliseconds it may take for that at the gateway and at the host,
 * and `stuck` if calls of `Stick` are to stick.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeActors from "@troupe/node/NodeActors"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorHost from "@troupe/server/ActorHost"
import * as ActorServer from "@troupe/server/ActorServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { layerLog, Log } from "../utils/Log.ts"
import { Book, layerWork, Work } from "../utils/Work.ts"

const [, , port, filename, drainTimeout, shutdownTimeout, stuck] = process.argv

const routes = Layer.mergeAll(
  ActorServer.layer({ actors: [Book, Log, Work], drainTimeout: Number(drainTimeout) }),
  HttpLayerRouter.add("GET", "/health", HttpServerResponse.text("well"))
)

const server = HttpLayerRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
  Layer.provide([layerLog, layerWork(stuck === "stuck")]),
  Layer.provide(ActorHost.layer({ shutdownTimeout: Number(shutdownTimeout) })),
  Layer.provide(SqliteStore.layer({ filename: filename! })),
  Layer.provide(NodeActors.layer(createServer, { port: Number(port), host: "127.0.0.1" }))
)

const opened = Layer.effectDiscard(Effect.sync(() => console.log("open")))

NodeRuntime.runMain(Layer.launch(Layer.provide(opened, server)))
