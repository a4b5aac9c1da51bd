/**
 * Where actors sleep: their state, their alarms, the replies a client may still ask for, and the counter their epochs come
 * from. The interface that SQLite and memory implement, and the memory one.
 */
import * as Address from "@troupe/contract/Address"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { AlarmIndex, type Position } from "./internal/AlarmIndex.ts"

/** The store could not do what was asked, or has ended before it could say so: then all of it may have been applied. */
export class StoreError extends Schema.TaggedError<StoreError>("@troupe/server/StoreError")("StoreError", {
  operation: Schema.Literal("claim", "replies", "alarms", "commit", "epoch"),
  message: Schema.String
}) {}

/** What a new activation is given: it owns the actor from here on, and nobody with an older epoch can commit. */
export interface Claim {
  /** From a counter of the whole store; never used before. */
  readonly epoch: number
  /** Counts the commits of the actor; 0 if it has never been committed. */
  readonly version: number
  /** How often the actor has been destroyed, as far as is remembered: at least within the retention. */
  readonly incarnation: number
  /** The encoded state as JSON text; undefined if the actor has never been committed, or was destroyed since. */
  readonly state: string | undefined
  /** All alarms that are set, in no order. */
  readonly alarms: ReadonlyArray<Alarm>
}

/** A call that an actor has asked to be made to itself later. */
export interface Alarm {
  /** Names it among the alarms of its actor. */
  readonly id: string
  /**
   * When it fires, or is tried again, in milliseconds since the epoch; undefined if it is parked: it has failed too often,
   * and stays until it is set again or cancelled.
   */
  readonly due: number | undefined
  /** The internal rpc that is called. */
  readonly tag: string
  /** The encoded payload, as JSON text; undefined if the rpc has none. */
  readonly payload: string | undefined
  /** How often it has failed. */
  readonly attempt: number
  /** Tells it from other alarms that were set under its id before and after. Stays the same when it is tried again. */
  readonly firing: string
}

/** An alarm that is set, or, if it has none, the end of the one with this id. */
export interface AlarmChange {
  readonly id: string
  readonly alarm: Alarm | undefined
}

/** Asks for the alarms of all actors of a contract, in the order in which they are due. */
export interface AlarmQuery {
  readonly contract: string
  /** Where the last answer ended; undefined for the first ones of all. */
  readonly after: Position | undefined
  readonly max: number
}

export type { Position } from "./internal/AlarmIndex.ts"

/** The recorded end of a call: what a client that lost the answer is told, instead of running the call again. */
export interface RecordedReply {
  /** Of the client; of a call between actors its name. */
  readonly session: string
  /** The number of the call in its session, from 1; 0 for a call between actors. */
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
  /** What was done to alarms, at most one change for each id. Absent: nothing. */
  readonly alarms?: ReadonlyArray<AlarmChange>
  /**
   * The actor's end: its state, its alarms and what has been recorded are deleted, and its next life has the next
   * incarnation. Of what stands above only `replies` are stored: what is still to be found after the end. Absent: false.
   */
  readonly destroy?: boolean
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
  /** Takes ownership of an actor with a new epoch, and reads its state and its alarms. */
  readonly claim: (address: Address.Address) => Effect.Effect<Claim, StoreError>
  /** All recorded replies of an actor that are not older than the retention, oldest first. */
  readonly replies: (address: Address.Address) => Effect.Effect<ReadonlyArray<ReplySegment>, StoreError>
  /** Where alarms are due that are not parked, in order: each actor once for each time at which it has some. */
  readonly alarms: (query: AlarmQuery) => Effect.Effect<ReadonlyArray<Position>, StoreError>
  /**
   * Applies the commits of several actors, at most one for each, in one transaction, and answers for each in the same
   * order. When it returns, what is `committed` is durable. If it fails, either nothing was applied or all of it: the host
   * gives up the activations, whose next ones begin at what is stored.
   */
  readonly commit: (batch: ReadonlyArray<Commit>) => Effect.Effect<ReadonlyArray<CommitResult>, StoreError>
}>() {}

