/** The payment provider, as the shop sees it: a service on the outside, which keeps to idempotency keys. */
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { Declined } from "../contract.ts"

export const Receipt = Schema.Struct({ receipt: Schema.String, cents: Schema.Int })

/** Nobody knows whether it has done what it was asked for. Asking again under the same key is safe. */
export class ProviderUnavailable extends Schema.TaggedError<ProviderUnavailable>()("ProviderUnavailable", {
  reason: Schema.String
}) {}

export class PaymentProvider extends Context.Tag("checkout/PaymentProvider")<PaymentProvider, {
  /** Charges the card once for each key: asked again, it returns the same receipt, or the same refusal. */
  readonly charge: (
    payment: { readonly cents: number; readonly card: string },
    options: { readonly idempotencyKey: string }
  ) => Effect.Effect<typeof Receipt.Type, Declined | ProviderUnavailable>
  /** Pays back what was charged under this key, and sees to it that nothing is charged under it any more. */
  readonly cancel: (idempotencyKey: string) => Effect.Effect<void, ProviderUnavailable>
}>() {
  /** Over HTTP, with a timeout, and a second try. */
  static readonly layer = (url: string) =>
    Layer.effect(
      PaymentProvider,
      Effect.gen(function*() {
        const client = (yield* HttpClient.HttpClient).pipe(
          HttpClient.mapRequest(HttpClientRequest.prependUrl(url)),
          HttpClient.transformResponse(Effect.timeout("10 seconds")),
          HttpClient.retryTransient({ times: 1, schedule: Schedule.exponential("200 millis") })
        )
        const unavailable = (error: unknown) => new ProviderUnavailable({ reason: String(error) })
        return {
          charge: (payment, { idempotencyKey }) =>
            HttpClientRequest.post("/charges").pipe(
              HttpClientRequest.setHeader("idempotency-key", idempotencyKey),
              HttpClientRequest.bodyUnsafeJson(payment),
              client.execute,
              Effect.flatMap(HttpClientResponse.matchStatus({
                402: HttpClientResponse.schemaBodyJson(Declined),
                orElse: (response) =>
                  Effect.flatMap(
                    HttpClientResponse.filterStatusOk(response),
                    HttpClientResponse.schemaBodyJson(Receipt)
                  )
              })),
              Effect.mapError(unavailable),
              Effect.flatMap((answer) => answer instanceof Declined ? answer : Effect.succeed(answer))
            ),
          cancel: (idempotencyKey) =>
            HttpClientRequest.del(`/charges/${idempotencyKey}`).pipe(
              client.execute,
              Effect.flatMap(HttpClientResponse.filterStatusOk),
              Effect.mapError(unavailable),
              Effect.asVoid
            )
        }
      })
    ).pipe(Layer.provide(FetchHttpClient.layer))
}
