/**
 * Where actors sleep: their state, the replies a client may still ask for, and the counter their epochs come from. The
 * interface that SQLite and memory implement, and the memory one.
 */
import * as Address from "@troupe/contract/Address"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/** The store could not do what was asked. Nothing of the failed operation has been applied. */
export class StoreError extends Schema.TaggedError<StoreError>("@troupe/server/StoreError")("StoreError", {
  operation: Schema.Literal("claim", "replies", "commit", "epoch"),
  message: Schema.String
}) {}

/** What a new activation is given: it owns the actor from here on, and nobody with an older epoch can commit. */
export interface Claim {
  /** From a counter of the whole store; never used before. */
  readonly epoch: number
  /** Counts the commits of the actor; 0 if it has never been committed. */
  readonly version: number
  /** The encoded state as JSON text; undefined if the actor has never been committed. */
  readonly state: string | undefined
}

/** The recorded end of a call: what a client that lost the answer is told, instead of running the call again. */
export interface RecordedReply {
  readonly session: string
  /** The number of the call in its session. */
  readonly call: number
  /** The encoded `Exit`, as JSON text. */
  readonly exit: string
}

/** All replies recorded by one commit. They are stored together and deleted together. */
export interface ReplySegment {
  /** The version of the actor after the commit that recorded them. */
  readonly seq: number
  readonly replies: ReadonlyArray<RecordedReply>
}

/** What one actor asks to be made durable, as a whole. */
export interface Commit {
  readonly address: Address.Address
  readonly epoch: number
  /** The version the commit builds on. It is applied only if the stored one is the same. */
  readonly version: number
  /** The new state; undefined if it has not changed. */
  readonly state: string | undefined
  /** The replies to record, under the version after this commit. */
  readonly replies: ReadonlyArray<RecordedReply>
  /** The segments whose replies have all reached their clients. */
  readonly settledSegments: ReadonlyArray<number>
  /** Survives a loss of power, not only of the process. */
  readonly fsync: boolean
}

/**
 * How one commit ended. `superseded`: another activation owns the actor, or has committed since; nothing was applied.
 * `failed`: the store refused this one, and nothing of it was applied; the others of the batch stand.
 */
export type CommitResult =
  | { readonly _tag: "committed" }
  | { readonly _tag: "superseded" }
  | { readonly _tag: "failed"; readonly message: string }

/** Keeps actors. All methods may be called at the same time. */
export class ActorStore extends Context.Tag("@troupe/server/ActorStore")<ActorStore, {
  /** How long recorded replies are kept for clients that have not got them. Clients are told. */
  readonly retentionMillis: number
  /** The next number of the store-wide counter. */
  readonly nextEpoch: Effect.Effect<number, StoreError>
  /** Takes ownership of an actor with a new epoch, and reads its state. */
  readonly claim: (address: Address.Address) => Effect.Effect<Claim, StoreError>
  /** All recorded replies of an actor that are not older than the retention, oldest first. */
  readonly replies: (address: Address.Address) => Effect.Effect<ReadonlyArray<ReplySegment>, StoreError>
  /**
   * Applies the commits of several actors, at most one for each, in one transaction, and answers for each in the same
   * order. When it returns, what is `committed` is durable. Fails only if nothing was applied.
   */
  readonly commit: (batch: ReadonlyArray<Commit>) => Effect.Effect<ReadonlyArray<CommitResult>, StoreError>
}>() {}

interface Row {
  epoch: number
  version: number
  state: string | undefined
  readonly segments: Map<number, ReplySegment>
}

const makeMemory = Effect.sync((): typeof ActorStore.Service => {
  const rows = new Map<string, Row>()
  let epoch = 0
  const commitOne = (commit: Commit): CommitResult => {
    const row = rows.get(Address.idOf(commit.address.contract, commit.address.key))
    if (!row || row.epoch !== commit.epoch || row.version !== commit.version) return { _tag: "superseded" }
    row.version++
    if (commit.state !== undefined) row.state = commit.state
    for (const seq of commit.settledSegments) row.segments.delete(seq)
    if (commit.replies.length > 0) row.segments.set(row.version, { seq: row.version, replies: commit.replies })
    return { _tag: "committed" }
  }
  return {
    retentionMillis: Number.MAX_SAFE_INTEGER,
    nextEpoch: Effect.sync(() => ++epoch),
    claim: (address) =>
      Effect.sync(() => {
        const id = Address.idOf(address.contract, address.key)
        const row = rows.get(id) ?? { epoch: 0, version: 0, state: undefined, segments: new Map() }
        row.epoch = ++epoch
        rows.set(id, row)
        return { epoch: row.epoch, version: row.version, state: row.state }
      }),
    replies: (address) =>
      Effect.sync(() => Array.from(rows.get(Address.idOf(address.contract, address.key))?.segments.values() ?? [])),
    commit: (batch) => Effect.sync(() => batch.map(commitOne))
  }
})

/** Keeps actors as long as the layer lives: for tests, and for actors that may be forgotten with the process. */
export const layerMemory: Layer.Layer<ActorStore> = Layer.effect(ActorStore, makeMemory)
