/** One Node server for links and for everything else. */
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import type { Behavior, Link } from "@troupe/contract"
import { NodeActors } from "@troupe/node"
import { LinkListener } from "@troupe/server"
import { Cause, Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { type ClientOptions, WebSocket } from "ws"
import { until } from "./utils/until.ts"

/** What one side of a link has seen. */
class Side implements Link.LinkHandler {
  readonly texts: Array<string> = []
  readonly closes: Array<Link.CloseEvent> = []
  readonly onMessage = (text: string) => void this.texts.push(text)
  readonly onClose = (event: Link.CloseEvent) => void this.closes.push(event)
}

interface Accepted extends Side {
  readonly link: Link.Link
  readonly request: Behavior.ConnectRequest
}

const routes = HttpRouter.empty.pipe(
  HttpRouter.get("/health", HttpServerResponse.text("ok")),
  HttpRouter.get(
    "/echo",
    Effect.gen(function*() {
      const socket = yield* HttpServerRequest.upgrade
      const write = yield* socket.writer
      yield* socket.runRaw((data) => write(`platform ${data}`))
      return HttpServerResponse.empty()
    })
  ),
  HttpRouter.get("/links", HttpServerResponse.text("an ordinary request"))
)

const listenOn = { port: 0, host: "127.0.0.1" }

/** A server, with other routes unless `bare`. */
const serve = ({ bare = false, server = Http.createServer() } = {}) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(NodeActors.layer(() => server, listenOn))
    const { address } = Context.get(context, HttpServer.HttpServer)
    const port = address._tag === "TcpAddress" ? address.port : 0
    const listener = Context.get(context, LinkListener.LinkListener)
    if (!bare) yield* Effect.provide(HttpServer.serveEffect(routes), context)
    const accepted: Array<Accepted> = []
    const listen = (options: Partial<LinkListener.LinkOptions> = {}) =>
      listener.listen({
        path: "/links",
        messageBytesMax: 1024,
        authorize: () => true,
        accept: (link, request) => {
          const side = Object.assign(new Side(), { link, request })
          accepted.push(side)
          return side
        },
        ...options
      })
    return { accepted, listen, port, server }
  })

/** A client that is no link of ours. */
const dial = (port: number, path: string, options: ClientOptions = {}) =>
  Effect.acquireRelease(
    Effect.async<WebSocket & { readonly side: Side }, string>((resume) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options)
      const side = new Side()
      socket.on("message", (data) => side.onMessage(data.toString()))
      socket.on("close", (code, reason) => side.onClose({ code, reason: reason.toString() }))
      socket.on("error", (error) => resume(Effect.fail(error.message)))
      socket.on("open", () => resume(Effect.succeed(Object.assign(socket, { side }))))
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

const get = (port: number, path: string) =>
  Effect.promise(() => fetch(`http://127.0.0.1:${port}${path}`).then((response) => response.text()))

/** Sends bytes as they are, and returns the answer when the connection has ended. */
const raw = (port: number, text: string) =>
  Effect.async<string>((resume) => {
    let answer = ""
    const socket = Net.connect(port, "127.0.0.1", () => socket.write(text))
    socket.on("data", (chunk) => (answer += chunk.toString()))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(answer)))
  })

const upgradeOf = (path: string, ...headers: ReadonlyArray<string>) =>
  [`GET ${path} HTTP/1.1`, "Host: here", "Connection: Upgrade", "Upgrade: websocket", ...headers, "", ""].join("\r\n")

