/**
 * The calls of a session, in call order: those that wait to be sent, in a queue within bounds, and those that wait for
 * their answer. A call keeps its text and its place until its answer has arrived, because it may have to be sent again.
 */
import type { Address } from "@troupe/contract/Address"
import type { CallSpan } from "@troupe/contract/CallSpan"
import {
  ActorDestroyed,
  CallRejected,
  ConnectionClosed,
  type ConnectionError,
  OutcomeUnknown,
  QueueFull
} from "@troupe/contract/ConnectionError"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import * as Delivery from "@troupe/contract/Delivery"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import type { RpcCodec } from "@troupe/contract/protocol/Codec"
import { SparseMap } from "@troupe/contract/Sparse"
import type { Watched } from "@troupe/contract/Watched"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type { StreamReader } from "./StreamReader.ts"

/** How a call was handed to a link: first, unless it says otherwise. */
export interface Sending {
  /** In milliseconds since the epoch. */
  readonly at: number
  readonly incarnation: number
  readonly connectionId: ConnectionId
  /** Where it was sent last. */
  activation: string
}

/** What was told before this, in milliseconds since the epoch, the server may have forgotten. */
export const keptSince = (now: number, retentionMillis: number): number => now - retentionMillis * Delivery.resendShare

/** What holds for calls that were sent on a connection that is lost. */
export interface Terms {
  readonly address: Address
  /** Of the connection that was granted last. */
  readonly incarnation: number
  readonly activation: string
  readonly keptSince: number
  /** When the server was last heard of on a connection of the session. */
  readonly heardUntil: number
}

/** One call, until it has ended. */
export interface Call {
  readonly number: number
  readonly codec: RpcCodec
  /** The encoded request. */
  readonly text: string
  readonly bytes: number
  readonly end: (exit: Exit.Exit<unknown, unknown>) => void
  /** Who reads its values, if it is a stream. */
  readonly reader: StreamReader | undefined
  /** Its span, if somebody looks at spans. */
  readonly span: CallSpan | undefined
  /** Undefined if it was never handed to a link. */
  sent: Sending | undefined
  cancelled: boolean
}

export interface Bounds {
  readonly pendingCallsMax: number
  readonly pendingBytesMax: number
}

/** Whether a call was first sent so long ago that another run of it would not be known for one. */
export const isOverdue = ({ codec }: Call, sent: Sending, keptSince: number): boolean =>
  // for those of which nothing is: see `mayBeForgotten`
  Delivery.isRecorded(codec) && sent.at < keptSince

/** Whether a call that runs beside the turns, if it has arrived, is not known any more where it would be sent again. */
const mayBeForgotten = ({ codec }: Call, { activation }: Sending, terms: Terms): boolean =>
  codec.forked && (activation !== terms.activation || terms.heardUntil < terms.keptSince)

/** How many cancelled entries the queue may hold in any case. */
const cancelledMax = 64

const sentOf = (call: Call) => call.sent ? "maybe" : "no"

/** Why a call that was sent on a connection that is lost is not sent again. */
const obstacle = (call: Call, sent: Sending, terms: Terms): ConnectionError | undefined => {
  if (sent.incarnation !== terms.incarnation) return new ActorDestroyed({ address: terms.address, sent: "maybe" })
  const forgotten = mayBeForgotten(call, sent, terms)
  switch (Delivery.of(call.codec.rpc)) {
    case "idempotent":
      // the values of a second run need not go on where the first has stopped
      return forgotten && call.reader?.begun ? unknown(forgottenBecause) : undefined
    case "at-most-once":
      return unknown("the connection was lost, and the rpc is delivered at most once")
    case "exactly-once":
      if (forgotten) return unknown(forgottenBecause)
      return isOverdue(call, sent, terms.keptSince)
        ? unknown("it was sent longer ago than the server keeps answers")
        : undefined
  }
}

const forgottenBecause =
  "it runs beside the turns: if it had begun, it was lost with the actor's stay in memory, or its client was away for too long"

const unknown = (cause: string) => new OutcomeUnknown({ cause, sent: "maybe" })

export class Calls {
  /** The number of the next call. */
  next = 1
  private readonly pending = new SparseMap<number, Call>()
  /** Made for the first call that has to wait: most connections never see one. */
  private queue: Queue.Queue<Call> | undefined
  /** Calls to be sent again, before those that have never been. */
  private again: Array<Call> = []
  private bytes = 0
  /** How many entries of the queue have been cancelled. */
  private cancelled = 0

  constructor(
    private readonly bounds: Bounds,
    /** How many have not ended. */
    private readonly shown: Watched<number>
  ) {}

  get count(): number {
    return this.pending.size
  }

