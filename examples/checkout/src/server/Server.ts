/** The shop's server, as one layer: its routes, its actors, and what they run on. */
import { FileSystem, HttpLayerRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeActors } from "@troupe/node"
import { ActorHost, ActorServer } from "@troupe/server"
import { Effect, Layer, Option, Schema } from "effect"
import { createServer } from "node:http"
import { Cart, Quantity } from "../contract.ts"
import { CartLive } from "./CartLive.ts"
import { Inventory, InventoryLive, type Stock } from "./Inventory.ts"
import { PaymentLive } from "./Payment.ts"
import { PaymentProvider } from "./PaymentProvider.ts"

/** The three actors. Of the services they need, the payment provider is the one that has to be given. */
export const Actors = CartLive.pipe(Layer.provideMerge(InventoryLive), Layer.provideMerge(PaymentLive))

/** Without a bound a body is read to its end, however long it is. */
const bodyBytesMax = FileSystem.KiB(16)

/** For the people in the warehouse: `GET /stock/apple`, and `POST` with `{ "quantity": 10 }` when more have come. */
const Warehouse = HttpLayerRouter.use((router) =>
  Effect.gen(function*() {
    const inventory = yield* Inventory
    const product = Effect.map(HttpLayerRouter.params, ({ product = "" }) => inventory.get(product))
    const answer = <E extends { readonly message: string }, R>(stock: Effect.Effect<typeof Stock.Type, E, R>) =>
      stock.pipe(
        Effect.map((stock) => HttpServerResponse.unsafeJson(stock)),
        Effect.catchAll(({ message }) => HttpServerResponse.text(message, { status: 400 }))
      )
    yield* router.add("GET", "/stock/:product", answer(Effect.flatMap(product, ({ Stock }) => Stock())))
    yield* router.add(
      "POST",
      "/stock/:product",
      answer(Effect.gen(function*() {
        const { quantity } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ quantity: Quantity })).pipe(
          HttpServerRequest.withMaxBodySize(Option.some(bodyBytesMax))
        )
        return yield* (yield* product).Restock({ quantity })
      }))
    )
  })
)

/** What is left to be given is the store. */
export const layer = (options: {
  readonly port: number
  /** Where the payment provider answers. */
  readonly bank: string
}) =>
  HttpLayerRouter.serve(
    Layer.mergeAll(
      ActorServer.layer({ actors: [Cart] }), // stock and payments cannot be reached from outside
      Warehouse
    ),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    Layer.provideMerge(NodeActors.layer(createServer, { port: options.port })),
    Layer.provide(Actors),
    Layer.provide(PaymentProvider.layer(options.bank)),
    Layer.provide(ActorHost.layer())
  )
