/**
 * A Node HTTP server that accepts links beside ordinary routes. Links are upgraded by `ws` in front of the platform's own
 * upgrade handling: through that one an idle link costs a fiber and 48 KiB instead of 3, and nothing bounds the size of a
 * message.
 */
import type * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as Etag from "@effect/platform/Etag"
import type * as HttpPlatform from "@effect/platform/HttpPlatform"
import type * as HttpServer from "@effect/platform/HttpServer"
import type { ServeError } from "@effect/platform/HttpServerError"
import { LinkListener, type LinkOptions } from "@troupe/server/LinkListener"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Http from "node:http"
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import { LinkEndpoint } from "./internal/LinkEndpoint.ts"

/** What `NodeHttpServer.layer` provides. */
type Platform = HttpServer.HttpServer | HttpPlatform.HttpPlatform | Etag.Generator | NodeContext.NodeContext

const pathOf = (request: Http.IncomingMessage): string => (request.url ?? "/").split("?", 1)[0]!

/** Takes the upgrades of listened paths before anyone else on the server sees them. */
const intercept = (server: Http.Server): Map<string, LinkEndpoint> => {
  const endpoints = new Map<string, LinkEndpoint>()
  const emit = server.emit.bind(server)
  server.emit = (event: string | symbol, ...args: ReadonlyArray<unknown>): boolean => {
    const endpoint = event === "upgrade" ? endpoints.get(pathOf(args[0] as Http.IncomingMessage)) : undefined
    if (!endpoint) return emit(event as never, ...(args as Array<never>))
    endpoint.upgrade(...(args as [Http.IncomingMessage, Duplex, Buffer]))
    return true
  }
  return endpoints
}

const listen = (endpoints: Map<string, LinkEndpoint>) => (options: LinkOptions) =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      if (endpoints.has(options.path)) throw new Error(`the path ${options.path} is served already`)
      endpoints.set(options.path, new LinkEndpoint(options))
    }),
    () => Effect.sync(() => endpoints.delete(options.path))
  ))

/**
 * Node's HTTP server as `NodeHttpServer.layer` provides it, and the links of `ActorServer.layer` on the same port. Other
 * routes and other upgrades are left alone. Fails with `ServeError` if the server cannot listen, for example because the
 * port is in use.
 */
export const layer = (
  createServer: () => Http.Server,
  options: Net.ListenOptions
): Layer.Layer<Platform | LinkListener, ServeError> =>
  Layer.unwrapEffect(Effect.sync(() => {
    const server = createServer()
    const listener = Layer.succeed(LinkListener, { listen: listen(intercept(server)) })
    return Layer.merge(NodeHttpServer.layer(() => server, options), listener)
  }))
