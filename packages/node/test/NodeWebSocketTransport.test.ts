/** Real sockets keep to the laws of transports, and what only sockets can do. */
import { HttpServer } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import type { WebSocketLink } from "@troupe/contract"
import { Transport } from "@troupe/contract"
import { NodeActors, NodeWebSocketTransport } from "@troupe/node"
import { LinkListener } from "@troupe/server"
import * as TransportLaws from "@troupe/testing/TransportLaws"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { createHash } from "node:crypto"
import * as Http from "node:http"
import * as Net from "node:net"
import { WebSocketServer } from "ws"
import { until } from "./utils/until.ts"

const transportTo = (url: WebSocketLink.Options["url"]) =>
  Effect.map(
    Layer.build(NodeWebSocketTransport.layer({ url })),
    (context) => Context.get(context, Transport.Transport)
  )

/** A server on a free port. */
const serve = Effect.gen(function*() {
  const context = yield* Layer.build(NodeActors.layer(() => Http.createServer(), { port: 0, host: "127.0.0.1" }))
  const { address } = Context.get(context, HttpServer.HttpServer)
  return {
    port: address._tag === "TcpAddress" ? address.port : 0,
    listener: Context.get(context, LinkListener.LinkListener)
  }
})

const harness = Effect.gen(function*() {
  const { listener, port } = yield* serve
  return {
    transport: yield* transportTo(`http://127.0.0.1:${port}/links`),
    listen: (accept: LinkListener.LinkOptions["accept"]) =>
      listener.listen({ path: "/links", messageBytesMax: 8 * 1024 * 1024, authorize: () => true, accept })
  }
})

/** A port that refuses. */
const closedPort = Effect.async<number>((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

TransportLaws.register("NodeWebSocketTransport.layer and NodeActors.layer", {
  make: harness,
  unreachable: Effect.flatMap(closedPort, (port) => transportTo(`ws://127.0.0.1:${port}/links`))
})

const deaf = { onMessage: () => {}, onClose: () => {} }

/** The connections of a TCP server that never says a word, and what they said. */
const silent = Effect.gen(function*() {
  const sockets = new Map<Net.Socket, string>()
  const server = yield* Effect.acquireRelease(
    Effect.async<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        sockets.set(socket, "")
        socket.on("error", () => {})
        socket.on("data", (chunk) => sockets.set(socket, sockets.get(socket) + chunk.toString()))
        socket.on("close", () => sockets.delete(socket))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  return { port: (server.address() as Net.AddressInfo).port, sockets }
})

describe("a dial", () => {
  it.scoped("fails with what the system says where nobody listens", () =>
    Effect.gen(function*() {
      const transport = yield* transportTo(`ws://127.0.0.1:${yield* closedPort}/links`)
      assert.match((yield* Effect.flip(transport.dial(deaf))).message, /refused/i)
    }))

  it.scoped("fails with what the server answered instead of a link", () =>
    Effect.gen(function*() {
      const { listener, port } = yield* serve
      const dial = Effect.flatMap(
        transportTo(`http://ann:secret@127.0.0.1:${port}/links?token=secret`),
        (transport) => Effect.flip(transport.dial(deaf))
      )
      const { message } = yield* dial
      assert.strictEqual(message, `ws://127.0.0.1:${port}/links cannot be reached: Unexpected server response: 503`)
      yield* listener.listen({ path: "/links", messageBytesMax: 1024, authorize: () => false, accept: () => deaf })
      assert.match((yield* dial).message, /403/)
    }))

  it.scoped("fails if its URL is none, or there is no constructor", () =>
    Effect.gen(function*() {
      const broken = () => {
        throw new Error("no configuration")
      }
      for (
        const [url, why] of [["/actors", /Invalid URL/], ["nowhere:", /protocol/], [
          broken,
          /no configuration/
        ]] as const
      ) {
        const error = yield* Effect.flip((yield* transportTo(url)).dial(deaf))
        assert.instanceOf(error, Transport.DialError)
        assert.match(error.message, why)
      }
    }))

  it.scoped("asks for its URL each time", () =>
    Effect.gen(function*() {
      const { listener, port } = yield* serve
      const urls: Array<string> = []
      yield* listener.listen({
        path: "/links",
        messageBytesMax: 1024,
        authorize: () => true,
        accept: (_, { url }) => {
          urls.push(url)
          return deaf
        }
      })
      let n = 0
      const transport = yield* transportTo(() => `ws://127.0.0.1:${port}/links?${++n}`)
      yield* transport.dial(deaf)
      yield* transport.dial(deaf)
      assert.deepStrictEqual(urls, ["/links?1", "/links?2"])
    }))

  it.scopedLive("that is interrupted, or whose scope ends, closes its socket", () =>
    Effect.gen(function*() {
      const { port, sockets } = yield* silent
      const transport = yield* transportTo(`ws://127.0.0.1:${port}`)
      const scope = yield* Scope.make()
      const dial = yield* Effect.fork(Scope.extend(transport.dial(deaf), scope))
      yield* until(() => sockets.size === 1)
      yield* dial.interruptAsFork(dial.id())
      yield* dial.await
      // before its scope ends
      yield* until(() => sockets.size === 0)
      yield* Scope.close(scope, Exit.void)
    }))

  it.scopedLive("ends with a link whose socket goes when the peer does not answer its close", () =>
    Effect.gen(function*() {
      const { port, sockets } = yield* silent
      // a peer that upgrades by hand, and then says nothing more
      const scope = yield* Scope.make()
      const dial = yield* Effect.fork(
        Effect.flatMap(transportTo(`ws://127.0.0.1:${port}`), (transport) => Scope.extend(transport.dial(deaf), scope))
      )
      const keyOf = (head: string | undefined) => /sec-websocket-key: (.*)\r\n[^]*\r\n\r\n/i.exec(head ?? "")?.[1]
      yield* until(() => keyOf([...sockets.values()][0]) !== undefined)
      const [[socket, head]] = [...sockets] as [[Net.Socket, string]]
      const accept = createHash("sha1").update(`${keyOf(head)}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
      )
      yield* dial.await
      yield* Scope.close(scope, Exit.void)
      yield* until(() => sockets.size === 0)
    }))

  it.scopedLive("ends with a link that is closed by a binary message", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<WebSocketServer>((resolve) => {
            const server: WebSocketServer = new WebSocketServer({ port: 0, host: "127.0.0.1" }, () => resolve(server))
          })
        ),
        (server) => Effect.promise(() => new Promise((resolve) => server.close(resolve)))
      )
      server.on("connection", (socket) => {
        socket.send("before")
        // what no link of ours would do
        socket.send(new Uint8Array(3))
        socket.send("after")
      })
      const heard: Array<unknown> = []
      const transport = yield* transportTo(`ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}`)
      yield* transport.dial({ onMessage: (text) => heard.push(text), onClose: (event) => heard.push(event) })
      yield* until(() => heard.length === 2)
      assert.deepStrictEqual(heard, ["before", { code: 1000, reason: "links carry text" }])
    }))
})
