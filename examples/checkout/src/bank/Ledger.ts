/**
 * The books of a payment provider: what it was asked for, and what became of it. One key, one answer, as Stripe and others
 * do it: whoever does not know whether a request has arrived sends it again under the same key.
 */
import { FileSystem } from "@effect/platform"
import { Array, Context, Effect, Layer, Option, Ref, Schema } from "effect"

/** A request that was made, as a line of the books. */
export const Entry = Schema.Struct({
  key: Schema.String,
  request: Schema.Literal("charge", "cancel"),
  cents: Schema.Int,
  /** Whether the key was known already, so that nothing was done. */
  repeated: Schema.Boolean,
  outcome: Schema.Literal("charged", "declined", "cancelled")
})

export type Entry = typeof Entry.Type

export class Ledger extends Context.Tag("checkout/Ledger")<Ledger, {
  /** Charges, unless the key is known: then nothing is done, and the answer is the one of the first time. */
  readonly charge: (key: string, payment: { readonly cents: number; readonly card: string }) => Effect.Effect<Entry>
  /** Pays back what was charged under the key, if anything was, and lets nothing be charged under it later. */
  readonly cancel: (key: string) => Effect.Effect<Entry>
  /** Every request there has been, in order. */
  readonly entries: Effect.Effect<ReadonlyArray<Entry>>
}>() {}

/** The last answer under each key holds. */
const known = (entries: ReadonlyArray<Entry>, key: string) =>
  Option.getOrUndefined(Array.findLast(entries, (entry) => entry.key === key))

const make = (before: ReadonlyArray<Entry>, write: (entry: Entry) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    const entries = yield* Ref.make(before)
    const lock = yield* Effect.makeSemaphore(1)

    const enter = (key: string, decide: (before: Entry | undefined) => Omit<Entry, "key">) =>
      Effect.gen(function*() {
        const entry = { key, ...decide(known(yield* Ref.get(entries), key)) }
        yield* write(entry)
        yield* Ref.update(entries, (entries) => [...entries, entry])
        return entry
      }).pipe(Effect.uninterruptible, lock.withPermits(1))

    return Ledger.of({
      charge: (key, { card, cents }) =>
        enter(key, (before) =>
          before
            ? { ...before, request: "charge", repeated: true }
            : {
              request: "charge",
              cents,
              repeated: false,
              outcome: card.startsWith("empty") ? "declined" : "charged"
            }),
      cancel: (key) =>
        enter(key, (before) => ({
          request: "cancel",
          cents: before?.cents ?? 0,
          repeated: before?.outcome === "cancelled",
          outcome: "cancelled"
        })),
      entries: Ref.get(entries)
    })
  })

/** For as long as the layer lives. */
export const layerMemory: Layer.Layer<Ledger> = Layer.effect(Ledger, make([], () => Effect.void))

const Line = Schema.parseJson(Entry)

/**
 * In a file, a line for each request, written before it is answered. A last line that a crash has cut off was not answered,
 * and is taken out.
 */
export const layer = (filename: string) =>
  Layer.effect(
    Ledger,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const text = (yield* fs.exists(filename)) ? yield* fs.readFileString(filename) : ""
      const whole = text.slice(0, text.lastIndexOf("\n") + 1)
      if (whole !== text) yield* fs.writeFileString(filename, whole)
      const before = yield* Effect.forEach(whole.split("\n").filter(Boolean), (line) => Schema.decode(Line)(line))
      return yield* make(before, (entry) =>
        Effect.orDie(fs.writeFileString(filename, `${Schema.encodeSync(Line)(entry)}\n`, { flag: "a" })))
    })
  )
