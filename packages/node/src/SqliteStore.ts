/**
 * Actors in a SQLite file. All SQL runs in a thread of its own, so that no commit blocks the event loop, and what is asked
 * in one tick shares a transaction. One store owns the file for as long as its layer lives.
 */
import type { Address } from "@troupe/contract/Address"
import { withDefaults } from "@troupe/contract/Options"
import { ActorStore, type Commit, type RecordedReply, type ReplySegment, StoreError } from "@troupe/server/ActorStore"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as path from "node:path"
import type { ActorRow, CommitRow, Operations, SegmentRow } from "./internal/SqliteProtocol.ts"
import * as SqliteThread from "./internal/SqliteThread.ts"
import { unwrapConfig } from "./internal/unwrapConfig.ts"

/** What the store can be told. */
export interface Options {
  /**
   * The file. It is created if it does not exist; its directory must. SQLite keeps `-wal` and `-shm` files beside it, and
   * the store a `-lock` file while it is open. Whatever else reads or copies them has to be another process: to close them in
   * this one drops its locks.
   */
  readonly filename: string
  /**
   * How long recorded replies are kept, by the clock of the process. Clients are told.
   * Default: 24 hours.
   */
  readonly retention?: Duration.DurationInput
  /**
   * How often a transaction is tried again that failed for a passing reason, like a full disk; not when the store is closing.
   * Default: 5.
   */
  readonly retriesMax?: number
  /** The wait before the first of these; it doubles each time, up to a second. Default: 10 milliseconds. */
  readonly retryDelay?: Duration.DurationInput
  /** How often replies that have expired are deleted. They are not read any more before that. Default: 10 minutes. */
  readonly sweepInterval?: Duration.DurationInput
}

/** The defaults of `Options`. */
export const defaults: Required<Omit<Options, "filename">> = {
  retention: "24 hours",
  retriesMax: 5,
  retryDelay: "10 millis",
  sweepInterval: "10 minutes"
}

/**
 * The file could not be opened, and nothing in it was changed. Trying again helps when it was in use, or when somebody has
 * done something about the reason.
 */
export class SqliteOpenError extends Schema.TaggedError<SqliteOpenError>("@troupe/node/SqliteOpenError")(
  "SqliteOpenError",
  {
    filename: Schema.String,
    kind: Schema.Literal(
      "NoFile",
      "DirectoryMissing",
      "NotAccessible",
      "InUse",
      "NotADatabase",
      "Damaged",
      "OtherApplication",
      "NewerVersion",
      "Failed"
    ),
    /** A sentence on it. */
    reason: Schema.String
  }
) {
  override get message() {
    return `the store ${this.filename} cannot be opened: ${this.reason}`
  }
}

/** How many segments one sweep looks at, so that commits need not wait long behind it. */
const sweepRowsMax = 1000

const open = (
  { filename, retention, retriesMax, retryDelay }: Required<Options>
): Effect.Effect<SqliteThread.SqliteThread, SqliteOpenError, Scope.Scope> => {
  if (filename === "" || filename === ":memory:") {
    const reason = "it is no file; for a store in memory there is ActorStore.layerMemory"
    return new SqliteOpenError({ filename, kind: "NoFile", reason })
  }
  return SqliteThread.open({
    filename: path.resolve(filename),
    retentionMillis: Duration.toMillis(retention),
    retriesMax,
    retryDelayMillis: Duration.toMillis(retryDelay)
  }).pipe(Effect.mapError((refusal) => new SqliteOpenError({ filename, ...refusal })))
}

const toActor = ({ contract, key }: Address): ActorRow => ({ name: contract, key })

/** The body of a segment: shorter than objects, and one text for SQLite. */
const encodeReplies = (replies: ReadonlyArray<RecordedReply>): string =>
  JSON.stringify(replies.map(({ call, exit, session }) => [session, call, exit]))

const isReply = (value: unknown): value is readonly [session: string, call: number, exit: string] =>
  Array.isArray(value) && typeof value[0] === "string" && Number.isSafeInteger(value[1]) && typeof value[2] === "string"

