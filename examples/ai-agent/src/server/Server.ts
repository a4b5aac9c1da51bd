/** The whole server, as one layer: its routes, its actors, and what they run on. What is left to be given is the model. */
import { HttpLayerRouter } from "@effect/platform"
import { NodeActors, SqliteStore } from "@troupe/node"
import { ActorHost, ActorServer } from "@troupe/server"
import { Layer } from "effect"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import { Conversation } from "../contract.ts"
import { ConversationLive } from "./ConversationLive.ts"
import * as Routes from "./routes.ts"

const pageFolder = fileURLToPath(new URL("../../dist", import.meta.url))

export const layer = (options: {
  readonly port: number
  /** The SQLite file that the conversations live in. */
  readonly filename: string
}) =>
  HttpLayerRouter.serve(
    Layer.mergeAll(
      // A server that stops waits for the calls it is answering. Pages that watch an answer would be waited for until it
      // is complete, and lose nothing if they are not: they go on at the next server.
      ActorServer.layer({ path: "/actors", actors: [Conversation], drainTimeout: "1 second" }),
      Routes.Health,
      Routes.page(pageFolder)
    ),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    // Layers are built from the bottom up: the server listens when all that it serves is there.
    Layer.provideMerge(NodeActors.layer(createServer, { port: options.port })),
    Layer.provide(ConversationLive),
    Layer.provide(ActorHost.layer()),
    Layer.provide(SqliteStore.layer({ filename: options.filename }))
  )
