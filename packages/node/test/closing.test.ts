/** Starting and stopping a server, over real sockets: nobody waits for an answer that nobody gives. */
import { HttpServer } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import type { Link } from "@troupe/contract"
import { NodeActors } from "@troupe/node"
import { LinkListener } from "@troupe/server"
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { createServer } from "node:http"
import { createServer as createSecureServer } from "node:https"
import * as Net from "node:net"
import { type ClientOptions, WebSocket } from "ws"
import { until } from "./utils/until.ts"

const portOf = <R>(context: Context.Context<HttpServer.HttpServer | R>) => {
  const { address } = Context.get(context, HttpServer.HttpServer)
  return address._tag === "TcpAddress" ? address.port : 0
}

const listenWith = (create: typeof createServer) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const layer = NodeActors.layer(create, { port: 0, host: "127.0.0.1" })
    return { scope, port: portOf(yield* Layer.buildWithScope(layer, scope)) }
  })

const listen = listenWith(createServer)

const connected = (port: number) =>
  Effect.acquireRelease(
    Effect.async<Net.Socket>((resume) => {
      const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

it.scopedLive(
  "real sockets: a server closes although a connection has never asked for anything",
  () =>
    Effect.gen(function*() {
      const { port, scope } = yield* listen
      const silent = yield* connected(port)
      const half = yield* connected(port)
      half.write("GET / HTTP/1.1\r\nHost:")
      const closed = yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "30 seconds")
      assert.strictEqual(closed._tag, "Some")
      assert.isDefined(silent)
    }),
  60_000
)

it.scopedLive(
  "real sockets: a server of https closes although a connection has never begun its handshake",
  () =>
    Effect.gen(function*() {
      const { port, scope } = yield* listenWith(createSecureServer)
      yield* connected(port)
      const half = yield* connected(port)
      // the beginning of a record of TLS
      half.write(Uint8Array.of(0x16, 0x03, 0x01))
      const closed = yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "30 seconds")
      assert.strictEqual(closed._tag, "Some")
    }),
  60_000
)

/** TLS without certificates: both sides know a key. */
const key = Buffer.alloc(32, 7)
const keyed = { ciphers: "PSK", maxVersion: "TLSv1.2" } as const
const secure = () => createSecureServer({ ...keyed, pskCallback: () => key })
const trusting = {
  ...keyed,
  pskCallback: () => ({ identity: "ann", psk: key }),
  checkServerIdentity: () => undefined
} as unknown as ClientOptions

/** A server with one link, to a peer that keeps what it has seen. */
const linked = (scheme: string, create: typeof createServer, options: ClientOptions) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(NodeActors.layer(create, { port: 0, host: "127.0.0.1" }), scope)
    const accepted = yield* Deferred.make<Link.Link>()
    yield* Context.get(context, LinkListener.LinkListener).listen({
      path: "/links",
      messageBytesMax: 1024,
      authorize: () => true,
      accept: (link) => {
        Deferred.unsafeDone(accepted, Exit.succeed(link))
        return { onMessage: () => {}, onClose: () => {} }
      }
    }).pipe(Scope.extend(scope))
    const seen: Array<string> = []
    const peer = yield* Effect.acquireRelease(
      Effect.async<WebSocket>((resume) => {
        const socket = new WebSocket(`${scheme}://127.0.0.1:${portOf(context)}/links`, options)
        socket.on("message", (data: Buffer) => seen.push(`${data.length} bytes`))
        socket.on("close", (code) => seen.push(`closed with ${code}`))
        socket.on("error", (error) => resume(Effect.die(error)))
        socket.on("open", () => resume(Effect.succeed(socket)))
      }),
      (socket) => Effect.sync(() => socket.terminate())
    )
    return { link: yield* Deferred.await(accepted), peer, scope, seen }
  })

for (const [scheme, create, options] of [["ws", createServer, {}], ["wss", secure, trusting]] as const) {
  it.scopedLive(
    `real sockets: who is closed as the server stops reads all that was sent to it, and why (${scheme})`,
    () =>
      Effect.gen(function*() {
        const { link, scope, seen } = yield* linked(scheme, create, options)
        link.send("x".repeat(1000))
        yield* Scope.close(scope, Exit.void)
        yield* until(() => seen.length === 2)
        assert.deepStrictEqual(seen, ["1000 bytes", "closed with 1001"])
      }),
    60_000
  )

  it.scopedLive(
    `real sockets: a server closes although the peer of a link reads nothing (${scheme})`,
    () =>
      Effect.gen(function*() {
        const { link, peer, scope } = yield* linked(scheme, create, options)
        peer.pause()
        for (let i = 0; i < 8; i++) link.send("x".repeat(1024 * 1024))
        assert.isAbove(link.buffered(), 0)
        const closed = yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "30 seconds")
        assert.strictEqual(closed._tag, "Some")
      }),
    60_000
  )
}

it.scopedLive(
  "real sockets: a request that nobody serves yet is answered with 503, and so ends",
  () =>
    Effect.gen(function*() {
      const { port, scope } = yield* listen
      for (const _ of [1, 2]) {
        const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/health`))
        assert.strictEqual(response.status, 503)
      }
      yield* Scope.close(scope, Exit.void)
    }),
  60_000
)