describe("routes", () => {
  it.scopedLive("links, other upgrades and other requests do not meet", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen()
      const link = yield* dial(port, "/links?a=1", { headers: { origin: "http://here", "x-a": "1" } })
      const platform = yield* dial(port, "/echo")
      link.send("one")
      platform.send("two")
      yield* until(() => accepted[0]?.texts.length === 1 && platform.side.texts.length === 1)
      assert.deepStrictEqual(accepted[0]!.texts, ["one"])
      assert.deepStrictEqual(platform.side.texts, ["platform two"])
      assert.strictEqual(yield* get(port, "/health"), "ok")
      assert.strictEqual(yield* get(port, "/links"), "an ordinary request")
      assert.strictEqual(accepted.length, 1)
      const { request } = accepted[0]!
      assert.strictEqual(request.url, "/links?a=1")
      assert.strictEqual(request.remoteAddress, "127.0.0.1")
      assert.deepInclude(request.headers, { origin: "http://here", "x-a": "1" })
    }))

  it.scopedLive("several listeners have a path each, for as long as their scopes", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      const scope = yield* Scope.make()
      yield* Scope.extend(listen({ path: "/a" }), scope)
      yield* listen({ path: "/b" })
      const a = yield* dial(port, "/a")
      yield* dial(port, "/b")
      assert.deepStrictEqual(accepted.map(({ request }) => request.url), ["/a", "/b"])
      assert.include(
        Cause.pretty((yield* Effect.flip(Effect.sandbox(Effect.scoped(listen({ path: "/b" }))))) as Cause.Cause<never>),
        "/b is served already"
      )
      yield* Scope.close(scope, Exit.void)
      // the link is its gateway's, and stands
      a.send("still here")
      yield* until(() => accepted[0]!.texts.length === 1)
      assert.match(yield* Effect.flip(dial(port, "/a")), /503/)
      yield* listen({ path: "/a" })
      yield* dial(port, "/a")
      assert.strictEqual(accepted.length, 3)
    }))

  it.scopedLive("without other routes, other upgrades are answered too", () =>
    Effect.gen(function*() {
      const { listen, port } = yield* serve({ bare: true })
      assert.match(yield* Effect.flip(dial(port, "/links")), /503/)
      yield* listen()
      yield* dial(port, "/links")
      assert.match(yield* Effect.flip(dial(port, "/other")), /404/)
    }))

  it.scopedLive("a listener of somebody else on the same server sees what is not listened to", () =>
    Effect.gen(function*() {
      const server = Http.createServer()
      const seen: Array<unknown> = []
      server.on("upgrade", (request, socket) => {
        seen.push(request.url)
        socket.destroy()
      })
      const { listen, port } = yield* serve({ bare: true, server })
      yield* listen()
      yield* dial(port, "/links")
      yield* Effect.flip(dial(port, "/other"))
      assert.deepStrictEqual(seen, ["/other"])
    }))
})

describe("a request to upgrade", () => {
  it.scopedLive("is answered with 403 if it is not authorized", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen({ authorize: ({ headers }) => headers.origin === "http://here" })
      assert.match(yield* Effect.flip(dial(port, "/links")), /403/)
      assert.match(yield* raw(port, upgradeOf("/links", "Origin: http://there")), /^HTTP\/1.1 403 Forbidden\r\n/)
      yield* dial(port, "/links", { headers: { origin: "http://here" } })
      assert.strictEqual(accepted.length, 1)
    }))

  it.scopedLive("is answered with 500 if nobody can say whether it is authorized, and that is logged", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause }) => void logged.push(Cause.pretty(cause)))
      const { listen, port } = yield* Effect.provide(serve(), Logger.replace(Logger.defaultLogger, logger))
      yield* listen({
        authorize: () => {
          throw new Error("no list of origins")
        }
      })
      assert.match(yield* Effect.flip(dial(port, "/links")), /500/)
      assert.match(logged.join(), /no list of origins/)
      assert.strictEqual(yield* get(port, "/health"), "ok")
    }))

  it.scopedLive("that is malformed, or goes away in the middle, harms nobody", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen()
      const link = yield* dial(port, "/links")
      assert.match(yield* raw(port, upgradeOf("/links")), /^HTTP\/1.1 400/)
      assert.match(
        yield* raw(port, upgradeOf("/links", "Sec-WebSocket-Key: no", "Sec-WebSocket-Version: 1")),
        /^HTTP\/1.1 4/
      )
      for (let i = 0; i < 20; i++) {
        const socket = Net.connect(port, "127.0.0.1")
        socket.on("error", () => {})
        socket.write(upgradeOf("/links", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        setImmediate(() => socket.resetAndDestroy())
      }
      const last = yield* dial(port, "/links")
      last.send("after")
      link.send("still here")
      yield* until(() => accepted[0]!.texts.length === 1 && accepted[accepted.length - 1]!.texts.length === 1)
      yield* until(() => accepted.slice(1, -1).every(({ closes }) => closes.length === 1))
      assert.strictEqual(yield* get(port, "/health"), "ok")
    }))
})

