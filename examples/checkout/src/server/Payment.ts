/** The payment of one order, whose number is the key. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Effect, Ref, Schema } from "effect"
import { Declined } from "../contract.ts"
import { PaymentProvider, ProviderUnavailable, Receipt } from "./PaymentProvider.ts"

const attempt = { attempt: Schema.String }

export class Payment extends Actor.Tag<Payment>()("Payment", {
  internal: RpcGroup.make(
    /** The name of the attempt to pay that is under way: the same for everybody, until it is cancelled. */
    Rpc.make("Attempt", { success: Schema.String }),
    Rpc.make("Charge", {
      payload: { ...attempt, cents: Schema.Int, card: Schema.String },
      success: Receipt,
      error: Schema.Union(Declined, ProviderUnavailable)
    }),
    Rpc.make("Cancel", { payload: attempt, error: ProviderUnavailable })
  )
}) {}

const State = Schema.Struct({ cancelled: Schema.Int, paid: Schema.optional(Receipt) })

export const PaymentLive = Payment.toLayer(
  { state: State, initialState: () => ({ cancelled: 0 }) },
  (payment) =>
    Effect.gen(function*() {
      const provider = yield* PaymentProvider
      const current = Effect.map(Ref.get(payment.state), ({ cancelled }) => `${payment.key}-${cancelled}`)

      return payment.behavior({
        internal: {
          Attempt: () => current,

          Charge: Effect.fnUntraced(function*({ attempt, card, cents }) {
            const state = yield* Ref.get(payment.state)
            // nothing leaves the house that rests on what a crash could take back
            yield* payment.committed
            const paid = state.paid ?? (yield* provider.charge({ cents, card }, { idempotencyKey: attempt }))
            // charged before a crash, and the cart was filled further since
            if (paid.cents !== cents) return yield* new Declined({ reason: "The cart has changed. Please try again." })
            yield* Ref.set(payment.state, { ...state, paid })
            return paid
          }),

          Cancel: Effect.fnUntraced(function*({ attempt }) {
            if (attempt !== (yield* current)) return
            yield* payment.committed
            yield* provider.cancel(attempt)
            yield* Ref.update(payment.state, ({ cancelled }) => ({ cancelled: cancelled + 1 }))
          })
        }
      })
    })
)
