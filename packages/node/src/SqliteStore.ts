/**
 * Actors in a SQLite file. All SQL runs in a worker thread, so that no commit blocks the event loop; the file is locked for
 * as long as the store is open.
 */
import type { Address } from "@troupe/contract/Address"
import { ActorStore, type Claim, type CommitResult, type ReplySegment, StoreError } from "@troupe/server/ActorStore"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"

/** What the store can be told. */
export interface Options {
  /** The file. It is created if it does not exist; its directory must. */
  readonly filename: string
  /** How long recorded replies are kept. Must not be shorter than the host's retention. Default: 24 hours. */
  readonly retention?: Duration.DurationInput
}

/** The file could not be opened. Nothing was changed in it. */
export class SqliteOpenError extends Schema.TaggedError<SqliteOpenError>("@troupe/node/SqliteOpenError")(
  "SqliteOpenError",
  { filename: Schema.String, reason: Schema.String }
) {
  override get message() {
    return `the store ${this.filename} cannot be opened: ${this.reason}`
  }
}

type Operation = "nextEpoch" | "claim" | "replies" | "commit" | "close"

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
  readonly code?: string
}

type Settle = (answer: Answer) => void

/** The worker, and what has been asked of it. Number 0 is its start. */
class Connection {
  private readonly waiting = new Map<number, Settle>()
  private readonly worker: Worker
  private last = 0
  private dead: string | undefined

  constructor(options: { readonly filename: string; readonly retentionMillis: number }) {
    this.worker = new Worker(new URL("./internal/sqlite-worker.mjs", import.meta.url), { workerData: options })
    this.worker.on("message", (answer: Answer) => {
      const settle = this.waiting.get(answer.id)
      this.waiting.delete(answer.id)
      settle?.(answer)
    })
    this.worker.on("error", (error) => this.die(error.message))
    this.worker.on("exit", (code) => this.die(`the store's thread has ended with code ${code}`))
  }

  /** Waits for the worker's word on the file. */
  readonly started: Effect.Effect<void, Answer> = Effect.async((resume) => {
    this.expect(0, (answer) => resume(answer.error === undefined ? Effect.void : Effect.fail(answer)))
  })

  readonly ask = <A>(operation: Operation, argument?: unknown): Effect.Effect<A, string> =>
    Effect.async((resume) => {
      const id = ++this.last
      this.expect(
        id,
        ({ error, value }) => resume(error === undefined ? Effect.succeed(value as A) : Effect.fail(error))
      )
      if (this.dead === undefined) this.worker.postMessage({ id, operation, argument })
    })

  readonly terminate: Effect.Effect<void> = Effect.promise(() => this.worker.terminate()).pipe(Effect.asVoid)

  private expect(id: number, settle: Settle): void {
    if (this.dead === undefined) this.waiting.set(id, settle)
    else settle({ id, error: this.dead })
  }

  private die(why: string): void {
    this.dead ??= why
    for (const [id, settle] of this.waiting) settle({ id, error: why })
    this.waiting.clear()
  }
}

/** What went wrong, in words that help. */
const reasonOf = ({ code = "", error = "" }: Answer): string => {
  if (/BUSY|LOCKED/.test(code) || /locked/.test(error)) return "it is in use by another process or another store"
  if (/NOTADB/.test(code) || /not a database/.test(error)) return "it is not a SQLite database"
  if (/CORRUPT/.test(code) || /malformed/.test(error)) return "the database is damaged; restore it from a backup"
  if (/CANTOPEN/.test(code) || /: 14/.test(error)) return "its directory does not exist, or it is not accessible"
  return error
}

const open = ({ filename, retention = "24 hours" }: Options): Effect.Effect<Connection, SqliteOpenError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Connection({ filename, retentionMillis: Duration.toMillis(retention) })),
    (connection) => Effect.zipRight(Effect.ignore(connection.ask("close")), connection.terminate)
  ).pipe(
    Effect.tap((connection) =>
      Effect.mapError(connection.started, (answer) => new SqliteOpenError({ filename, reason: reasonOf(answer) }))
    )
  )

const plain = ({ contract, key }: Address) => ({ contract, key })

const toStore = (connection: Connection): typeof ActorStore.Service => {
  const ask = <A>(operation: StoreError["operation"], asked: Operation, argument?: unknown) =>
    Effect.mapError(connection.ask<A>(asked, argument), (message) => new StoreError({ operation, message }))
  return {
    nextEpoch: ask<number>("epoch", "nextEpoch"),
    claim: (address) => ask<Claim>("claim", "claim", plain(address)),
    replies: (address) => ask<ReadonlyArray<ReplySegment>>("replies", "replies", plain(address)),
    commit: (batch) =>
      ask<ReadonlyArray<CommitResult>>(
        "commit",
        "commit",
        batch.map(({ address, ...commit }) => ({ ...plain(address), ...commit }))
      )
  }
}

/**
 * Keeps actors in a SQLite file. Fails with `SqliteOpenError` if the file is locked by another process, damaged, or not
 * accessible.
 */
export const layer = (options: Options): Layer.Layer<ActorStore, SqliteOpenError> =>
  Layer.scoped(ActorStore, Effect.map(open(options), toStore))
