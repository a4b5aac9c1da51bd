/** What there is to buy. A real shop would ask its database. */

const prices = new Map([["apple", 30], ["pear", 45], ["quince", 120]])

export const products: ReadonlyArray<string> = [...prices.keys()]

/** The price of one, in cents; undefined if there is no such product. */
export const priceOf = (product: string): number | undefined => prices.get(product)
