/**
 * Answers that are kept until their clients have them: which stored segment holds which, and those of earlier activations,
 * for clients that come back and ask for calls this one has not seen.
 */
import type { Address } from "@troupe/contract/Address"
import { SparseMap } from "@troupe/contract/Sparse"
import * as Effect from "effect/Effect"
import type { ActorStore, RecordedReply, StoreError } from "../ActorStore.ts"
import type { CommitPipeline } from "./CommitPipeline.ts"
import { CallEntry, only, type Session } from "./Session.ts"

/** The answered calls of a session by number, kept from a moment on, in milliseconds. */
class KeptCalls extends Map<number, CallEntry> {
  constructor(readonly since: number, entries: Iterable<readonly [number, CallEntry]> = []) {
    super(entries)
  }
}

/** Answered calls by session, then by number. */
export type RecordedReplies = SparseMap<string, KeptCalls>

export const none = (): RecordedReplies => new SparseMap()

/** Replies to calls between actors, as they are kept from a moment on, in milliseconds. */
export const ofNamed = (replies: Iterable<RecordedReply>, since: number): RecordedReplies => {
  const all = none()
  for (const { call, exit, session } of replies) {
    all.set(session, new KeptCalls(since, [[call, CallEntry.answered(call, exit, undefined)]]))
  }
  return all
}

/** Whose answers they are. */
export interface RecordedOwner {
  readonly services: { readonly store: typeof ActorStore.Service }
  readonly address: Address
  readonly turns: { readonly durable: boolean; readonly pipeline: Pick<CommitPipeline, "settleSegment"> }
}

/** What is kept of an entry when its activation goes: not the connection it was sent on. */
const bare = ({ exit, number, segment }: CallEntry): CallEntry => CallEntry.answered(number, exit!, segment)

export class Recorded {
  /** How many answers of a segment have not reached their clients. */
  private readonly unsettled = new SparseMap<number, number>()
  /** Whether what earlier activations recorded is here. */
  private loaded = false

  constructor(
    private readonly owner: RecordedOwner,
    private readonly replies: RecordedReplies,
    /** The version this activation began at: what was recorded later is in memory. */
    private readonly since: number
  ) {}

  /** A segment has been stored. All its answers are counted before the first of them can be settled. */
  begin(segment: number, answers: number): void {
    this.unsettled.set(segment, answers)
  }

  /** An answer is not needed any more. A segment of which none is, is deleted. */
  settle(entry: CallEntry): void {
    const { segment } = entry
    if (segment === undefined) return
    // once: whoever says so again must not take another answer's place
    entry.segment = undefined
    const left = (this.unsettled.get(segment) ?? 1) - 1
    if (left > 0) return void this.unsettled.set(segment, left)
    this.unsettled.delete(segment)
    this.owner.turns.pipeline.settleSegment(segment)
  }

  /** Gives a session the answers recorded for it, and returns them. */
  handTo(session: Session): ReadonlyArray<CallEntry> {
    const entries = Array.from(this.replies.get(session.id)?.values() ?? [])
      .filter(({ number }) => !session.calls.has(number))
    for (const entry of entries) session.calls.set(entry.number, entry)
    this.replies.delete(session.id)
    return entries
  }

  /** Takes one answer out. */
  take(session: string, number: number): CallEntry | undefined {
    const calls = this.replies.get(session)
    const entry = calls?.get(number)
    if (!calls || !entry) return undefined
    calls.delete(number)
    if (calls.size === 0) this.replies.delete(session)
    return entry
  }

  /**
   * What is left, with the answers of the sessions that are still here, and of calls that are named like sessions. What was
   * left before for as long as the retention is dropped: nobody may ask for it any more.
   */
  withSessions(
    sessions: Iterable<Session>,
    named: Iterable<readonly [session: string, entry: CallEntry]>,
    { now, retentionMillis }: { readonly now: number; readonly retentionMillis: number }
  ): RecordedReplies {
    const all = none()
    for (const [session, calls] of this.replies) if (now - calls.since < retentionMillis) all.set(session, calls)
    for (const [session, entry] of named) all.set(session, new KeptCalls(now, [[entry.number, bare(entry)]]))
    for (const session of sessions) {
      const answered = Array.from(session.calls.values()).filter(({ exit }) => exit !== undefined)
      if (answered.length > 0)
        all.set(session.id, new KeptCalls(now, answered.map((entry) => [entry.number, bare(entry)] as const)))
    }
    return all
  }

  /** The answers to calls between actors that nobody has asked for here. */
  *named(): Iterable<readonly [session: string, entry: CallEntry]> {
    for (const [session, calls] of this.replies) {
      const entry = calls.get(only)
      if (entry) yield [session, entry]
    }
  }

  /** Reads what earlier activations recorded, the first time. */
  get load(): Effect.Effect<void, StoreError> {
    return Effect.suspend(() => {
      const { address, services: { store }, turns } = this.owner
      if (this.loaded || !turns.durable || this.since === 0) return Effect.void
      return Effect.map(store.replies(address), (segments) => {
        if (this.loaded) return
        this.loaded = true
        for (const { seq, replies } of segments) {
          if (seq > this.since) continue
          this.unsettled.set(seq, replies.length)
          for (const { session, call, exit } of replies) this.add(session, CallEntry.answered(call, exit, seq))
        }
      })
    })
  }

  private add(session: string, entry: CallEntry): void {
    const calls = this.replies.get(session) ?? new KeptCalls(0)
    this.replies.set(session, calls.set(entry.number, entry))
  }
}
