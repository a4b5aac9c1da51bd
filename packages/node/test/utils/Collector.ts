/** A collector of OpenTelemetry, and processes that export to it. */
import * as Otlp from "@effect/opentelemetry/Otlp"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer, Runtime, Scope } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

export interface Received {
  readonly "/v1/traces": Array<any>
  readonly "/v1/metrics": Array<any>
  readonly "/v1/logs": Array<any>
}

/** Keeps what is exported to it. */
export const make = Effect.gen(function*() {
  const received: Received = { "/v1/traces": [], "/v1/metrics": [], "/v1/logs": [] }
  const server = Http.createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => body += text).on("end", () => {
      received[request.url as keyof Received]?.push(JSON.parse(body))
      response.setHeader("content-type", "application/json").end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => void server.close())
  )
  return { received, url: `http://127.0.0.1:${(server.address() as Net.AddressInfo).port}` }
})

export const layerOtlp = (baseUrl: string, serviceName: string) =>
  Otlp.layerJson({ baseUrl, resource: { serviceName } }).pipe(Layer.provide(NodeHttpClient.layerUndici))

/** Runs an effect with an exporter of its own, as a process has, and exports what is left at the end. */
export const exporting = <A, E>(
  layer: Layer.Layer<never>,
  scope: Scope.Scope,
  effect: Effect.Effect<A, E, Scope.Scope>
) =>
  Effect.gen(function*() {
    const runtime = yield* Scope.extend(Layer.toRuntime(layer), scope)
    const fiber = Runtime.runFork(runtime)(Scope.extend(effect, scope))
    return yield* Effect.fromFiber(fiber)
  })
