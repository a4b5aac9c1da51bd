/**
 * Actors for clients of @effect/rpc over HTTP: `POST {path}/{contract}/{key}/rpc`, with the connection parameters in the
 * header `troupe-params`. Each request is a connection of its own: the hooks run, the calls are made, and it ends. A call
 * runs at most once, and one whose request is cut off is interrupted.
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type { ActorOverloaded } from "@troupe/contract/ActorError"
import * as Address from "@troupe/contract/Address"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import { isTraced } from "@troupe/contract/CallSpan"
import { ConnectionClosed, type ConnectionError } from "@troupe/contract/ConnectionError"
import type { Any } from "@troupe/contract/Definition"
import * as HttpRpc from "@troupe/contract/HttpRpc"
import { withDefaults } from "@troupe/contract/Options"
import { Secrets } from "@troupe/contract/Secrets"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Implementations } from "./ActorServer.ts"
import type { Connections } from "./Connections.ts"
import * as Gateway from "./Gateway.ts"
import { HttpCalls } from "./internal/HttpCalls.ts"
import { toMillis } from "./internal/Limits.ts"
import { toPattern, toTarget } from "./internal/RoutePath.ts"
import * as RpcBody from "./internal/RpcBody.ts"
import * as ShortConnection from "./internal/ShortConnection.ts"
import type { StockRequest } from "./internal/ShortConnection.ts"
import * as Origin from "./Origin.ts"

/** What the routes can be told. */
export interface Options<Actors extends ReadonlyArray<Any>> {
  /** Below which path the actors are called. It has none of `?#*:;`, which would be a defect. Default: `/actors`. */
  readonly path?: `/${string}`
  /** The contracts that can be called. Each must be implemented, or the layer does not compile. */
  readonly actors: Actors
  /** Pages of these origins may call, beside those of the same host. Default: none. */
  readonly origins?: ReadonlyArray<string>
  /**
   * How long a body may be, in bytes. A longer one is thrown away, and its call rejected; one that is 16 times as long is
   * not even read to its end, and its client finds the socket closed. Default: 1 MiB.
   */
  readonly bodyBytesMax?: number
  /** How many calls of requests may be in flight at one actor. Default: 1000. */
  readonly mailboxMax?: number
  /**
   * How much is collected for a client that reads all answers of a request together, as with JSON, in bytes: then its
   * other calls, and its streams, fail. Default: 8 MiB.
   */
  readonly collectedBytesMax?: number
  /** How long a request may take; then its calls fail. Default: 5 minutes. */
  readonly requestTimeout?: Duration.DurationInput
  /** How long a server that stops waits for calls in flight. Default: 10 seconds. */
  readonly drainTimeout?: Duration.DurationInput
}

/** The defaults of `Options`. */
export const defaults: Required<Omit<Options<[]>, "actors" | "origins" | "path">> = {
  bodyBytesMax: 1024 * 1024,
  mailboxMax: 1000,
  collectedBytesMax: 8 * 1024 * 1024,
  requestTimeout: "5 minutes",
  drainTimeout: Gateway.defaults.drainTimeout
}

/** Calls that say nothing of a trace belong to the one of their request. */
const withTraces = (requests: ReadonlyArray<StockRequest>): Effect.Effect<ReadonlyArray<StockRequest>> =>
  Effect.withFiberRuntime((fiber) => {
    const { currentSpan: span } = fiber
    if (!isTraced(fiber) || !span) return Effect.succeed(requests)
    const { sampled, spanId, traceId } = span
    return Effect.succeed(
      requests.map((request) => request.traceId ? request : { ...request, traceId, spanId, sampled })
    )
  })

/** The actor that a path below `path` names: `/ChatRoom/lobby/rpc`. */
const targetIn = (below: string): { readonly contract: string; readonly key: string } | undefined => {
  const [, contract, key] = /^\/([^/]+)\/([^/]+)\/rpc$/.exec(below) ?? []
  try {
    return contract && key ? { contract: decodeURIComponent(contract), key: decodeURIComponent(key) } : undefined
  } catch {
    return undefined
  }
}

