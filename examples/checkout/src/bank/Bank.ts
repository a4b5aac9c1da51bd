/** A payment provider to try the shop with: a ledger behind HTTP. A card that is called `empty` is declined. */
import { FileSystem, HttpLayerRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Option, Schema } from "effect"
import { createServer } from "node:http"
import { type Entry, Ledger } from "./Ledger.ts"

const answer = ({ cents, key, outcome }: Entry) =>
  outcome === "charged"
    ? HttpServerResponse.unsafeJson({ receipt: `receipt of ${key}`, cents })
    : HttpServerResponse.unsafeJson(
      { _tag: "Declined", reason: outcome === "declined" ? "There is nothing on it." : "This payment was cancelled." },
      { status: 402 }
    )

/** Without a bound a body is read to its end, however long it is. */
const bodyBytesMax = FileSystem.KiB(16)

const bad = ({ message }: { readonly message: string }) => HttpServerResponse.text(message, { status: 400 })

const Charges = HttpLayerRouter.use((router) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger
    const charge = Effect.gen(function*() {
      const { "idempotency-key": key } = yield* HttpServerRequest.schemaHeaders(
        Schema.Struct({ "idempotency-key": Schema.NonEmptyString })
      )
      const payment = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ cents: Schema.Int, card: Schema.String }))
        .pipe(
          HttpServerRequest.withMaxBodySize(Option.some(bodyBytesMax))
        )
      return answer(yield* ledger.charge(key, payment))
    })
    const cancel = Effect.gen(function*() {
      const { key = "" } = yield* HttpLayerRouter.params
      yield* ledger.cancel(key)
      return HttpServerResponse.empty()
    })
    const handled = { ParseError: bad, RequestError: bad }
    yield* router.add("POST", "/charges", Effect.catchTags(charge, handled))
    yield* router.add("DELETE", "/charges/:key", cancel)
  })
)

export const layer = (options: { readonly port: number }) =>
  HttpLayerRouter.serve(Charges, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: options.port }))
  )
