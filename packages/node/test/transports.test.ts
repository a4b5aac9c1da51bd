import { HttpLayerRouter, HttpServer } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { ActorClient, type Connection, type ConnectionStatus } from "@troupe/client"
import { NodeActors, NodeWebSocketTransport } from "@troupe/node"
import { ActorHost, ActorServer, ActorStore } from "@troupe/server"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import * as TransportSuite from "@troupe/testing/TransportSuite"
import { Context, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { layerLog, Log } from "./utils/Log.ts"

// --- the suite -------------------------------------------------------------------------------------------------------

class Proxy extends Context.Tag("test/Proxy")<Proxy, TcpProxy.TcpProxy>() {}

const quiet = { disableListenLog: true, disableLogger: true }

/** The port an HTTP server was given. */
const portOf = Effect.map(HttpServer.HttpServer, ({ address }) => address._tag === "TcpAddress" ? address.port : 0)

/** A server on a free port, with a proxy before it, and the transport through the proxy. */
const throughProxy = Layer.unwrapScoped(Effect.gen(function*() {
  const proxy = yield* TcpProxy.make({ target: yield* portOf })
  return Layer.merge(
    Layer.succeed(Proxy, proxy),
    NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${proxy.port}/actors` })
  )
}))

TransportSuite.register("real sockets", {
  transport: throughProxy.pipe(
    Layer.provide(HttpLayerRouter.serve(ActorServer.layer({ actors: TransportSuite.actors }), quiet)),
    Layer.provide(NodeActors.layer(() => Http.createServer(), { port: 0, host: "127.0.0.1" }))
  ),
  cut: Effect.flatMap(Proxy, ({ cut }) => cut)
})

// --- what only sockets can do ----------------------------------------------------------------------------------------

type LogConnection = Connection.Connection<(typeof Log)["definition"]>

const until = ({ status }: Pick<LogConnection, "status">, is: (status: ConnectionStatus.ConnectionStatus) => boolean) =>
  Effect.flatMap(Stream.runHead(Stream.filter(status.changes, is)), (found) => Effect.orDie(found))

const isUp = ({ _tag }: ConnectionStatus.ConnectionStatus) => _tag === "Connected"
const isWaiting = ({ _tag }: ConnectionStatus.ConnectionStatus) => _tag === "Waiting"

/** A port that nobody listens on now. */
const freePort = Effect.async<number>((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const makeStore = Effect.map(Layer.build(ActorStore.layerMemory), (context) => Layer.succeedContext(context))

/** Serves the actors on a port until the scope closes. */
const serve = (
  port: number,
  store: Layer.Layer<ActorStore.ActorStore>,
  gateway: Partial<ActorServer.Options<readonly [typeof Log]>> = {}
) =>
  Layer.build(
    HttpLayerRouter.serve(ActorServer.layer({ drainTimeout: 0, ...gateway, actors: [Log] }), quiet).pipe(
      Layer.provide(layerLog),
      Layer.provide(ActorHost.layer()),
      Layer.provide(store),
      Layer.provide(NodeActors.layer(() => Http.createServer(), { port, host: "127.0.0.1" }))
    )
  )

const client = (port: number, options: ActorClient.Options = {}) =>
  Effect.map(
    Layer.build(
      ActorClient.layer({ schedule: Schedule.spaced("10 millis"), ...options }).pipe(
        Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` }))
      )
    ),
    (context) => Context.get(context, ActorClient.ActorClient)
  )

const closing = <A, E, R>(scoped: Effect.Effect<A, E, R | Scope.Scope>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Scope.extend(scoped, scope)
    return Scope.close(scope, Exit.void)
  })