interface Row {
  readonly address: Address.Address
  epoch: number
  version: number
  incarnation: number
  state: string | undefined
  readonly segments: Map<number, ReplySegment>
  readonly alarms: Map<string, Alarm>
}

class MemoryStore {
  private readonly rows = new Map<string, Row>()
  private readonly alarmsDue = new Map<string, AlarmIndex>()
  private lastEpoch = 0

  nextEpoch(): number {
    return ++this.lastEpoch
  }

  claim(address: Address.Address): Claim {
    const row = this.row(address)
    row.epoch = this.nextEpoch()
    const { epoch, version, incarnation, state, alarms } = row
    return { epoch, version, incarnation, state, alarms: Array.from(alarms.values()) }
  }

  replies({ contract, key }: Address.Address): ReadonlyArray<ReplySegment> {
    return Array.from(this.rows.get(Address.idOf({ contract, key }))?.segments.values() ?? [])
  }

  due({ contract, after, max }: AlarmQuery): ReadonlyArray<Position> {
    return this.index(contract).after(after, max)
  }

  commit(commit: Commit): CommitResult {
    const row = this.row(commit.address)
    if (row.epoch !== commit.epoch || row.version !== commit.version) return { _tag: "superseded" }
    row.version++
    if (commit.destroy) this.destroy(row)
    else this.apply(row, commit)
    const { replies } = commit
    if (replies.length > 0) row.segments.set(row.version, { seq: row.version, replies })
    return { _tag: "committed" }
  }

  private apply(row: Row, { state, settledSegments, alarms = [] }: Commit): void {
    if (state !== undefined) row.state = state
    for (const seq of settledSegments) row.segments.delete(seq)
    for (const { id, alarm } of alarms) this.setAlarm(row, id, alarm)
  }

  private destroy(row: Row): void {
    row.incarnation++
    row.state = undefined
    row.segments.clear()
    for (const id of Array.from(row.alarms.keys())) this.setAlarm(row, id, undefined)
  }

  private setAlarm({ address: { contract, key }, alarms }: Row, id: string, alarm: Alarm | undefined): void {
    const index = this.index(contract)
    const before = alarms.get(id)
    if (before?.due !== undefined) index.remove({ due: before.due, key }, id)
    if (alarm?.due !== undefined) index.add({ due: alarm.due, key }, id)
    if (alarm) alarms.set(id, alarm)
    else alarms.delete(id)
  }

  private row(address: Address.Address): Row {
    const id = Address.idOf(address)
    const known = this.rows.get(id)
    if (known) return known
    const row = {
      address,
      epoch: 0,
      version: 0,
      incarnation: 0,
      state: undefined,
      segments: new Map(),
      alarms: new Map()
    }
    this.rows.set(id, row)
    return row
  }

  private index(contract: string): AlarmIndex {
    const known = this.alarmsDue.get(contract)
    if (known) return known
    const index = new AlarmIndex()
    this.alarmsDue.set(contract, index)
    return index
  }
}

const makeMemory = Effect.sync((): typeof ActorStore.Service => {
  const store = new MemoryStore()
  return {
    retentionMillis: Number.MAX_SAFE_INTEGER,
    nextEpoch: Effect.sync(() => store.nextEpoch()),
    claim: (address) => Effect.sync(() => store.claim(address)),
    replies: (address) => Effect.sync(() => store.replies(address)),
    alarms: (query) => Effect.sync(() => store.due(query)),
    commit: (batch) => Effect.sync(() => batch.map((commit) => store.commit(commit)))
  }
})

/** Keeps actors as long as the layer lives: for tests, and for actors that may be forgotten with the process. */
export const layerMemory: Layer.Layer<ActorStore> = Layer.effect(ActorStore, makeMemory)
