/** Serves links at /links, with other routes unless told "bare", on a port. It is busy most of the time. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeActors from "@troupe/node/NodeActors"
import { LinkListener } from "@troupe/server/LinkListener"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Http from "node:http"

const [, , port, mode] = process.argv
const routes = HttpRouter.empty.pipe(HttpRouter.get("/health", HttpServerResponse.text("ok")))

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const context = yield* Layer.build(
    NodeActors.layer(() => Http.createServer(), { port: Number(port), host: "127.0.0.1" })
  )
  if (mode !== "bare") yield* Effect.provide(HttpServer.serveEffect(routes), context)
  yield* Context.get(context, LinkListener).listen({
    path: "/links",
    messageBytesMax: 1024,
    authorize: () => true,
    accept: () => ({ onMessage: () => {}, onClose: () => {} })
  })
  console.log("open")
  setInterval(() => {
    const end = performance.now() + 15
    while (performance.now() < end);
  }, 20)
  yield* Effect.never
})))
