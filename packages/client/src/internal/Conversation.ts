/**
 * What is said on one connection, on one link after another: messages of both directions, numbered and in order; calls as
 * far as the credit goes; answers and events. It ends when the server does not know the connection any more.
 */
import { CallRejected, OutcomeUnknown } from "@troupe/contract/ConnectionError"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import type { Acknowledged } from "@troupe/contract/protocol/FrameWriter"
import { Inbox, Outbox } from "@troupe/contract/protocol/Sequence"
import { SparseSet } from "@troupe/contract/Sparse"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { type Call, type Calls, isOverdue, keptSince } from "./Calls.ts"
import type { ClientServices } from "./ClientServices.ts"
import type { Channel, OpenLink } from "./OpenLink.ts"
import type { Subscriptions } from "./Subscriptions.ts"

type MessageOf<Tag extends Frame.ServerMessage["_tag"]> = Extract<Frame.ServerMessage, { readonly _tag: Tag }>

/** The session that is spoken for. */
export interface ConversationOwner {
  readonly services: ClientServices
  readonly codec: Codec.ContractCodec
  readonly calls: Calls
  readonly subscriptions: Subscriptions
  /** The server has done what the protocol does not allow. */
  readonly onViolation: (issue: string) => void
}

/** What a message has around its payload. */
const envelopeBytesMax = 128

export class Conversation implements Acknowledged {
  readonly inbox = new Inbox()
  private readonly outbox = new Outbox<Call>()
  /** The calls that were sent and have no answer: what credit bounds. */
  private readonly inFlight = new SparseSet<number>()
  private token: string
  private resumptions = 0
  /** While it has no link: when the server was last heard of on one, in milliseconds since the epoch. */
  heardUntil = 0
  private readonly since: number

  constructor(
    private readonly opened: Frame.ServerFrameOf<"Opened">,
    /** Where it goes on now; undefined while there is no link for it. */
    private place: Channel | undefined,
    private readonly owner: ConversationOwner
  ) {
    this.token = opened.token
    this.since = this.now
  }

  private get now(): number {
    return this.owner.services.clock.unsafeCurrentTimeMillis()
  }

  get channel(): number {
    return this.place?.number ?? 0
  }

  get awaitsAnswer(): boolean {
    return this.place !== undefined && this.inFlight.size > 0
  }

  /** Whether it has lasted long enough for its end to be the first of a row. */
  get isStable(): boolean {
    return this.now - this.since >= this.owner.services.stableAfterMillis
  }

  // --- its links -----------------------------------------------------------------------------------------------------

  /** What resumes it, on another link each time. */
  nextResumption() {
    const { inbox: { received }, opened: { connectionId }, token } = this
    return { received, connectionId, token, resumption: ++this.resumptions }
  }

  /** The link is gone. */
  detach(): void {
    if (this.place) this.heardUntil = this.place.link.lastHeard
    this.place = undefined
  }

  /** Goes on where the server is. Returns false if it cannot: what is to be sent would be wrong there. */
  resume(place: Channel, { received, token }: Frame.ServerFrameOf<"Resumed">): boolean {
    this.token = token
    this.place = place
    // the server claims to have what was never sent
    if (!this.outbox.acknowledge(received)) return false
    if (this.outbox.some((call) => this.isTooLate(call))) return false
    this.owner.calls.onConnected(true)
    const { writer } = place.link
    this.outbox.replay((seq, text) => writer.write(Frame.encodeMessage(place.number, seq, text)))
    // shows the server that the new token has arrived
    writer.acknowledge(this)
    this.pump()
    return true
  }

