/** Spans, metrics and logs at a collector of OpenTelemetry, with the set-up of `docs/observability.md`. */
import { FetchHttpClient, HttpLayerRouter } from "@effect/platform"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { HttpRpc } from "@troupe/contract"
import { NodeActors } from "@troupe/node"
import { ActorHost, ActorHttp, ActorStore } from "@troupe/server"
import { Effect, Exit, Layer, Scope } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { exporting, layerOtlp, make as collector, type Received } from "./utils/Collector.ts"
import * as Directory from "./utils/Directory.ts"
import { layerLog, Log } from "./utils/Log.ts"
import * as LogServer from "./utils/LogServer.ts"

interface Span {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly events: ReadonlyArray<{ readonly name: string }>
}

const spansIn = (received: Received): ReadonlyArray<Span> =>
  received["/v1/traces"].flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap((resource: any) => resource.scopeSpans.flatMap((scope: any) => scope.spans))
  )

it.scopedLive("a call is one trace, from the client's span to the actor's, and metrics and logs come along", () =>
  Effect.gen(function*() {
    const { received, url } = yield* collector
    const filename = `${yield* Directory.temporary}/store.db`
    const server = yield* Scope.make()
    const port = yield* exporting(layerOtlp(url, "server"), server, LogServer.serve({ filename }))
    const client = yield* Scope.make()
    const counts = yield* exporting(
      layerOtlp(url, "client"),
      client,
      Effect.gen(function*() {
        const log = yield* LogServer.connect(port)
        yield* Effect.logInfo("about to append")
        return [yield* log.rpc.Append({ entry: "one" }), yield* log.rpc.Append({ entry: "two" })]
      })
    )
    assert.deepStrictEqual(counts, [1, 2])
    // what has not been exported is exported when a process ends
    yield* Scope.close(client, Exit.void)
    yield* Scope.close(server, Exit.void)

    const spans = spansIn(received).filter(({ name }) => name === "Log/Append")
    const [clients, servers] = [3, 2].map((kind) => spans.filter((span) => span.kind === kind))
    assert.deepStrictEqual([clients!.length, servers!.length], [2, 2])
    for (const span of servers!) {
      const parent = clients!.find(({ spanId }) => spanId === span.parentSpanId)
      assert.strictEqual(parent?.traceId, span.traceId)
      assert.deepStrictEqual(span.events.map(({ name }) => name), ["started", "ended", "committed"])
    }
    assert.notStrictEqual(clients![0]!.traceId, clients![1]!.traceId)
    assert.include(JSON.stringify(received["/v1/metrics"]), "\"troupe_calls\"")
    assert.include(JSON.stringify(received["/v1/logs"]), "about to append")
  }))

/** Serves the log over HTTP, and returns where. */
const serveHttp = Effect.gen(function*() {
  const http = Http.createServer()
  const server = HttpLayerRouter.serve(ActorHttp.layer({ actors: [Log] }), { disableListenLog: true }).pipe(
    Layer.provide(layerLog),
    Layer.provide(ActorHost.layer()),
    Layer.provide(ActorStore.layerMemory),
    Layer.provide(NodeActors.layer(() => http, { port: 0, host: "127.0.0.1" }))
  )
  yield* Layer.build(server)
  const { port } = http.address() as Net.AddressInfo
  return `http://127.0.0.1:${port}/actors${HttpRpc.pathOf(Log, "a")}`
})

it.scopedLive("a call over HTTP goes on with the trace of its client", () =>
  Effect.gen(function*() {
    const { received, url } = yield* collector
    const scope = yield* Scope.make()
    const call = Effect.gen(function*() {
      const protocol = RpcClient.layerProtocolHttp({ url: yield* serveHttp }).pipe(
        Layer.provide(RpcSerialization.layerJson),
        Layer.provide(FetchHttpClient.layer)
      )
      const log = yield* Effect.provide(RpcClient.make(Log.httpRpcs), protocol)
      return yield* Effect.withSpan(log.Append({ entry: "one" }), "page")
    })
    assert.strictEqual(yield* exporting(layerOtlp(url, "both"), scope, Effect.orDie(call)), 1)
    yield* Scope.close(scope, Exit.void)

    const spans = spansIn(received)
    const handled = spans.find(({ name }) => name === "Log/Append")
    const page = spans.find(({ name }) => name === "page")
    assert.isDefined(page)
    assert.strictEqual(handled?.traceId, page?.traceId)
    assert.isDefined(spans.find(({ spanId }) => spanId === handled?.parentSpanId), "its parent is a span of the client")
  }))

it.scopedLive("a call over HTTP that says nothing of a trace belongs to its request, and with that to who has sent it", () =>
  Effect.gen(function*() {
    const { received, url } = yield* collector
    const scope = yield* Scope.make()
    const traceId = "0af7651916cd43dd8448eb211c80319c"
    const call = Effect.flatMap(serveHttp, (log) =>
      Effect.promise(async () => {
        const response = await fetch(log, {
          method: "POST",
          headers: { "content-type": "application/json", "traceparent": `00-${traceId}-b7ad6b7169203331-01` },
          body: JSON.stringify([{ _tag: "Request", id: "1", tag: "Append", payload: { entry: "one" } }])
        })
        return response.text()
      }))
    assert.include(yield* exporting(layerOtlp(url, "both"), scope, Effect.orDie(call)), "Success")
    yield* Scope.close(scope, Exit.void)

    const spans = spansIn(received)
    const handled = spans.find(({ name }) => name === "Log/Append")
    assert.strictEqual(handled?.traceId, traceId)
    assert.match(spans.find(({ spanId }) => spanId === handled?.parentSpanId)?.name ?? "", /^http.server/)
  }))
