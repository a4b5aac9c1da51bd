/** What the SQLite store asks of its thread, and what it is told. Types only: the thread itself is JavaScript. */
import type { AlarmChange, AlarmQuery, Claim, CommitResult, Position } from "@troupe/server/ActorStore"

/** How the thread is started. */
export interface WorkerOptions {
  /** An absolute path. */
  readonly filename: string
  readonly retentionMillis: number
  readonly retriesMax: number
  readonly retryDelayMillis: number
  /** Shared. It holds 1 once the thread is to be closed, and whoever waits for it is woken then. */
  readonly closing: Int32Array
}

/** Why a file was not opened: in one word for programs, and in a sentence for people. */
export interface Refusal {
  readonly kind:
    | "NoFile"
    | "DirectoryMissing"
    | "NotAccessible"
    | "InUse"
    | "NotADatabase"
    | "Damaged"
    | "OtherApplication"
    | "NewerVersion"
    | "Failed"
  readonly reason: string
}

/** The first message of the thread. After a refusal it ends. */
export type Opening = { readonly refusal: Refusal | undefined }

/** An address, as columns. */
export interface ActorRow {
  readonly name: string
  readonly key: string
}

/** A segment of replies; the body is JSON, `[session, call, exit]` for each. */
export interface SegmentRow {
  readonly seq: number
  readonly body: string
}

/** One actor's commit. */
export interface CommitRow extends ActorRow {
  readonly epoch: number
  readonly version: number
  readonly state: string | undefined
  /** The body of the new segment; undefined if there is none. */
  readonly body: string | undefined
  readonly settledSegments: ReadonlyArray<number>
  readonly alarms: ReadonlyArray<AlarmChange>
  readonly destroy: boolean
  readonly fsync: boolean
}

/** What the thread can do. */
export interface Operations {
  readonly epoch: (nothing: undefined) => number
  readonly claim: (actor: ActorRow) => Claim
  readonly replies: (actor: ActorRow) => ReadonlyArray<SegmentRow>
  readonly alarms: (query: AlarmQuery) => ReadonlyArray<Position>
  readonly commit: (batch: ReadonlyArray<CommitRow>) => ReadonlyArray<CommitResult>
  /**
   * Deletes at most `rowsMax` expired segments of the table of replies, as many of the actors' rows, and as many traces of
   * actors that were destroyed as long ago. Says how many it was of one kind at most: if `rowsMax`, there may be more.
   */
  readonly sweep: (rowsMax: number) => number
  /** Ends the thread. What was asked before is done before. */
  readonly close: (nothing: undefined) => void
}

/** One question. */
export type Request = {
  readonly [Name in keyof Operations]: {
    readonly id: number
    readonly operation: Name
    readonly argument: Parameters<Operations[Name]>[0]
  }
}[keyof Operations]

/** All questions of one tick: they are answered together, out of one transaction. */
export interface Batch {
  readonly nowMillis: number
  readonly requests: ReadonlyArray<Request>
}

/** The answer to one question. */
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }
