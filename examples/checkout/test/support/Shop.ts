/** The shop and its customers in one process, over a network in memory. */
import { ActorClient } from "@troupe/client"
import { TestKit } from "@troupe/testing"
import { Effect, Layer } from "effect"
import { Cart } from "../../src/contract.ts"
import { Inventory } from "../../src/server/Inventory.ts"
import { Actors } from "../../src/server/Server.ts"
import { layerLedger } from "./provider.ts"
import * as SlowBank from "./SlowBank.ts"

export const layer = TestKit.layer({
  actors: [Cart, Inventory],
  implementations: Layer.provide(Actors, layerLedger)
}).pipe(Layer.provideMerge(SlowBank.layer))

export const restock = (product: string, quantity: number) =>
  Effect.flatMap(Inventory, (inventory) => inventory.get(product).Restock({ quantity }))

export const stock = (product: string) => Effect.flatMap(Inventory, (inventory) => inventory.get(product).Stock())

/** A customer with a cart that has these products in it. */
export const fill = (key: string, products: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const cart = yield* ActorClient.connect(Cart, key)
    yield* Effect.forEach(products, (product) => cart.rpc.Put({ product }))
    return cart
  })

/** What the bank has charged and not paid back, in cents, a number for each charge. */
export const charges = Effect.map(
  Effect.flatMap(SlowBank.SlowBank, ({ entries }) => entries),
  (entries) => SlowBank.charged(entries).map(({ cents }) => cents)
)
