/** What a cart keeps. */
import { Schema } from "effect"
import { type Contents, Order } from "../contract.ts"
import { priceOf } from "./Catalogue.ts"

export const CartState = Schema.Struct({
  /** The number of the order it will be; absent before the first item. */
  number: Schema.optional(Schema.String),
  /** The products, as often as they are wanted. */
  items: Schema.Array(Schema.String),
  /** Absent before it is paid for. */
  order: Schema.optional(Order)
})

export type CartState = typeof CartState.Type

export const empty: CartState = { items: [] }

/** One more of it. */
export const put = (state: CartState, product: string): CartState => ({ ...state, items: [...state.items, product] })

/** All of it. */
export const remove = (state: CartState, product: string): CartState => ({
  ...state,
  items: state.items.filter((item) => item !== product)
})

/** As the customer sees it. */
export const contents = ({ items, order }: CartState): typeof Contents.Type => {
  const quantities = new Map<string, number>()
  for (const product of items) quantities.set(product, (quantities.get(product) ?? 0) + 1)
  const lines = Array.from(quantities, ([product, quantity]) => ({ product, quantity }))
  const cents = lines.reduce((sum, { product, quantity }) => sum + quantity * (priceOf(product) ?? 0), 0)
  return { lines, cents, ...order && { order } }
}
