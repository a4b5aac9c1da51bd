/** A bank that takes for ever, at the moment that is written on the card, for as long as it is told to. */
import { Array, Context, Effect, Layer, Queue, Ref } from "effect"
import * as Ledger from "../../src/bank/Ledger.ts"

export const slowBefore = "slow before it is charged"
export const slowAfter = "slow after it is charged"

export class SlowBank extends Context.Tag("checkout/SlowBank")<SlowBank, {
  readonly setSlow: (slow: boolean) => Effect.Effect<void>
  /** Waits until a card of each of these has come to its moment. */
  readonly reached: (cards: ReadonlyArray<string>) => Effect.Effect<void>
  readonly entries: Effect.Effect<ReadonlyArray<Ledger.Entry>>
}>() {}

const make = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const slow = yield* Ref.make(false)
  const arrivals = yield* Queue.unbounded<string>()
  const dawdle = (card: string) => Effect.whenEffect(Effect.zipRight(arrivals.offer(card), Effect.never), Ref.get(slow))
  return Context.make(SlowBank, {
    setSlow: (value) => Ref.set(slow, value),
    reached: (cards) =>
      Effect.iterate(cards, {
        while: (missing) => missing.length > 0,
        body: (missing) => Effect.map(arrivals.take, (card) => missing.filter((other) => other !== card))
      }),
    entries: ledger.entries
  }).pipe(Context.add(Ledger.Ledger, {
    ...ledger,
    charge: (key, payment) =>
      Effect.gen(function*() {
        if (payment.card.endsWith(slowBefore)) yield* dawdle(payment.card)
        const entry = yield* ledger.charge(key, payment)
        if (payment.card.endsWith(slowAfter)) yield* dawdle(payment.card)
        return entry
      })
  }))
})

export const layer: Layer.Layer<SlowBank | Ledger.Ledger> = Layer.provide(Layer.effectContext(make), Ledger.layerMemory)

/** What has been charged and not paid back. */
export const charged = (entries: ReadonlyArray<Ledger.Entry>): ReadonlyArray<Ledger.Entry> =>
  Array.fromIterable(new Map(entries.map((entry) => [entry.key, entry])).values())
    .filter(({ outcome }) => outcome === "charged")