describe("real sockets, out of order", () => {
  it.scopedLive("C1 a server that comes up later is found, and connect settles then", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const store = yield* makeStore
      for (const round of [1, 2]) {
        const mine = yield* client(port)
        const connecting = yield* Effect.fork(mine.connect(Log, "a"))
        const waiting = yield* until(mine, (status) => status._tag === "Waiting" && status.attempt >= 3)
        assert.strictEqual(waiting._tag === "Waiting" && waiting.cause._tag, "DialFailed")
        const stop = yield* closing(serve(port, store))
        const log = yield* Fiber.join(connecting)
        assert.strictEqual(yield* log.rpc.Append({ entry: `${round}` }), round)
        yield* stop
      }
    }))

  it.scopedLive("C2 C4 an outage of the server: calls wait, take effect once in order, and the status says so", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const store = yield* makeStore
      let stop = yield* closing(serve(port, store))
      const log = yield* (yield* client(port)).connect(Log, "a")
      const expected: Array<string> = []
      for (const round of ["x", "y", "z"]) {
        expected.push(`${round} before`)
        yield* log.rpc.Append({ entry: `${round} before` })
        yield* stop
        yield* until(log, isWaiting)
        const calls = yield* Effect.forEach(
          ["1", "2", "3"],
          (entry) => Effect.fork(log.rpc.Append({ entry: `${round} ${entry}` }))
        )
        expected.push(`${round} 1`, `${round} 2`, `${round} 3`)
        yield* until(log, (status) => status._tag === "Waiting" && status.cause._tag === "DialFailed")
        stop = yield* closing(serve(port, store))
        for (const call of calls) yield* Fiber.join(call)
        assert.deepStrictEqual(yield* log.rpc.Entries(), expected)
        assert.deepStrictEqual(yield* log.status.get, { _tag: "Connected", resumed: false } as never)
      }
    }))

  it.scopedLive("C3 a flapping server is dialled ever more seldom", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* serve(port, yield* makeStore)
      const proxy = yield* TcpProxy.make({ target: port })
      const mine = yield* client(proxy.port, { schedule: Schedule.exponential("20 millis", 2) })
      const log = yield* mine.connect(Log, "a")
      const before = yield* proxy.accepted
      yield* proxy.cutRandomly({ millisMax: 5 })
      // 20 + 40 + ... + 20 * 2^5 ms have to pass before the seventh attempt
      yield* until(mine, (status) => status._tag === "Waiting" && status.attempt >= 6)
      const accepted = (yield* proxy.accepted) - before
      assert.isAtMost(accepted, 6)
      yield* proxy.cutRandomly(undefined)
      yield* log.rpc.Append({ entry: "1" })
    }))

  it.scopedLive("C10 the status 503 or 502 instead of a link, and a reset, are retried", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const store = yield* makeStore
      const answers = [503, 502, 0, 503]
      let upgrades = 0
      const waiting = Http.createServer()
      waiting.on("upgrade", (_, socket) => {
        const status = answers[upgrades++ % answers.length]
        if (status === 0) socket.destroy()
        else socket.end(`HTTP/1.1 ${status} Not Now\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      })
      yield* Effect.async<void>((resume) => {
        waiting.listen(port, "127.0.0.1", () => resume(Effect.void))
      })
      const mine = yield* client(port)
      const connecting = yield* Effect.fork(mine.connect(Log, "a"))
      yield* until(mine, (status) => status._tag === "Waiting" && status.attempt >= 2 * answers.length)
      assert.isAtLeast(upgrades, 2 * answers.length)
      assert.isNull(connecting.unsafePoll())
      yield* Effect.async<void>((resume) => {
        waiting.close(() => resume(Effect.void))
        waiting.closeAllConnections()
      })
      yield* serve(port, store)
      const log = yield* Fiber.join(connecting)
      assert.strictEqual(yield* log.rpc.Append({ entry: "1" }), 1)
    }))

  it.scopedLive("C10 a server that goes away is come back to after the delay it asked for", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const store = yield* makeStore
      let stop = yield* closing(serve(port, store, { retryAfter: "100 millis" }))
      const log = yield* (yield* client(port)).connect(Log, "a")
      for (const round of [1, 2]) {
        const began = Date.now()
        const stopping = yield* Effect.fork(stop)
        const waiting = yield* until(log, isWaiting)
        assert.strictEqual(waiting._tag === "Waiting" && waiting.cause._tag, "GoAway")
        yield* Fiber.join(stopping)
        stop = yield* closing(serve(port, store, { retryAfter: "100 millis" }))
        yield* until(log, isUp)
        assert.isAtLeast(Date.now() - began, 99)
        assert.strictEqual(yield* log.rpc.Append({ entry: `${round}` }), round)
      }
    }))

  it.scopedLive("C13 a dial that hangs is abandoned, whether the port is silent or the upgrade is never answered", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* serve(port, yield* makeStore)
      const proxy = yield* TcpProxy.make({ target: port })
      const mine = yield* client(proxy.port, { dialTimeout: "80 millis" })
      yield* proxy.setSilent(true)
      const connecting = yield* Effect.fork(mine.connect(Log, "a"))
      for (const attempt of [1, 2, 3]) {
        const waiting = yield* until(mine, (status) => status._tag === "Waiting" && status.attempt === attempt)
        assert.strictEqual(waiting._tag === "Waiting" && waiting.cause._tag, "DialFailed")
      }
      yield* proxy.setSilent(false)
      const log = yield* Fiber.join(connecting)
      yield* log.rpc.Append({ entry: "1" })
      // what was abandoned has been closed
      yield* Effect.repeat(proxy.connections, { until: (count) => count === 1, schedule: Schedule.spaced("5 millis") })
    }))

  it.scopedLive("S3 C9 a half-open link: the client resumes on another one while the old still looks alive to the server", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      // the server does not find out in the time of this test, the client does
      yield* serve(port, yield* makeStore, { heartbeat: "40 millis", silence: "120 millis" })
      const direct = yield* (yield* client(port)).connect(Log, "a")
      const proxy = yield* TcpProxy.make({ target: port })
      const log = yield* (yield* client(proxy.port)).connect(Log, "a")
      const events = yield* log.events("appended")
      const { id } = yield* log.rpc.WhoAmI()
      const expected: Array<string> = []
      for (const round of ["x", "y", "z"]) {
        assert.isAtLeast(yield* proxy.blackHole(), 1)
        const call = yield* Effect.fork(log.rpc.Append({ entry: `${round} in the hole` }))
        yield* direct.rpc.Append({ entry: `${round} by another` })
        expected.push(`${round} by another`, `${round} in the hole`)
        yield* until(log, isWaiting)
        yield* Fiber.join(call)
        assert.deepStrictEqual(yield* log.status.get, { _tag: "Connected", resumed: true } as never)
        assert.strictEqual((yield* log.rpc.WhoAmI()).id, id)
      }
      assert.deepStrictEqual(yield* log.rpc.Entries(), expected)
      const heard = yield* Stream.runCollect(Stream.take(events, expected.length))
      assert.deepStrictEqual(Array.from(heard, (event) => "entry" in event ? event.entry : "gap"), expected)
    }))

  it.scopedLive("C7 answers that are lost after the call was heard come after the resume, and nothing runs twice", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* serve(port, yield* makeStore)
      const proxy = yield* TcpProxy.make({ target: port })
      const log = yield* (yield* client(proxy.port)).connect(Log, "a")
      const direct = yield* (yield* client(port)).connect(Log, "a")
      const events = yield* direct.events("appended")
      for (const count of [1, 2, 3]) {
        yield* proxy.blackHole("toClient")
        const call = yield* Effect.fork(log.rpc.Append({ entry: `${count}` }))
        // it has run, and its answer is lost
        yield* Stream.runHead(Stream.take(events, 1))
        yield* proxy.cut
        assert.strictEqual(yield* Fiber.join(call), count)
      }
      assert.deepStrictEqual(yield* log.rpc.Entries(), ["1", "2", "3"])
    }))

  it.scopedLive("C5 X1 a call that is too large for a message fails alone, whatever its alphabet", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* serve(port, yield* makeStore, { messageBytesMax: 64 * 1024 })
      const log = yield* (yield* client(port)).connect(Log, "a")
      for (const [i, letter] of ["x", "€"].entries()) {
        const error = yield* Effect.flip(log.rpc.Append({ entry: letter.repeat(40_000 * 2 ** (1 - i)) }))
        assert.strictEqual(error.sent, "no")
        assert.strictEqual(yield* log.rpc.Append({ entry: letter.repeat(15_000) }), i + 1)
        assert.strictEqual((yield* log.status.get)._tag, "Connected")
      }
    }))
})
