/**
 * Serves the actors of `utils/Feed.ts` on a port, and writes how many bytes of memory the process has whenever it gets
 * SIGUSR2.
 */
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as NodeActors from "@troupe/node/NodeActors"
import * as ActorHost from "@troupe/server/ActorHost"
import * as ActorServer from "@troupe/server/ActorServer"
import * as ActorStore from "@troupe/server/ActorStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { Feed, layerFeed } from "../utils/Feed.ts"

const [, , port, options = "{}"] = process.argv

const { host, gateway } = JSON.parse(options)

const server = HttpLayerRouter.serve(ActorServer.layer({ actors: [Feed], ...gateway }), {
  disableListenLog: true,
  disableLogger: true
}).pipe(
  Layer.provide(layerFeed),
  Layer.provide(ActorHost.layer(host)),
  Layer.provide(ActorStore.layerMemory),
  Layer.provide(NodeActors.layer(createServer, { port: Number(port), host: "127.0.0.1" }))
)

const bytes = () => {
  globalThis.gc?.()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

process.on("SIGUSR2", () => console.log(`bytes ${bytes()}`))

await Effect.runPromise(Effect.scoped(Effect.zipRight(
  Layer.build(server),
  Effect.zipRight(Effect.sync(() => console.log("open")), Effect.never)
)))
