/** Serves the actors of `utils/Ledger.ts` on a port and a store file, says so, and waits to be killed. */
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as NodeActors from "@troupe/node/NodeActors"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorHost from "@troupe/server/ActorHost"
import * as ActorServer from "@troupe/server/ActorServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import * as Ledger from "../utils/Ledger.ts"

const [, , port, filename] = process.argv

const routes = Layer.merge(
  ActorServer.layer({ actors: [Ledger.Ledger, Ledger.Journal, Ledger.Slip] }),
  Ledger.layerRoute
)

const server = HttpLayerRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
  Layer.provide(Ledger.layer),
  Layer.provide(ActorHost.layer()),
  Layer.provide(SqliteStore.layer({ filename: filename! })),
  Layer.provide(NodeActors.layer(createServer, { port: Number(port), host: "127.0.0.1" }))
)

await Effect.runPromise(Effect.scoped(Effect.zipRight(
  Layer.build(server),
  Effect.zipRight(Effect.sync(() => console.log("open")), Effect.never)
)))
