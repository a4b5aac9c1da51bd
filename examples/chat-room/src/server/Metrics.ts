/**
 * `GET /metrics`: what this process counts, in the format of Prometheus. Metrics of Effect are read by the exporter of
 * OpenTelemetry, which needs no server of its own for that. Yours would ask who is asking: here anybody may.
 */
import * as Metrics from "@effect/opentelemetry/Metrics"
import * as Resource from "@effect/opentelemetry/Resource"
import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus"
import { Effect, Layer } from "effect"

export const Prometheus = HttpLayerRouter.use((router) =>
  Effect.gen(function*() {
    const exporter = new PrometheusExporter({ preventServerStart: true })
    yield* Layer.build(
      Layer.provide(Metrics.layer(() => exporter), Resource.layer({ serviceName: "chat-room" }))
    )
    const serializer = new PrometheusSerializer(undefined, false, undefined, false, true)
    const response = Effect.map(
      Effect.promise(() => exporter.collect()),
      ({ resourceMetrics }) =>
        HttpServerResponse.text(serializer.serialize(resourceMetrics), {
          contentType: "text/plain; version=0.0.4; charset=utf-8"
        })
    )
    yield* router.add("GET", "/metrics", response)
  })
)