/** A recorded answer is sent as it is: one that is no JSON would spoil the message of a link. */
const decodeReply = (value: unknown): RecordedReply => {
  if (!isReply(value)) throw new Error("it is no reply")
  const [session, call, exit] = value
  JSON.parse(exit)
  return { session, call, exit }
}

/** Throws if somebody else has written it. */
const decodeSegment = ({ body, seq }: SegmentRow): ReplySegment => ({
  seq,
  replies: (JSON.parse(body) as Array<unknown>).map(decodeReply)
})

const noChanges: CommitRow["alarms"] = []

const toRow = (commit: Commit): CommitRow => {
  const { address, alarms = noChanges, destroy = false, epoch, fsync, replies, settledSegments, state, version } =
    commit
  return {
    ...toActor(address),
    epoch,
    version,
    state,
    body: replies.length > 0 ? encodeReplies(replies) : undefined,
    settledSegments,
    alarms,
    destroy,
    fsync
  }
}

/** SQLite keeps text as UTF-8, which has no lone surrogates: two keys that differ there would be one. */
const checkAddress = ({ contract, key }: Address): Effect.Effect<void, StoreError> =>
  /\p{Surrogate}/u.test(contract + key)
    ? new StoreError({ operation: "claim", message: "a name or a key is not well-formed Unicode" })
    : Effect.void

const toStore = (
  thread: SqliteThread.SqliteThread,
  { filename, retention }: Required<Options>
): typeof ActorStore.Service => {
  const ask = <Name extends keyof Operations & StoreError["operation"]>(
    operation: Name,
    argument: Parameters<Operations[Name]>[0]
  ) =>
    Effect.mapError(
      thread.ask(operation, argument),
      (message) => new StoreError({ operation, message: `${filename}: ${message}` })
    )
  return {
    retentionMillis: Duration.toMillis(retention),
    nextEpoch: ask("epoch", undefined),
    claim: (address) => Effect.zipRight(checkAddress(address), ask("claim", toActor(address))),
    replies: (address) =>
      Effect.flatMap(ask("replies", toActor(address)), (segments) =>
        Effect.try({
          try: () => segments.map(decodeSegment),
          // what is wrong with it would quote it
          catch: () => new StoreError({ operation: "replies", message: `${filename}: recorded replies cannot be read` })
        })),
    alarms: (query) => ask("alarms", query),
    commit: (batch) => Effect.suspend(() => ask("commit", batch.map(toRow)))
  }
}

/** Deletes what has expired, from the oldest on. */
const sweep = (thread: SqliteThread.SqliteThread): Effect.Effect<void> =>
  thread.ask("sweep", sweepRowsMax).pipe(
    Effect.repeat({ while: (deleted) => deleted === sweepRowsMax }),
    Effect.catchAll((message) => Effect.logWarning(`expired replies could not be deleted: ${message}`))
  )

const make = Effect.fnUntraced(function*(options: Options) {
  const all = withDefaults(defaults, options) as Required<Options>
  const thread = yield* open(all)
  // a layer may be built where nothing can be interrupted, and a fiber takes that over
  const swept = Effect.exit(sweep(thread)) // whatever it ends with: a logger may throw
  yield* Effect.forkScoped(Effect.interruptible(Effect.forever(Effect.delay(swept, all.sweepInterval))))
  return toStore(thread, all)
})

/**
 * Keeps actors in a SQLite file. Fails with `SqliteOpenError` if the file is in use, damaged, not accessible, or not a
 * store of ours. When the layer's scope closes, what was asked is done first, and then the file is checkpointed and closed.
 */
export const layer = (options: Options): Layer.Layer<ActorStore, SqliteOpenError> =>
  Layer.scoped(ActorStore, make(options))

/** The same, with options from the configuration. */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<ActorStore, ConfigError.ConfigError | SqliteOpenError> =>
  Layer.scoped(ActorStore, Effect.flatMap(unwrapConfig(options), make))
