/** The payment provider without HTTP: the same books, called directly. */
import { Effect, Layer } from "effect"
import { Ledger } from "../../src/bank/Ledger.ts"
import { Declined } from "../../src/contract.ts"
import { PaymentProvider, ProviderUnavailable } from "../../src/server/PaymentProvider.ts"

/** A card with which the answer of the first request is lost. */
export const lostAnswer = "lost answer"

export const layerLedger = Layer.effect(
  PaymentProvider,
  Effect.map(Ledger, (ledger) => ({
    charge: Effect.fnUntraced(function*(payment, { idempotencyKey }) {
      const { cents, key, outcome, repeated } = yield* ledger.charge(idempotencyKey, payment)
      if (payment.card === lostAnswer && !repeated) return yield* new ProviderUnavailable({ reason: "lost" })
      if (outcome !== "charged") return yield* new Declined({ reason: outcome })
      return { receipt: `receipt of ${key}`, cents }
    }),
    cancel: (idempotencyKey) => Effect.asVoid(ledger.cancel(idempotencyKey))
  }))
)
