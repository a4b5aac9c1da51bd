/**
 * What a cart keeps, in every version that may still be stored. Each is decoded to the newest, and only that one is
 * written: a cart is upgraded by the first change that is made to it.
 */
import { Array, Schema } from "effect"
import { type Contents, Line, Order, quantityMax } from "../contract.ts"
import { priceOf } from "./Catalogue.ts"

const common = {
  /** The number of the order it will be; absent before the first change. */
  number: Schema.optional(Schema.String),
  /** Absent before it is paid for. */
  order: Schema.optional(Order)
}

/** Had no version yet, and a product as often as it was wanted. */
const Version1 = Schema.Struct({
  version: Schema.optionalWith(Schema.Literal(1), { default: () => 1 }),
  items: Schema.Array(Schema.String),
  ...common
})

const Version2 = Schema.Struct({ version: Schema.Literal(2), lines: Schema.Array(Line), ...common })

const upgrade1 = ({ items, ...rest }: typeof Version1.Type): typeof Version2.Type => ({
  ...rest,
  version: 2,
  lines: Object.entries(Array.groupBy(items, (item) => item))
    .map(([product, { length }]) => ({ product, quantity: length }))
})

export const CartState = Schema.transform(Schema.Union(Version2, Version1), Schema.typeSchema(Version2), {
  strict: true,
  decode: (stored) => stored.version === 1 ? upgrade1(stored) : stored,
  encode: (state) => state
})

export type CartState = typeof CartState.Type

export const empty: CartState = { version: 2, lines: [] }

/** Without this product. */
export const remove = (state: CartState, product: string): CartState => ({
  ...state,
  lines: state.lines.filter((line) => line.product !== product)
})

/** So many more of it, up to as many as a cart takes. */
export const put = (state: CartState, product: string, quantity: number): CartState => {
  const before = state.lines.find((line) => line.product === product)?.quantity ?? 0
  return {
    ...state,
    lines: [...remove(state, product).lines, { product, quantity: Math.min(quantityMax, before + quantity) }]
  }
}

/** As the customer sees it. */
export const contents = ({ lines, order }: CartState): typeof Contents.Type => ({
  lines,
  cents: lines.reduce((sum, { product, quantity }) => sum + quantity * (priceOf(product) ?? 0), 0),
  ...order && { order }
})