  /** A call that an earlier connection may have brought about, and that has been on its way on this one for too long. */
  private isTooLate(call: Call): boolean {
    const { connectionId, retentionMillis } = this.opened
    return call.sent !== undefined && call.sent.connectionId !== connectionId
      && isOverdue(call, call.sent, keptSince(this.now, retentionMillis))
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  /** Sends a message in its place among the calls; without a link, when there is one again. */
  send(text: string, call?: Call): void {
    // calls are bounded where they wait for their answers
    const seq = this.outbox.push(text, 0, call)
    this.place?.link.writer.write(Frame.encodeMessage(this.place.number, seq, text))
  }

  /** How many calls may be sent now. */
  private get credit(): number {
    return this.place && !this.place.link.draining ? this.opened.window - this.inFlight.size : 0
  }

  /** Sends a call at once, if it may and none waits; otherwise it waits behind them. */
  call(call: Call): void {
    const { calls } = this.owner
    if (this.credit > 0 && calls.isEmpty) {
      calls.begin(call)
      return this.sendCall(call)
    }
    calls.add(call)
    this.pump()
  }

  /** Sends the calls that wait, as far as the credit goes. */
  pump(): void {
    // what is too large ends here, and leaves its credit to those behind it
    for (let calls = this.takeCalls(); calls.length > 0; calls = this.takeCalls()) {
      for (const call of calls) this.sendCall(call)
    }
  }

  private takeCalls(): ReadonlyArray<Call> {
    return this.owner.calls.take(this.credit)
  }

  private sendCall(call: Call): void {
    const issue = sizeIssue(call, this.place!.link.messageBytesMax)
    if (issue) return this.owner.calls.end(call, this.rejected(call, issue))
    call.span?.event(call.sent ? "sent again" : "sent", { "queue.millis": call.span.millisSince("begun") })
    const { activation, connectionId, incarnation } = this.opened
    if (call.sent) call.sent.activation = activation
    else call.sent = { at: this.now, incarnation, connectionId, activation }
    this.inFlight.add(call.number)
    this.send(call.text, call)
  }

  // --- hearing -------------------------------------------------------------------------------------------------------

  onAck({ received }: Frame.ServerFrameOf<"Ack">): void {
    if (!this.outbox.acknowledge(received)) this.owner.onViolation("the server acknowledged what was never sent")
  }

  onMessage({ seq, payload }: Frame.ServerFrameOf<"Message">): void {
    if (!this.place) return
    this.acknowledge(this.place.link, payload)
    const position = this.inbox.accept(seq)
    if (position === "gap") {
      return this.owner.onViolation(`message ${seq} came after message ${this.inbox.received}`)
    }
    if (position === "next") this.onServerMessage(payload)
  }

  /** Answers at once: what the server keeps of them is no longer needed. Events with what is sent next, or if many wait. */
  private acknowledge({ heardBytes, writer }: OpenLink, { _tag }: Frame.ServerMessage): void {
    this.inbox.unacknowledged += heardBytes
    if (_tag === "Event" && this.inbox.unacknowledged <= this.opened.unacknowledgedMax) writer.acknowledgeLater(this)
    else writer.acknowledge(this)
  }

  /** An event that has no number: it is not acknowledged. */
  onLatest({ payload, sender }: Frame.ServerFrameOf<"Latest">): void {
    this.onEvent(payload, sender)
  }

  private onServerMessage(message: Frame.ServerMessage): void {
    const { subscriptions } = this.owner
    switch (message._tag) {
      case "Exit":
      case "Rejected":
        return this.onAnswer(message)
      case "Subscribed":
        return subscriptions.acknowledged(message.event)
      case "Chunk":
        return this.onChunk(message)
      case "Lost":
        this.owner.calls.lost(message.requestId)
        return this.onSettled(message.requestId)
      case "SubscribeRejected":
        return subscriptions.rejected(message.event, message.issue)
      case "Event":
        return this.onEvent(message)
    }
  }

  private onAnswer(message: MessageOf<"Exit" | "Rejected">): void {
    const { calls } = this.owner
    const call = calls.get(message.requestId)
    if (call) calls.end(call, message._tag === "Exit" ? exitOf(call, message) : this.rejected(call, message.issue))
    this.onSettled(message.requestId)
  }

  /** A call is not taken here. It has not run, unless it did so where it was sent before. */
  private rejected({ sent }: Call, issue: string): Exit.Exit<never, CallRejected | OutcomeUnknown> {
    if (!sent || sent.connectionId === this.opened.connectionId)
      return Exit.fail(new CallRejected({ issue, sent: "no" }))
    return Exit.fail(new OutcomeUnknown({ cause: `it was sent before, and is rejected now: ${issue}`, sent: "maybe" }))
  }

  /** The server has nothing more to say of a call. */
  private onSettled(requestId: number): void {
    this.inFlight.delete(requestId)
    this.pump()
    if (this.place?.link.draining) this.owner.services.onAnswered()
  }

  private onChunk({ requestId, index, values }: MessageOf<"Chunk">): void {
    const call = this.owner.calls.get(requestId)
    if (!call?.reader || !call.codec.element) return
    const decoded: Array<unknown> = []
    for (const value of values) {
      const result = call.codec.element.decode(value)
      if (Either.isLeft(result)) {
        return this.owner.onViolation(`${call.codec.element.what} does not decode: ${Codec.describe(result.left)}`)
      }
      decoded.push(result.right)
    }
    if (!call.reader.offer(index, decoded)) this.owner.onViolation(`chunk ${index} came before it was asked for`)
  }

  private onEvent({ event, payload }: MessageOf<"Event">, sender?: number): void {
    const decoded = this.owner.codec.events.get(event)?.decode(payload)
    if (!decoded) return
    if (Either.isRight(decoded)) return this.owner.subscriptions.event(event, decoded.right, sender)
    this.owner.onViolation(`the event ${event} does not decode: ${Codec.describe(decoded.left)}`)
  }
}

/** A message that is too long for the server would cost the link, again and again. */
const sizeIssue = ({ bytes }: Call, messageBytesMax: number): string | undefined => {
  const max = messageBytesMax - envelopeBytesMax
  return bytes > max ? `the call has ${bytes} bytes, the server takes ${max} (messageBytesMax)` : undefined
}

const exitOf = ({ codec }: Call, { exit }: MessageOf<"Exit">): Exit.Exit<unknown, unknown> => {
  const decoded = codec.exit.decode(exit)
  return Either.isRight(decoded)
    ? decoded.right as Exit.Exit<unknown, unknown>
    : Exit.die(new Error(`${codec.exit.what} does not decode: ${Codec.describe(decoded.left)}`))
}
