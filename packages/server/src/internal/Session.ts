/**
 * One `connect` call of a client, as an activation remembers it: its calls by number. It outlives its connections, so that
 * a call that is sent again joins the one that is queued, running or answered, and never runs beside it.
 */
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import { SparseMap } from "@troupe/contract/Sparse"
import type { Observed } from "./Observed.ts"
import type { Request } from "./Request.ts"
import type { TokenBucket } from "./TokenBucket.ts"
import type { Caller } from "./Turn.ts"
import { type Job, Lane } from "./TurnLoop.ts"

/** Where answers go; nothing is sent any more when it has ended. */
export interface ReplyTarget extends Caller {
  /** Sends the answer of a call, unless it is on its way already. */
  readonly reply: (call: CallEntry) => void
  /** Sends the chunk of a stream that its client is to acknowledge next, unless it is on its way already. */
  readonly sendChunk: (call: CallEntry) => void
  readonly end: (reason: DisconnectReason) => void
}

/** Stands for the encoded `Exit` of a call of which nobody knows how it has ended: the client is told `Lost`. */
export const lost = "{\"_tag\":\"Lost\"}"

/** The number of a call that is the only one of its name, as those between actors are. Those of a client count from 1. */
export const only = 0

/** What is known of one call until the client has its answer. */
export class CallEntry {
  /** The encoded `Exit`, once it may leave. */
  exit: string | undefined
  /** Whether that comes from a store, where others may have written it. */
  stored = false
  /** How much of what the session may have unread its answer is, in units of UTF-16. */
  bytes = 0
  /** The stored segment that holds the answer, if it was recorded. */
  segment: number | undefined
  /** The connection the answer was last sent on. */
  sentOn: ReplyTarget | undefined
  /** What runs it; undefined once answered. */
  job: Job | undefined
  /** Interrupts its handler, if that runs beside the turns. */
  interrupt: (() => void) | undefined
  /** Whether it gives values for as long as somebody reads them. */
  streams = false
  /** How many chunks of a stream have been sent. */
  chunks = 0
  /** The last of them, if the client has not acknowledged it yet, and the connection it was last sent on. */
  chunk: { readonly text: string; readonly acknowledged: () => void; sentOn: ReplyTarget | undefined } | undefined
  /** What its handler was given as the request, if it ran in this activation. */
  request: Request | undefined
  /** See `Request.rememberedUntil`. */
  rememberedUntil = Infinity
  /** What others see of it, if it runs in this activation. */
  observed: Observed | undefined

  constructor(readonly number: number) {}

  /** A call that was answered in an earlier activation. */
  static answered(number: number, exit: string, segment: number | undefined): CallEntry {
    const entry = new CallEntry(number)
    entry.exit = exit
    entry.stored = true
    entry.segment = segment
    return entry
  }

  /** The client has read this chunk. It may have said so before, on another connection. */
  acknowledge(chunk: number): void {
    if (chunk === this.chunks) this.chunk?.acknowledged()
  }
}

export class Session {
  /** The session's calls wait here, in call order. */
  readonly lane = new Lane()
  readonly calls = new SparseMap<number, CallEntry>()
  /** How many connections of it come, stand or go. */
  connections = 0
  /** The newest connection, which may have ended. */
  connection: ReplyTarget | undefined
  /** Which of the client's attempts to open a connection was the last that was admitted. */
  opening = 0
  /** Calls below this number have been answered, and the client has the answers. */
  settledBelow = 1
  /** The client will not come back: it has said so, or was away for too long. */
  gone = false
  /** How fast its calls are begun, if that is bounded. */
  pace: TokenBucket | undefined
  /**
   * Calls that the client sends again, and has not sent again yet. Some it may have the answers of by then: it resumes its
   * connection, says so, and sends them all the same, as it had begun to before.
   */
  private pending = new SparseMap<number, "unanswered" | "answered">()

  /** Answers that the client has not got, together, as `CallEntry.bytes`. */
  private unread = 0
  private full = false

  constructor(readonly id: string) {}

  /** The call has an answer. Returns whether no more calls should be taken until answers have been read. */
  keep(entry: CallEntry, answer: string, unreadMax: number): boolean {
    entry.bytes = answer.length
    this.unread += entry.bytes
    const filled = !this.full && this.unread > unreadMax
    this.full ||= filled
    return filled
  }

  /** The answer of a call need not be kept. Returns whether calls can be taken again. */
  drop(entry: CallEntry, unreadMax: number): boolean {
    this.unread -= entry.bytes
    entry.bytes = 0
    const emptied = this.full && this.unread <= unreadMax
    this.full &&= !emptied
    return emptied
  }

  /** A new connection is opened, on which the client sends these calls again. */
  expect(pending: ReadonlyArray<number>): void {
    this.pending = new SparseMap()
    for (const number of pending) this.pending.set(number, "unanswered")
  }

  /** Whether the client has said that it will send the call again, and what it had got by now. Asked once for each. */
  expected(number: number): "unanswered" | "answered" | undefined {
    const expected = this.pending.get(number)
    this.pending.delete(number)
    return expected
  }

  /** The client has the answer of a call. */
  settle(entry: CallEntry): void {
    if (this.calls.get(entry.number) !== entry) return
    this.calls.delete(entry.number)
    if (this.pending.has(entry.number)) this.pending.set(entry.number, "answered")
  }

  begin(number: number): CallEntry {
    const entry = new CallEntry(number)
    this.calls.set(number, entry)
    return entry
  }

  /** The call has been answered. Returns false if it has been forgotten meanwhile. */
  answer(entry: CallEntry, exit: string, segment: number | undefined): boolean {
    entry.exit = exit
    entry.segment = segment
    entry.job = undefined
    return this.calls.get(entry.number) === entry
  }

  /** The call has no answer, and nobody waits for one: it would run if it were sent again. */
  forget(entry: CallEntry): void {
    if (this.calls.get(entry.number) === entry) this.calls.delete(entry.number)
  }

  /** Whether nothing of it needs to be kept. */
  get disposable(): boolean {
    return this.calls.size === 0 && this.connections === 0
  }
}
