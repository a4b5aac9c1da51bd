/** What a page may know of the shop: the cart, and how a checkout may end. Schemas only. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Schema } from "effect"

/** So many of one product are in a cart at most. */
export const quantityMax = 1000

export const Quantity = Schema.Int.pipe(Schema.positive(), Schema.lessThanOrEqualTo(quantityMax))

export const Line = Schema.Struct({ product: Schema.String, quantity: Quantity })

/** What a customer has bought and paid for. */
export const Order = Schema.Struct({ number: Schema.String, cents: Schema.Int, receipt: Schema.String })

export const Contents = Schema.Struct({
  lines: Schema.Array(Line),
  cents: Schema.Int,
  /** Absent as long as the cart has not been paid for. */
  order: Schema.optional(Order)
})

export class UnknownProduct extends Schema.TaggedError<UnknownProduct>()("UnknownProduct", {
  product: Schema.String
}) {}

/** A cart is for one order. The next one has another cart. */
export class AlreadyOrdered extends Schema.TaggedError<AlreadyOrdered>()("AlreadyOrdered", {}) {}

export class EmptyCart extends Schema.TaggedError<EmptyCart>()("EmptyCart", {}) {}

/** There are not as many as the cart has. Nothing is reserved, and nothing was charged. */
export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {
  product: Schema.String,
  left: Schema.Int
}) {}

/** The card was not charged. Nothing is reserved any more. */
export class Declined extends Schema.TaggedError<Declined>()("Declined", { reason: Schema.String }) {}

/** Something the shop needs is out of reach. To check out again is safe: what was paid already is not paid again. */
export class TryAgain extends Schema.TaggedError<TryAgain>()("TryAgain", {}) {}

export class Cart extends Actor.Tag<Cart>()("Cart", {
  rpcs: RpcGroup.make(
    Rpc.make("Put", {
      // a page of the first version says no quantity
      payload: Schema.Struct({
        product: Schema.String,
        quantity: Schema.optionalWith(Quantity, { default: () => 1 })
      }),
      success: Contents,
      error: Schema.Union(UnknownProduct, AlreadyOrdered)
    }),
    Rpc.make("Remove", {
      payload: { product: Schema.String },
      success: Contents,
      error: Schema.Union(AlreadyOrdered, TryAgain)
    }),
    Rpc.make("Contents", { success: Contents }),
    Rpc.make("Checkout", {
      payload: { card: Schema.String },
      success: Order,
      error: Schema.Union(EmptyCart, OutOfStock, Declined, TryAgain)
    })
  ),
  internal: RpcGroup.make(
    // nor did the first version remind anybody: its alarms close the cart
    Rpc.make("Close", {
      payload: Schema.Struct({ reminded: Schema.optionalWith(Schema.Boolean, { default: () => true }) })
    })
  ),
  events: { changed: Contents, ordered: Order, reminder: Contents }
}) {}
