/** The whole server, as one layer: its routes, its actors, and what they run on. */
import { HttpLayerRouter } from "@effect/platform"
import { NodeActors, SqliteStore } from "@troupe/node"
import { ActorHost, ActorHttp, ActorServer } from "@troupe/server"
import { Layer } from "effect"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import { ChatRoom } from "../contract.ts"
import { Auth } from "./Auth.ts"
import { ChatRoomLive } from "./ChatRoomLive.ts"
import * as Metrics from "./Metrics.ts"
import * as Routes from "./routes.ts"

const pageFolder = fileURLToPath(new URL("../../dist", import.meta.url))

export const layer = (options: {
  readonly port: number
  /** The SQLite file that the rooms live in. */
  readonly filename: string
}) =>
  HttpLayerRouter.serve(
    Layer.mergeAll(
      ActorServer.layer({ path: "/actors", actors: [ChatRoom] }), // only these can be reached
      ActorHttp.layer({ path: "/actors", actors: [ChatRoom] }), // the same, for callers that say one thing and go
      Routes.Announce,
      Routes.Health,
      Metrics.Prometheus,
      Routes.page(pageFolder)
    ),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    // Layers are built from the bottom up: the server listens when all that it serves is there.
    Layer.provideMerge(NodeActors.layer(createServer, { port: options.port })),
    Layer.provide(ChatRoomLive),
    Layer.provide(Auth.layerDemo),
    Layer.provide(ActorHost.layer()),
    Layer.provide(SqliteStore.layer({ filename: options.filename }))
  )
