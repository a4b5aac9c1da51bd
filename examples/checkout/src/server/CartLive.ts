/** The cart: what is in it, and the checkout, which goes through the other actors. */
import { Effect, Ref, Schema } from "effect"
import {
  AlreadyOrdered,
  Cart,
  Declined,
  EmptyCart,
  type Line,
  OutOfStock,
  TryAgain,
  UnknownProduct
} from "../contract.ts"
import * as CartState from "./CartState.ts"
import { priceOf } from "./Catalogue.ts"
import { Inventory } from "./Inventory.ts"
import { Payment } from "./Payment.ts"
import { Terms } from "./Terms.ts"

type Lines = ReadonlyArray<typeof Line.Type>

/** Ends that a customer has to do something about. After any other the same attempt can go on. */
const isFinal = Schema.is(Schema.Union(OutOfStock, Declined))

export const CartLive = Cart.toLayer(
  { state: CartState.CartState, initialState: () => CartState.empty },
  (cart) =>
    Effect.gen(function*() {
      const inventory = yield* Inventory.client
      const payments = yield* Payment.client
      const { keptFor } = yield* Terms

      /** A change of what is in it, until it has been ordered. */
      const change = Effect.fnUntraced(function*(how: (state: CartState.CartState) => CartState.CartState) {
        if ((yield* Ref.get(cart.state)).order) return yield* new AlreadyOrdered()
        // the first call that changes a cart gives its order the number
        const number = yield* cart.requestId
        const state = yield* Ref.updateAndGet(cart.state, (state) => ({ number, ...how(state) }))
        const contents = CartState.contents(state)
        yield* cart.alarm(keptFor, "Close", { reminded: false })
        yield* cart.broadcast("changed", contents)
        return contents
      })

      const reserve = (lines: Lines, reservation: string) =>
        Effect.forEach(lines, ({ product, quantity }) => inventory.get(product).Reserve({ reservation, quantity }))

      const confirm = (lines: Lines, reservation: string) =>
        Effect.forEach(lines, ({ product, quantity }) => inventory.get(product).Confirm({ reservation, quantity }))

      const release = (lines: Lines, reservation: string) =>
        Effect.forEach(lines, ({ product }) => inventory.get(product).Release({ reservation }))

      const ship = (lines: Lines, reservation: string) =>
        Effect.forEach(lines, ({ product }) => inventory.get(product).Ship({ reservation }))

      return cart.behavior({
        rpcs: {
          Put: ({ product, quantity }) =>
            priceOf(product) === undefined
              ? new UnknownProduct({ product })
              : change((state) => CartState.put(state, product, quantity)),

          Remove: Effect.fnUntraced(function*({ product }) {
            const { number, order } = yield* Ref.get(cart.state)
            if (number !== undefined && !order) {
              // a checkout that got lost may hold it without an end, and later ones do not know of it any more
              yield* payments.get(number).Attempt().pipe(
                Effect.flatMap((attempt) => inventory.get(product).Release({ reservation: attempt })),
                Effect.mapError(() => new TryAgain())
              )
            }
            return yield* change((state) => CartState.remove(state, product))
          }),

          Contents: () => Effect.map(Ref.get(cart.state), CartState.contents),

          Checkout: Effect.fnUntraced(function*({ card }) {
            const state = yield* Ref.get(cart.state)
            const { cents, lines, order } = CartState.contents(state)
            if (order) return order // the second click
            if (state.number === undefined || lines.length === 0) return yield* new EmptyCart()

            const payment = payments.get(state.number)
            const pay = Effect.gen(function*() {
              const attempt = yield* payment.Attempt()
              // what has been taken is given back; where nothing was, nothing happens
              const undo = Effect.zipRight(release(lines, attempt), payment.Cancel({ attempt }))
              return yield* reserve(lines, attempt).pipe(
                Effect.zipRight(payment.Charge({ attempt, cents, card })),
                Effect.zipLeft(confirm(lines, attempt)),
                Effect.tapError((error) => isFinal(error) ? undo : Effect.void)
              )
            })
            const { receipt } = yield* Effect.mapError(pay, (error) => isFinal(error) ? error : new TryAgain())

            const ordered = { number: state.number, cents, receipt }
            yield* Ref.set(cart.state, { ...state, order: ordered })
            yield* cart.alarm(keptFor, "Close", { reminded: true })
            yield* cart.broadcast("ordered", ordered)
            return ordered
          })
        },

        internal: {
          /** Long after the last change. If it was not ordered, a checkout may still have got lost on its way. */
          Close: Effect.fnUntraced(function*({ reminded }) {
            const state = yield* Ref.get(cart.state)
            const { lines, number, order } = state
            if (!reminded) {
              yield* cart.broadcast("reminder", CartState.contents(state))
              return yield* cart.alarm(keptFor, "Close", { reminded: true })
            }
            if (number !== undefined) {
              const payment = payments.get(number)
              const attempt = yield* payment.Attempt()
              if (order) yield* ship(lines, attempt)
              else yield* Effect.zipRight(release(lines, attempt), payment.Cancel({ attempt }))
            }
            yield* cart.destroy
          }, Effect.orDie) // it is tried again
        }
      })
    })
)