  /** Why another call cannot be taken: not now, or never. */
  full(bytes: number): QueueFull | CallRejected | undefined {
    const { pendingCallsMax, pendingBytesMax } = this.bounds
    if (bytes > pendingBytesMax) {
      const issue = `the call has ${bytes} bytes, the client takes ${pendingBytesMax} (pendingBytesMax)`
      return new CallRejected({ issue, sent: "no" })
    }
    if (this.pending.size >= pendingCallsMax) {
      return new QueueFull({ limit: "pendingCallsMax", max: pendingCallsMax, sent: "no" })
    }
    return this.bytes + bytes > pendingBytesMax
      ? new QueueFull({ limit: "pendingBytesMax", max: pendingBytesMax, sent: "no" })
      : undefined
  }

  /** A call that waits to be sent. */
  add(call: Call): void {
    this.queue ??= Effect.runSync(Queue.unbounded<Call>())
    this.queue.unsafeOffer(call)
    this.begin(call)
  }

  /** A call that does not wait: for one that is sent at once, while `isEmpty`, so that it overtakes none. */
  begin(call: Call): void {
    this.pending.set(call.number, call)
    this.bytes += call.bytes
    this.shown.set(this.pending.size)
  }

  /** Whether no call waits to be sent. */
  get isEmpty(): boolean {
    return this.again.length === 0 && this.queued === 0
  }

  get(number: number): Call | undefined {
    return this.pending.get(number)
  }

  /** The call has ended, or was cancelled: its share is given back at once. */
  remove(call: Call): void {
    if (!this.pending.delete(call.number)) return
    this.bytes -= call.bytes
    this.shown.set(this.pending.size)
  }

  /** The caller does not wait any more. What was sent stays with the server; what was not is dropped from the queue. */
  cancel(call: Call): void {
    call.cancelled = true
    this.remove(call)
    if (call.sent) return
    this.cancelled++
    if (this.cancelled > cancelledMax && this.cancelled > this.pending.size) this.compact()
  }

  /** Cancelled entries are skipped when they are met; while nothing is sent, there must not be more and more of them. */
  private compact(): void {
    const { queue } = this
    if (!queue) return
    const calls = Effect.runSync(Queue.takeAll(queue))
    for (const call of calls) if (!call.cancelled) queue.unsafeOffer(call)
    this.cancelled = 0
  }

  /** How many entries the queue has, those that were cancelled too. */
  get queued(): number {
    return this.queue ? Option.getOrElse(this.queue.unsafeSize(), () => 0) : 0
  }

  private takeQueued(max: number): Iterable<Call> {
    return this.queue ? Effect.runSync(Queue.takeUpTo(this.queue, max)) : []
  }

  /** Ends a call with the answer the server gave. */
  end(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    this.remove(call)
    call.end(exit)
  }

  /** Up to `max` calls to send, in call order. */
  take(max: number): ReadonlyArray<Call> {
    const live: Array<Call> = []
    while (live.length < max && !this.isEmpty) {
      for (const call of this.takeWaiting(max - live.length)) {
        if (this.pending.get(call.number) === call) live.push(call)
        else if (call.cancelled && !call.sent) this.cancelled--
      }
    }
    return live
  }

  private takeWaiting(max: number): ReadonlyArray<Call> {
    const again = this.again.splice(0, max)
    return again.length < max ? [...again, ...this.takeQueued(max - again.length)] : again
  }

  /** Calls below this number have been answered. */
  get settledBelow(): number {
    for (const number of this.pending.keys()) return number
    return this.next
  }

  /** Calls from this number on have never been handed to a link. */
  get sentBelow(): number {
    for (const call of this.pending.values()) if (!call.sent) return call.number
    return this.next
  }

  /** The numbers of the calls that may have reached the server. */
  get sent(): ReadonlyArray<number> {
    return Array.from(this.pending.values()).flatMap((call) => call.sent ? [call.number] : [])
  }

  /** Nothing is known of the connection's memory any more: what was sent has to be sent again, or ends. */
  sendAgain(terms: Terms): void {
    this.again = []
    for (const call of Array.from(this.pending.values())) {
      if (!call.sent) continue
      const error = obstacle(call, call.sent, terms)
      if (error) this.end(call, Exit.fail(error))
      else this.again.push(call)
    }
  }

  /** The server does not know how a call has ended. */
  lost(number: number): void {
    const call = this.pending.get(number)
    if (call) this.end(call, Exit.fail(unknown("the server does not know how it has ended")))
  }

  /** There is no connection: those who look at spans are told. */
  onWaiting(attempt: number, cause: string): void {
    for (const { span } of this.pending.values()) span?.event("waiting", { attempt, cause })
  }

  /** There is one again, and they are about to be sent. */
  onConnected(resumed: boolean): void {
    for (const { span } of this.pending.values()) {
      span?.event("connected", { resumed, "backoff.millis": span.millisSince("last") })
    }
  }

  /** Ends all calls. */
  close(reason: DisconnectReason): void {
    for (const call of Array.from(this.pending.values())) {
      const error: ConnectionError = new ConnectionClosed({ reason, sent: sentOf(call) })
      this.end(call, Exit.fail(error))
    }
  }
}