const describe = (request: HttpServerRequest.HttpServerRequest): ConnectRequest => ({
  headers: request.headers,
  url: request.url,
  remoteAddress: Option.getOrUndefined(request.remoteAddress)
})

const issueOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** The frame that opens the connection, with the parameters in a request. */
const openFrame = (
  options: { readonly session: string; readonly contract: string; readonly key: string },
  headers: Headers.Headers
): Either.Either<string, ConnectionClosed> =>
  Either.try({
    try: () => ShortConnection.open({ ...options, params: HttpRpc.decodeParams(headers[HttpRpc.paramsHeader] ?? "") }),
    catch: (error) => {
      const issue = `the header ${HttpRpc.paramsHeader} cannot be read: ${issueOf(error)}`
      return new ConnectionClosed({ reason: { _tag: "InvalidParams", issue }, sent: "no" })
    }
  })

/** Serves the public rpcs of actors to clients of @effect/rpc. Serialized as JSON, NDJSON or MessagePack, as they ask. */
export const layer = <const Actors extends ReadonlyArray<Any>>(
  options: Options<Actors>
): Layer.Layer<never, never, HttpLayerRouter.HttpRouter | Connections | Implementations<Actors>> =>
  HttpLayerRouter.use((router) =>
    Effect.gen(function*() {
      // the platform traces the headers of every request, and this one carries tokens
      const redacted = yield* FiberRef.get(Headers.currentRedactedNames)
      yield* Effect.locallyScoped(Headers.currentRedactedNames, [...redacted, HttpRpc.paramsHeader])
      // before a slash that each of the patterns and paths below begins with
      const path = toTarget(options.path ?? "/actors").replace(/\/$/, "") as `/${string}` | ""
      const limits = withDefaults(defaults, options)
      const gateway = yield* Gateway.make({
        actors: options.actors,
        drainTimeout: limits.drainTimeout,
        // a request says nothing while it waits, and has been bounded by then
        silence: Duration.infinity,
        heartbeat: Duration.infinity,
        openBytesMax: Number.MAX_SAFE_INTEGER,
        messageBytesMax: Number.MAX_SAFE_INTEGER
      })
      const secrets = yield* Secrets
      const isAllowed = Origin.isAllowed(options.origins ?? [])
      const calls = new HttpCalls({
        gateway,
        nextId: secrets.next,
        mailboxMax: limits.mailboxMax,
        timeoutMillis: toMillis(limits.requestTimeout)
      })

      const respond = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, body: RpcBody.RpcBody) {
        const described = describe(request)
        if (!isAllowed(described)) return body.refuse(403, "this origin is not allowed")
        const target = targetIn(request.url.split("?", 1)[0]!.slice(path.length))
        if (!target) return body.refuse(404, `it is ${path}/{contract}/{key}/rpc`)
        const requests = yield* Effect.flatMap(body.read(request, limits.bodyBytesMax), withTraces)
        if (requests.length === 0) return body.ofAll([])
        const failAll = (error: ConnectionError | ActorOverloaded) =>
          body.ofAll(requests.map(({ id }) => ShortConnection.failure(id, error)))
        const open = openFrame({ ...target, session: secrets.next() }, request.headers)
        if (Either.isLeft(open)) return failAll(open.left)
        const collectedBytesMax = body.framed ? Infinity : limits.collectedBytesMax
        const responses = calls.call(Address.make(target.contract, target.key), {
          request: described,
          open: open.right,
          requests,
          collectedBytesMax
        })
        return yield* Effect.matchEffect(responses, {
          onSuccess: (responses) => body.of(responses),
          onFailure: (error) => Effect.succeed(failAll(error))
        })
      })

      yield* router.add("POST", `${toPattern(path)}/*`, (request) => {
        const body = RpcBody.RpcBody.of(request.headers["content-type"] ?? "")
        return body
          ? Effect.merge(respond(request, body))
          : HttpServerResponse.text(`it is one of ${RpcBody.contentTypes.join(", ")}\n`, { status: 415 })
      })
    })
  )
