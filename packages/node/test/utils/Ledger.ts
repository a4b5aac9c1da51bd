/** Actors that write down every call that takes effect, alone or together with another actor. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Effect, Layer, Ref, Schema } from "effect"

const State = Schema.Struct({ entries: Schema.Array(Schema.String) })
const empty = () => ({ entries: [] })
const append = (state: Ref.Ref<typeof State.Type>, entry: string) =>
  Ref.modify(state, ({ entries }) => [entries.length + 1, { entries: [...entries, entry] }])
const read = (state: Ref.Ref<typeof State.Type>) => Effect.map(Ref.get(state), ({ entries }) => entries)

/** Called by ledgers only. */
export class Journal extends Actor.Tag<Journal>()("Journal", {
  rpcs: RpcGroup.make(Rpc.make("Entries", { success: Schema.Array(Schema.String) })),
  internal: RpcGroup.make(Rpc.make("Write", { payload: { entry: Schema.String }, success: Schema.Number }))
}) {}

export class Ledger extends Actor.Tag<Ledger>()("Ledger", {
  rpcs: RpcGroup.make(
    // both return the entry's place, counted from 1
    Rpc.make("Append", { payload: { entry: Schema.String }, success: Schema.Number }),
    Rpc.make("AppendToBoth", {
      payload: { entry: Schema.String },
      success: Schema.Struct({ ledger: Schema.Number, journal: Schema.Number })
    }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) })
  )
}) {}

const layerJournal = Journal.toLayer(
  { state: State, initialState: empty },
  (journal) =>
    Effect.succeed(journal.behavior({
      rpcs: { Entries: () => read(journal.state) },
      internal: { Write: ({ entry }) => append(journal.state, entry) }
    }))
)

const layerLedger = Ledger.toLayer({ state: State, initialState: empty }, (ledger) =>
  Effect.gen(function*() {
    const journals = yield* Journal.client
    return ledger.behavior({
      rpcs: {
        Append: ({ entry }) => append(ledger.state, entry),
        AppendToBoth: ({ entry }) =>
          Effect.gen(function*() {
            const journal = yield* Effect.orDie(journals.get(ledger.key).Write({ entry }))
            return { ledger: yield* append(ledger.state, entry), journal }
          }),
        Entries: () => read(ledger.state)
      }
    })
  }))

export const layer = Layer.merge(layerJournal, layerLedger)
