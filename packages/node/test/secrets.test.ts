/** A run over real sockets and real HTTP, exported to a collector: no secret of it arrives there. */
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, ConnectionError, HttpRpc } from "@troupe/contract"
import { NodeActors, SqliteStore } from "@troupe/node"
import { ActorHost, ActorHttp, ActorServer } from "@troupe/server"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Exit, Fiber, Layer, Logger, LogLevel, Ref, Schema, Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { WebSocket } from "ws"
import * as Collector from "./utils/Collector.ts"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import { client } from "./utils/LogServer.ts"

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}

class Safe extends Actor.Tag<Safe>()("SocketSafe", {
  params: Schema.Struct({ token: Schema.String.pipe(Schema.minLength(20)) }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Put", { payload: { text: Schema.String }, success: Schema.Int }),
    Rpc.make("Pin", { payload: { pin: Schema.String.pipe(Schema.minLength(99)) } }),
    Rpc.make("Die", { payload: { text: Schema.String } })
  )
}) {}

/** The same contract, as somebody sees it who does not know its rules. */
class Loose extends Actor.Tag<Loose>()("SocketSafe", {
  params: Schema.Unknown,
  rpcs: RpcGroup.make(
    Rpc.make("Put", { payload: { text: Schema.String }, success: Schema.Int }),
    Rpc.make("Pin", { payload: { pin: Schema.Unknown } }),
    Rpc.make("Die", { payload: { text: Schema.String } })
  )
}) {}

const secret = (name: string) => `secret-${name}-hush`

const params = { token: secret("token-of-ann") }
const badParams = [{ token: secret("token-of-nobody") }, { token: "secret-hush" }, secret("params"), {
  token: { text: secret("object") }
}]

const layerSafe = Safe.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (safe) =>
    Effect.succeed(safe.behavior({
      onBeforeConnect: ({ params: { token } }) => token === params.token ? Effect.void : new Denied(),
      rpcs: {
        Put: () => Ref.updateAndGet(safe.state, (count) => count + 1),
        Pin: () => Effect.void,
        Die: () => Effect.dieMessage("as it was asked to")
      }
    }))
)

/** A server with all that it logs and traces by default. */
const serve = (port: number, filename: string) =>
  Layer.build(
    HttpLayerRouter.serve(
      Layer.merge(ActorServer.layer({ actors: [Safe] }), ActorHttp.layer({ actors: [Safe], bodyBytesMax: 4096 }))
    ).pipe(
      Layer.provide(layerSafe),
      Layer.provide(ActorHost.layer({ resumeWindow: 200 })),
      Layer.provide(SqliteStore.layer({ filename })),
      Layer.provide(NodeActors.layer(() => Http.createServer(), { port, host: "127.0.0.1" }))
    )
  )

/** What is made over a connection, with drops in between. */
const overSockets = (port: number) =>
  Effect.gen(function*() {
    const proxy = yield* TcpProxy.make({ target: port })
    const { connect } = yield* client(proxy.port)
    const safe = yield* connect(Safe, "a", { params })
    yield* safe.rpc.Put({ text: secret("text") })
    yield* Effect.exit(safe.rpc.Die({ text: secret("die") }))
    for (const params of badParams) assert.isTrue(Exit.isFailure(yield* Effect.exit(connect(Loose, "a", { params }))))
    const loose = yield* connect(Loose, "a", { params })
    assert.instanceOf(yield* Effect.flip(loose.rpc.Pin({ pin: secret("pin") })), ConnectionError.CallRejected)
    yield* proxy.cut
    yield* safe.rpc.Put({ text: secret("after a drop") })
    yield* proxy.setRefusing(true)
    yield* proxy.cut
    const offline = yield* Effect.fork(safe.rpc.Put({ text: secret("offline") }))
    yield* Effect.sleep(400)
    yield* proxy.setRefusing(false)
    yield* Fiber.join(offline)
  })

/** What is made over HTTP, by clients that know nothing of us. */
const overHttp = (port: number) =>
  Effect.forEach(
    [RpcSerialization.layerJson, RpcSerialization.layerNdjson, RpcSerialization.layerMsgPack],
    (format) =>
      Effect.gen(function*() {
        const of = (header: string) =>
          Effect.provide(
            RpcClient.make(Loose.httpRpcs),
            RpcClient.layerProtocolHttp({
              url: `http://127.0.0.1:${port}/actors${HttpRpc.pathOf(Safe, "a")}`,
              transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader(HttpRpc.paramsHeader, header))
            }).pipe(Layer.provide(format), Layer.provide(FetchHttpClient.layer))
          )
        const ann = yield* of(JSON.stringify(params))
        yield* ann.Put({ text: secret("text") })
        yield* Effect.flip(ann.Pin({ pin: secret("pin") }))
        yield* Effect.exit(ann.Die({ text: secret("die") }))
        yield* Effect.exit(ann.Put({ text: secret("much").repeat(1000) }))
        for (const header of [...badParams.map((bad) => JSON.stringify(bad)), `{"token":"secret-hush`]) {
          assert.isTrue(Exit.isFailure(yield* Effect.exit((yield* of(header)).Put({ text: secret("text") }))))
        }
        const { contentType } = yield* Effect.provide(RpcSerialization.RpcSerialization, format)
        const response = yield* Effect.promise(() =>
          fetch(`http://127.0.0.1:${port}/actors/SocketSafe/a/rpc`, {
            method: "POST",
            headers: { "content-type": contentType, "troupe-params": JSON.stringify(params) },
            body: `[{"_tag":"Request","id":"${secret("id")}`
          })
        )
        assert.strictEqual(response.status, 400)
      })
  )

/** Who speaks neither. */
const overBoth = (port: number) =>
  Effect.promise(() =>
    new Promise<void>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/actors`)
      socket.on("open", () => socket.send(secret("text that is no frame")))
      socket.on("close", () => {
        const raw = Net.connect(port, "127.0.0.1", () => raw.end(`${secret("request")}\r\n\r\n`))
        raw.resume().on("close", () => resolve())
      })
    })
  )

it.scopedLive("X5 over sockets and HTTP too, with everything that a server exports", () =>
  Effect.gen(function*() {
    const { received, url } = yield* Collector.make
    const filename = `${yield* Directory.temporary}/store.db`
    const port = yield* freePort
    // all of it, and none of it here
    const verbose = Layer.merge(Logger.minimumLogLevel(LogLevel.All), Logger.remove(Logger.defaultLogger))
    const clients = yield* Scope.make()
    for (const _ of [1, 2]) {
      const server = yield* Scope.make()
      const exporter = Layer.provideMerge(verbose, Collector.layerOtlp(url, "server"))
      yield* Collector.exporting(exporter, server, Effect.orDie(serve(port, filename)))
      yield* Collector.exporting(Collector.layerOtlp(url, "client"), clients, overSockets(port))
      // these clients are not ours: what they are told is in their spans
      yield* Effect.withTracerEnabled(Effect.orDie(Effect.scoped(overHttp(port))), false)
      yield* overBoth(port)
      yield* Scope.close(server, Exit.void)
    }
    yield* Scope.close(clients, Exit.void)
    for (const [where, bodies] of Object.entries(received)) {
      const text = JSON.stringify(bodies)
      assert.isAbove(text.length, 1000, where)
      assert.notInclude(text, "hush", where)
    }
    const [traces, logs] = [received["/v1/traces"], received["/v1/logs"]].map((bodies) => JSON.stringify(bodies))
    assert.include(traces, "http.request.header.troupe-params")
    assert.include(traces, "SocketSafe/Put")
    assert.include(logs, "as it was asked to")
  }))
