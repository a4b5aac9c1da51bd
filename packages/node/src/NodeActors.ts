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
import { ServeError } from "@effect/platform/HttpServerError"
import { LinkListener, type LinkOptions } from "@troupe/server/LinkListener"
import * as Cause from "effect/Cause"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type * as Http from "node:http"
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import { type EndpointContext, LinkEndpoint, refuse } from "./internal/LinkEndpoint.ts"
import { unwrapConfig } from "./internal/unwrapConfig.ts"

/** What `NodeHttpServer.layer` provides. */
type Platform = HttpServer.HttpServer | HttpPlatform.HttpPlatform | Etag.Generator | NodeContext.NodeContext

type Endpoints = Map<string, LinkEndpoint>

const pathOf = (request: Http.IncomingMessage): string => (request.url ?? "/").split("?", 1)[0]!

/** With a listener, Node upgrades; without one it would take the request for an ordinary one. */
const placeholder = (): void => {}

const ignore = (): void => {}

/** The server listens before the app is there, and after it has gone. */
const isServed = (server: Http.Server): boolean => server.listenerCount("request") > 0

/** Nobody else would answer then. */
const unavailable = (response: Http.ServerResponse): boolean => {
  response.writeHead(503, { connection: "close" }).end()
  return true
}

/** The server stops (RFC 6455, section 7.4.1). */
const codeGoingAway = 1001

/** How long requests that are running may take when the server closes, and peers to answer that their link is closed. */
const closeTimeoutMillis = 1000

/**
 * The connections of a server, until it is closed. Node does not know of those that were upgraded, nor of those of TLS before
 * their handshake.
 */
const collectSockets = (server: Http.Server): ReadonlySet<Net.Socket> => {
  const sockets = new Set<Net.Socket>()
  const add = (socket: Net.Socket): void => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  }
  server.on("connection", add)
  // it may be listened on again
  server.once("close", () => server.off("connection", add))
  return sockets
}

/** Node waits for every connection before a server is closed, also for those on which nothing was ever asked. */
const closeInTime = (server: Http.Server, sockets: Iterable<Net.Socket>): void => {
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, closeTimeoutMillis)
  server.once("close", () => clearTimeout(timer))
}

/** How long the peer of an upgraded socket that we have ended may leave its own half open. */
const lingerMillis = 2000

/** Of an upgrade that somebody else answers: Node has taken its listeners, and its timeouts, off the socket. */
const watch = (socket: Duplex): void => {
  // a reset of the peer would end the process
  socket.on("error", ignore)
  let timer: NodeJS.Timeout | undefined
  socket.once("finish", () => {
    timer = setTimeout(() => socket.destroy(), lingerMillis)
  })
  socket.once("close", () => clearTimeout(timer))
}

/** Takes the upgrades of listened paths before anyone else on the server sees them. Returns how to stop. */
const intercept = (server: Http.Server, endpoints: Endpoints): () => void => {
  const { emit } = server
  /** Whether an upgrade has been dealt with. */
  const take = (request: Http.IncomingMessage, socket: Duplex, head: Buffer): boolean => {
    const endpoint = endpoints.get(pathOf(request))
    if (endpoint) {
      endpoint.upgrade(request, socket, head)
      return true
    }
    watch(socket)
    if (server.listenerCount("upgrade") === 1) refuse(socket, isServed(server) || endpoints.size > 0 ? 404 : 503)
    else return false
    return true
  }
  const passOn = emit as (...args: ReadonlyArray<unknown>) => boolean
  server.emit = (event: string | symbol, ...args: Array<any>): boolean => {
    if (event === "upgrade" && take(args[0], args[1], args[2])) return true
    if (event === "request" && !isServed(server)) return unavailable(args[1])
    return passOn.call(server, event, ...args)
  }
  server.on("upgrade", placeholder)
  return () => {
    server.off("upgrade", placeholder)
    server.emit = emit
  }
}

const listen = (endpoints: Endpoints, context: EndpointContext) => (options: LinkOptions) =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      if (endpoints.get(options.path)?.closed === false) throw new Error(`the path ${options.path} is served already`)
      const endpoint = new LinkEndpoint(options, context)
      endpoints.set(options.path, endpoint)
      return endpoint
    }),
    // it stays: the path is not unknown, its links go elsewhere
    (endpoint) => Effect.sync(() => endpoint.close())
  ))

/** Accepts links on a server. Those that are left when the scope closes are closed, because the server waits for them. */
const makeListener = (
  server: Http.Server,
  sockets: Iterable<Net.Socket>
): Effect.Effect<typeof LinkListener.Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const report = (message: string) => (cause: unknown) => void runFork(Effect.logError(message, Cause.die(cause)))
    const context: EndpointContext = { sockets: new Set(), report: report("a link failed") }
    const endpoints: Endpoints = new Map()
    // what goes wrong while it serves, like too many open files, must not end the process
    const onError = report("the HTTP server failed")
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        server.on("error", onError)
        return intercept(server, endpoints)
      }),
      (stop) =>
        Effect.sync(() => {
          stop()
          server.off("error", onError)
          // over TLS a socket that is destroyed loses what was sent last, like the reason why it is closed
          for (const socket of context.sockets) socket.close(codeGoingAway)
          closeInTime(server, sockets)
        })
    )
    return { listen: listen(endpoints, context) }
  })

/** The platform's error has no message of its own. */
const serveError = (cause: unknown): ServeError =>
  Object.assign(new ServeError({ cause }), {
    message: `the HTTP server cannot listen: ${cause instanceof Error ? cause.message : String(cause)}`
  })

/** Node throws at what nobody can listen on, like a port beyond 65535, which is a defect to the platform. */
const toServeError = (cause: Cause.Cause<ServeError>): Cause.Cause<ServeError> => {
  const thrown = Option.getOrUndefined(Cause.dieOption(cause))
  return thrown instanceof Error && "code" in thrown ? Cause.fail(serveError(thrown)) : cause
}

/**
 * Node's HTTP server as `NodeHttpServer.layer` provides it, and the links of `ActorServer.layer` on the same port. Other
 * routes and other upgrades are left alone. Fails with `ServeError` if the server cannot listen, for example because the
 * port is in use or there is no such port. A server that listens already is left as it is.
 */
export const layer = (
  createServer: () => Http.Server,
  options: Net.ListenOptions
): Layer.Layer<Platform | LinkListener, ServeError> =>
  Layer.unwrapEffect(Effect.suspend(() => {
    const server = createServer()
    if (server.listening) return Effect.fail(serveError("it listens already"))
    const sockets = collectSockets(server)
    const listening = NodeHttpServer.layer(() => server, options).pipe(
      Layer.mapError(({ cause }) => serveError(cause)),
      Layer.catchAllCause((cause) => Layer.failCause(toServeError(cause)))
    )
    return Effect.succeed(Layer.provideMerge(Layer.scoped(LinkListener, makeListener(server, sockets)), listening))
  }))

/** The same, with options from the configuration. */
export const layerConfig = (
  createServer: () => Http.Server,
  options: Config.Config.Wrap<Net.ListenOptions>
): Layer.Layer<Platform | LinkListener, ConfigError.ConfigError | ServeError> =>
  Layer.unwrapEffect(Effect.map(unwrapConfig(options), (options) => layer(createServer, options)))