describe("a link", () => {
  it.scopedLive("ends with 1009 when a message is too long, and others notice nothing", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen({ messageBytesMax: 1024 })
      const [greedy, modest] = [yield* dial(port, "/links"), yield* dial(port, "/links")]
      greedy.send("é".repeat(512))
      greedy.send("é".repeat(512) + "x")
      greedy.send("late")
      modest.send("x")
      yield* until(() => greedy.side.closes.length === 1 && accepted[0]!.closes.length === 1)
      assert.strictEqual(greedy.side.closes[0]!.code, 1009)
      assert.strictEqual(accepted[0]!.closes[0]!.code, 1009)
      assert.deepStrictEqual(accepted[0]!.texts, ["é".repeat(512)])
      modest.send("y")
      yield* until(() => accepted[1]!.texts.length === 2)
    }))

  for (const messageBytesMax of [0, -1, NaN]) {
    it.scopedLive(`whose messages may have ${messageBytesMax} bytes reads no longer ones than of one`, () =>
      Effect.gen(function*() {
        const { accepted, listen, port } = yield* serve()
        yield* listen({ messageBytesMax })
        yield* listen({ path: "/later" })
        for (const path of ["/links", "/later"]) {
          const socket = yield* dial(port, path)
          const side = accepted[accepted.length - 1]!
          if (path === "/later") side.link.allow!(messageBytesMax)
          socket.send("xy")
          yield* until(() => socket.side.closes.length === 1 && side.closes.length === 1)
          assert.strictEqual(socket.side.closes[0]!.code, 1009)
          assert.deepStrictEqual(side.texts, [])
        }
      }))
  }

  it.scopedLive("ends with 1003 when a message is binary", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen()
      const socket = yield* dial(port, "/links")
      socket.send("text")
      socket.send(new Uint8Array(2))
      socket.send("late")
      yield* until(() => socket.side.closes.length === 1 && accepted[0]!.closes.length === 1)
      assert.deepStrictEqual(socket.side.closes, [{ code: 1003, reason: "links carry text" }])
      assert.deepStrictEqual(accepted[0]!.closes.length, 1)
      assert.deepStrictEqual(accepted[0]!.texts, ["text"])
    }))

  it.scopedLive("ends when its peer breaks the protocol of WebSockets", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen()
      for (const bytes of [[0x81, 0x01, 0x61], [0xff, 0xff], [0x81, 0x81, 0, 0, 0, 0, 0xff]]) {
        const socket = yield* dial(port, "/links")
        const { _socket } = socket as unknown as { readonly _socket: Net.Socket }
        _socket.write(Uint8Array.from(bytes))
        const side = accepted[accepted.length - 1]!
        yield* until(() => side.closes.length === 1)
        assert.deepStrictEqual(side.texts, [])
      }
      assert.strictEqual(yield* get(port, "/health"), "ok")
    }))

  it.scopedLive("closes with any code and reason without throwing, and once", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen()
      for (const [code, seen] of [[1001, 1001], [1008, 1008], [1006, 1011], [0, 1011], [4000, 4000]] as const) {
        const socket = yield* dial(port, "/links")
        const { closes, link } = accepted[accepted.length - 1]!
        link.close(code, "é".repeat(200))
        link.close(1000, "again")
        link.send("late")
        yield* until(() => closes.length === 1 && socket.side.closes.length === 1)
        link.send("later")
        link.close(1000, "again")
        assert.deepStrictEqual(socket.side.closes, [{ code: seen, reason: "é".repeat(61) }])
        assert.deepStrictEqual(socket.side.texts, [])
      }
    }))

  it.scopedLive("whose peer does not answer a close is cut soon", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen()
      const socket = yield* dial(port, "/links")
      socket.pause()
      const { closes, link } = accepted[0]!
      link.close(1000, "")
      yield* until(() => closes.length === 1)
      assert.strictEqual(closes[0]!.code, 1006)
    }))

  it.scopedLive("knows how much its peer has not read yet", () =>
    Effect.gen(function*() {
      const { accepted, listen, port } = yield* serve()
      yield* listen()
      const socket = yield* dial(port, "/links")
      socket.pause()
      const { link } = accepted[0]!
      assert.strictEqual(link.buffered(), 0)
      for (let i = 0; i < 64; i++) link.send("x".repeat(1024 * 1024))
      assert.isAbove(link.buffered(), 32 * 1024 * 1024)
      socket.resume()
      yield* until(() => link.buffered() === 0)
    }))

  it.scopedLive("whose handler dies is closed with 1011 and logged, and others notice nothing", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause }) => void logged.push(Cause.pretty(cause)))
      const { accepted, listen, port } = yield* Effect.provide(serve(), Logger.replace(Logger.defaultLogger, logger))
      yield* listen()
      const [one, two] = [yield* dial(port, "/links"), yield* dial(port, "/links")]
      Object.assign(accepted[0]!, {
        onMessage: () => {
          throw new Error("a defect")
        }
      })
      one.send("boom")
      yield* until(() => one.side.closes.length === 1)
      assert.strictEqual(one.side.closes[0]!.code, 1011)
      assert.match(logged.join(), /a defect/)
      two.send("x")
      yield* until(() => accepted[1]!.texts.length === 1)
    }))

  it.scopedLive("that nobody takes is closed with 1011", () =>
    Effect.gen(function*() {
      const { listen, port } = yield* Effect.provide(serve(), Logger.remove(Logger.defaultLogger))
      yield* listen({
        accept: () => {
          throw new Error("a defect")
        }
      })
      const socket = yield* dial(port, "/links")
      yield* until(() => socket.side.closes.length === 1)
      assert.strictEqual(socket.side.closes[0]!.code, 1011)
    }))
})

