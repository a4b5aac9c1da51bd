/** The whole server, as one layer: its page, its actors, and what they run on. */
import { HttpLayerRouter } from "@effect/platform"
import { NodeActors } from "@troupe/node"
import { ActorHost, ActorServer, ActorStore } from "@troupe/server"
import { Layer } from "effect"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import { Board } from "../contract.ts"
import { BoardLive } from "./BoardLive.ts"
import * as Routes from "./routes.ts"

const pageFolder = fileURLToPath(new URL("../../dist", import.meta.url))

export const layer = (options: { readonly port: number }) =>
  HttpLayerRouter.serve(
    Layer.mergeAll(ActorServer.layer({ path: "/actors", actors: [Board] }), Routes.page(pageFolder)),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    // Layers are built from the bottom up: the server listens when all that it serves is there.
    Layer.provideMerge(NodeActors.layer(createServer, { port: options.port })),
    Layer.provide(BoardLive),
    // Who has lost the network stays on the board for so long, and then is gone.
    Layer.provide(ActorHost.layer({ resumeWindow: "15 seconds" })),
    Layer.provide(ActorStore.layerMemory)
  )
