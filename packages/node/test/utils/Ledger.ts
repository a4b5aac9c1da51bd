/** Actors that write down every call that takes effect, alone or together with another actor. */
import { HttpLayerRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Effect, Layer, Ref, Schema, Stream } from "effect"

const State = Schema.Struct({ entries: Schema.Array(Schema.String) })
const empty = () => ({ entries: [] })
const append = (state: Ref.Ref<typeof State.Type>, entry: string) =>
  Ref.modify(state, ({ entries }) => [entries.length + 1, { entries: [...entries, entry] }])
const read = (state: Ref.Ref<typeof State.Type>) => Effect.map(Ref.get(state), ({ entries }) => entries)

const payload = { entry: Schema.String }

export class Declined extends Schema.TaggedError<Declined>()("Declined", payload) {}

/** Called by ledgers only. */
export class Journal extends Actor.Tag<Journal>()("Journal", {
  rpcs: RpcGroup.make(Rpc.make("Entries", { success: Schema.Array(Schema.String) })),
  internal: RpcGroup.make(Rpc.make("Write", { payload, success: Schema.Number }))
}) {}

/** Is written on by a ledger, and torn up when it is full: it lives for a few calls. */
export class Slip extends Actor.Tag<Slip>()("Slip", {
  rpcs: RpcGroup.make(Rpc.make("Entries", { success: Schema.Array(Schema.String) })),
  internal: RpcGroup.make(
    Rpc.make("Write", { payload, success: Schema.Number }),
    Rpc.make("TearUp", { success: Schema.Array(Schema.String) })
  )
}) {}

/** Calls that append return the entry's place, counted from 1. */
export class Ledger extends Actor.Tag<Ledger>()("Ledger", {
  rpcs: RpcGroup.make(
    Rpc.make("Append", { payload, success: Schema.Number }),
    /** Also to the journal of the same key. */
    Rpc.make("AppendToBoth", {
      payload,
      success: Schema.Struct({ ledger: Schema.Number, journal: Schema.Number })
    }),
    /** Also to the slip of the same key. Says what stood on it if it was torn up with that. */
    Rpc.make("AppendBySlip", {
      payload,
      success: Schema.Struct({ ledger: Schema.Number, slip: Schema.Number, torn: Schema.Array(Schema.String) })
    }),
    /** Does, and fails. */
    Rpc.make("AppendAndDecline", { payload, success: Schema.Number, error: Declined }),
    /** Gives the last entries before it, one by one, and then its own. */
    Rpc.make("AppendAndTail", {
      payload,
      success: Schema.Struct({ place: Schema.Number, entry: Schema.String }),
      stream: true
    }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) })
  ),
  internal: RpcGroup.make(Rpc.make("Enter", { payload, success: Schema.Number }))
}) {}

/** How many entries a slip has when it is torn up. */
const slipLength = 3

/** How many entries a stream gives, if there are so many. */
export const tailLength = 8

const layerJournal = Journal.toLayer(
  { state: State, initialState: empty },
  (journal) =>
    Effect.succeed(journal.behavior({
      rpcs: { Entries: () => read(journal.state) },
      internal: { Write: ({ entry }) => append(journal.state, entry) }
    }))
)

const layerSlip = Slip.toLayer(
  { state: State, initialState: empty },
  (slip) =>
    Effect.succeed(slip.behavior({
      rpcs: { Entries: () => read(slip.state) },
      internal: {
        Write: ({ entry }) => append(slip.state, entry),
        TearUp: () => Effect.zipRight(slip.destroy, read(slip.state))
      }
    }))
)

const layerLedger = Ledger.toLayer({ state: State, initialState: empty }, (ledger) =>
  Effect.gen(function*() {
    const journals = yield* Journal.client
    const slips = yield* Slip.client
    const appendAndRead = (entry: string) => Effect.zipRight(append(ledger.state, entry), read(ledger.state))
    return ledger.behavior({
      rpcs: {
        Append: ({ entry }) => append(ledger.state, entry),
        AppendToBoth: ({ entry }) =>
          Effect.gen(function*() {
            const journal = yield* Effect.orDie(journals.get(ledger.key).Write({ entry }))
            return { ledger: yield* append(ledger.state, entry), journal }
          }),
        AppendBySlip: ({ entry }) =>
          Effect.gen(function*() {
            const { TearUp, Write } = slips.get(ledger.key)
            const slip = yield* Effect.orDie(Write({ entry }))
            const torn = slip < slipLength ? [] : yield* Effect.orDie(TearUp())
            return { ledger: yield* append(ledger.state, entry), slip, torn }
          }),
        AppendAndDecline: ({ entry }) => Effect.zipRight(append(ledger.state, entry), new Declined({ entry })),
        AppendAndTail: ({ entry }) =>
          Stream.unwrap(Effect.map(ledger.turn(appendAndRead(entry)), (entries) => {
            const places = entries.map((entry, i) => ({ place: i + 1, entry }))
            return Stream.rechunk(Stream.fromIterable(places.slice(-tailLength)), 1)
          })),
        Entries: () => read(ledger.state)
      },
      internal: { Enter: ({ entry }) => append(ledger.state, entry) }
    })
  }))

export const layer = Layer.mergeAll(layerJournal, layerSlip, layerLedger)

/** `POST /enter` with a key and an entry is the backend's call. */
export const layerRoute = HttpLayerRouter.use((router) =>
  Effect.gen(function*() {
    const ledgers = yield* Ledger
    const enter = Effect.gen(function*() {
      const text = yield* Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.text)
      const { entry, key } = JSON.parse(text) as { readonly key: string; readonly entry: string }
      return HttpServerResponse.text(`${yield* ledgers.get(key).Enter({ entry })}`)
    })
    yield* router.add(
      "POST",
      "/enter",
      Effect.catchAll(enter, (error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 503 })))
    )
  })
)