describe("the server", () => {
  it.scopedLive("says which port is busy", () =>
    Effect.gen(function*() {
      const { port } = yield* serve()
      const exit = yield* Effect.exit(
        Effect.scoped(Layer.build(NodeActors.layer(() => Http.createServer(), { port, host: "127.0.0.1" })))
      )
      const error = yield* Effect.flip(exit)
      assert.strictEqual(error._tag, "ServeError")
      const message = `the HTTP server cannot listen: listen EADDRINUSE: address already in use 127.0.0.1:${port}`
      assert.strictEqual(error.message, message)
      assert.include(Cause.pretty(Cause.fail(error)), `ServeError: ${message}`)
    }))

  for (const options of [{ port: 70_000 }, { port: -1 }, { port: NaN }, { path: "" }, {}]) {
    it.scopedLive(`says that nobody can listen on ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(NodeActors.layer(Http.createServer, options))))
        assert.strictEqual(error._tag, "ServeError")
        assert.match(error.message, /^the HTTP server cannot listen: /)
      }))
  }

  it.scopedLive("says that it listens already, and goes on", () =>
    Effect.gen(function*() {
      const { port, server } = yield* serve()
      const error = yield* Effect.flip(Effect.scoped(Layer.build(NodeActors.layer(() => server, listenOn))))
      assert.strictEqual(error._tag, "ServeError")
      assert.strictEqual(error.message, "the HTTP server cannot listen: it listens already")
      assert.strictEqual(yield* get(port, "/health"), "ok")
    }))

  it.scopedLive("stops with its layer, also when links are left", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { accepted, listen, port, server } = yield* Scope.extend(serve(), scope)
      yield* Scope.extend(listen(), scope)
      const socket = yield* dial(port, "/links")
      yield* Scope.close(scope, Exit.void)
      yield* until(() => socket.side.closes.length === 1)
      assert.strictEqual(accepted[0]!.closes.length, 1)
      assert.isFalse(server.listening)
      assert.strictEqual(server.listenerCount("upgrade"), 0)
      const connections = yield* Effect.async<number>((resume) => {
        server.getConnections((_, count) => resume(Effect.succeed(count)))
      })
      assert.strictEqual(connections, 0)
    }))

  it.scopedLive("lives on when accepting fails", () =>
    Effect.gen(function*() {
      const { port, server } = yield* Effect.provide(serve(), Logger.remove(Logger.defaultLogger))
      server.emit("error", new Error("accept EMFILE"))
      assert.strictEqual(yield* get(port, "/health"), "ok")
    }))
})
