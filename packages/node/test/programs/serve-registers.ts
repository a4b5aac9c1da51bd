/**
 * Serves the actor of `utils/Register.ts`, and a page that calls it, as a program of a user does. Arguments: the port, the
 * store file, the script of the page, and options of the host and the gateway as JSON.
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
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { layerRoute } from "../utils/Gates.ts"
import { layerRegister, Register } from "../utils/Register.ts"

const [, , port, filename, script, options = "{}"] = process.argv

const { host, gateway } = JSON.parse(options)

const html = (body: string) => HttpServerResponse.html(`<!doctype html><title>Register</title>${body}`)

const routes = Layer.mergeAll(
  ActorServer.layer({ actors: [Register], ...gateway }),
  HttpLayerRouter.add("GET", "/", html(`<script type="module" src="/page.js"></script>`)),
  HttpLayerRouter.add("GET", "/elsewhere", html("nothing to see")),
  HttpLayerRouter.add(
    "GET",
    "/page.js",
    HttpServerResponse.text(readFileSync(script!, "utf8"), { contentType: "text/javascript" })
  ),
  layerRoute
)

const server = HttpLayerRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
  Layer.provide(layerRegister),
  Layer.provide(ActorHost.layer(host)),
  Layer.provide(SqliteStore.layer({ filename: filename! })),
  Layer.provide(NodeActors.layer(createServer, { port: Number(port), host: "127.0.0.1" }))
)

const opened = Layer.effectDiscard(Effect.sync(() => console.log("open")))

NodeRuntime.runMain(Layer.launch(Layer.provide(opened, server)))
