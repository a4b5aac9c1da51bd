/**
 * A session's place at one activation: the connection the actor sees. It numbers what it sends and keeps it until the
 * client has it, so that it survives the loss of its link.
 */
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Frame from "@troupe/contract/protocol/Frame"
import type { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import { Inbox, Outbox } from "@troupe/contract/protocol/Sequence"
import { SparseSet } from "@troupe/contract/Sparse"
import * as Effect from "effect/Effect"
import type * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type * as LogAnnotations from "./LogAnnotations.ts"
import type { Meters } from "./Meters.ts"
import { type Fresh, Newest } from "./Newest.ts"
import type { Services } from "./Services.ts"
import { type CallEntry, lost, type ReplyTarget, type Session } from "./Session.ts"
import { Shown } from "./Shown.ts"
import { Cell, type Turn, type TurnAccess, TurnRef } from "./Turn.ts"
import type { Job } from "./TurnLoop.ts"

/** The activation a connection belongs to, as far as it needs to know. */
export interface Owner {
  readonly services: Services
  readonly registration: { readonly meters: Meters }
  /** How often the actor has been destroyed before. */
  readonly incarnation: number
  /** What no other activation is called. */
  readonly name: string
  readonly turns: TurnAccess & { readonly stage: (f: (turn: Turn) => Effect.Effect<void>) => Effect.Effect<void> }
  readonly stageEvent: (
    event: string,
    payload: unknown,
    recipients: () => Iterable<Recipient>
  ) => Effect.Effect<void>
  /** The connections that keep events of which only the latest counts, because their clients do not keep up. */
  readonly behind: SparseSet<ServerConnection>
  /** A message of the client, in order and seen for the first time. */
  readonly onMessage: (connection: ServerConnection, message: Frame.ClientMessage) => void
  /** The client has the answer of a call. */
  readonly onSettled: (session: Session, call: CallEntry) => void
  /** The connection takes and sends nothing any more; its hooks are to be run. */
  readonly onEnded: (connection: ServerConnection, reason: DisconnectReason) => void
}

/** Who an event is sent to. */
export interface Recipient {
  readonly pushEvent: (event: string, bytes: number) => void
  /** Of these only the latest counts. */
  readonly pushFresh: (fresh: Fresh) => void
}

/** What a client says to go on with a connection. */
export interface Resumption {
  readonly token: string
  readonly received: number
  readonly resumption: number
}

/** How many bytes of events a client may leave unacknowledged: it must not look slow for that. */
const unacknowledgedMax = (outboxBytesMax: number) => Math.min(64 * 1024, Math.floor(outboxBytesMax / 8))

/** A connection's channel on a link, as the gateway provides it. */
export interface Attachment {
  readonly channel: number
  readonly writer: FrameWriter
  /** Whether frames reach the client; if not, the link was lost, or the client has closed the channel. */
  readonly state: "open" | "lost" | "closed"
  /** Why the client has closed it, if it has. */
  readonly closedFor: DisconnectReason
  /** Who takes the frames of the channel. */
  connection: ServerConnection | undefined
  /** Whether the client keeps up, so that what is sent now is fresh when it arrives, and nobody else waits for that. */
  readonly hasRoom: boolean
  /** `connection.pushKept` is called when the client has caught up. */
  readonly awaitRoom: () => void
  /** The connection does not use the channel any more. */
  readonly release: () => void
}

const encodeAnswer = ({ number, stored }: CallEntry, exit: string): string => {
  if (exit === lost) return Frame.encodeLost(number)
  return stored ? Frame.encodeStoredExit(number, exit) : Frame.encodeExit(number, exit)
}

export class ServerConnection extends Shown implements ReplyTarget, Recipient {
  readonly state: Ref.Ref<any>
  logAnnotations: LogAnnotations.Annotations | undefined
  readonly inbox = new Inbox()
  /** Events the client has subscribed to. */
  readonly subscriptions = new SparseSet<string>()
  /** The changes of them that wait for their turn. */
  readonly subscribing = new SparseSet<Job>()
  /** The calls it has been asked for and has not answered: what the client's credit bounds. */
  readonly inFlight = new SparseSet<number>()
  /** Set when its `onConnect` is over, and committed. */
  stood = false
  /** Set when it has ended: nothing is sent or taken any more. */
  ended = false
  /** Set when it was refused: it has never stood, and none of its hooks is to be run. */
  refused = false
  /** Why it has ended. */
  private reason: DisconnectReason | undefined
  /** What `onConnect` has acquired, if there is such a hook. */
  scope: Scope.CloseableScope | undefined
  /** The turn of `onConnect`. */
  connectTurn: Turn | undefined
  token: string
  /** The token before, until the client has shown that it has the new one. */
  previousToken: string | undefined
  /** The count of the last `Resume` that was taken. */
  private resumption = 0
  private readonly outbox = new Outbox<CallEntry>()
  /** How many bytes of the outbox the metrics know of. */
  private measured = 0
  private readonly newest = new Newest()
  private attachment: Attachment | undefined

  constructor(
    private readonly owner: Owner,
    readonly session: Session,
    readonly id: ConnectionId,
    readonly params: any,
    state: unknown
  ) {
    super()
    this.state = new TurnRef(new Cell(state), owner.turns)
    this.token = owner.services.secrets.next()
  }

  get channel(): number {
    return this.attachment?.channel ?? 0
  }

  toJSON(): unknown {
    return { _id: "Connection", id: this.id }
  }

  // --- what the actor does -------------------------------------------------------------------------------------------

  readonly send = (event: string, payload: unknown): Effect.Effect<void> =>
    this.owner.stageEvent(event, payload, () => this.subscriptions.has(event) ? [this] : [])

  readonly disconnect = (reason?: string): Effect.Effect<void> =>
    this.owner.turns.stage((turn) => {
      turn.disconnects.push(() => this.end({ _tag: "Disconnected", ...(reason === undefined ? {} : { reason }) }))
      return Effect.void
    })

  // --- sending -------------------------------------------------------------------------------------------------------

  /**
   * Sends a message, or keeps it until there is a link again. A full outbox ends the connection. Answers do not fill it:
   * the session takes no new calls while too many of them wait.
   */
  push(payload: string, call?: CallEntry): void {
    if (this.ended) return
    const seq = this.outbox.push(payload, call && call.bytes > 0 ? 0 : Bytes.of(payload), call)
    if (this.attachment) this.attachment.writer.write(Frame.encodeMessage(this.attachment.channel, seq, payload))
    this.bound()
  }

  /** Sends an event, of which there are many at the same time. */
  pushEvent(event: string, bytes: number): void {
    if (this.ended) return
    const seq = this.outbox.push(event, bytes)
    if (this.attachment) this.attachment.writer.writeEvent(Frame.encodeMessage(this.attachment.channel, seq, event))
    this.bound()
  }

  private bound(): void {
    this.measure()
    if (this.outbox.exceeds(this.owner.services.options.outboxBytesMax)) this.end({ _tag: "SlowConsumer" })
  }

  /**
   * Sends an event of which only the latest counts, if it is still fresh when it arrives. Without a link it is dropped; a
   * client that does not keep up gets the newest of each sender when there is room.
   */
  pushFresh(fresh: Fresh): void {
    if (!this.attachment || !this.subscriptions.has(fresh.event)) return
    if (this.attachment.hasRoom) return this.writeFresh(this.attachment, fresh)
    this.newest.keep(fresh)
    this.restKept(this.attachment)
  }

  /** Sends what was kept, for as long as there is room. */
  pushKept(hasRoom: () => boolean): void {
    const { attachment } = this
    if (!attachment) return
    this.newest.release((fresh) => {
      if (!hasRoom()) return false
      this.writeFresh(attachment, fresh)
      return true
    })
    this.restKept(attachment)
  }

  /** What is kept of these is not sent any more: their sender has ended, or the client does not want them. */
  dropKept(isDropped: (fresh: Fresh) => boolean): void {
    this.newest.drop(isDropped)
    if (this.newest.size === 0) this.owner.behind.delete(this)
  }

  /** What is kept waits for room. */
  private restKept(attachment: Attachment): void {
    if (this.newest.size === 0) return void this.owner.behind.delete(this)
    this.owner.behind.add(this)
    attachment.awaitRoom()
  }

  private writeFresh({ channel, writer }: Attachment, { sender, text }: Fresh): void {
    writer.writeEvent(Frame.encodeLatest(channel, sender?.id, text))
  }

  /** The link is gone, and what has waited for room on it is not fresh any more when there is another. */
  private leave(): Attachment | undefined {
    const { attachment } = this
    this.attachment = undefined
    this.dropKept(() => true)
    return attachment
  }

  /** The client asks again for a call that is known: it is answered when it has an answer. */
  join(call: CallEntry): void {
    if (call.sentOn === this) return
    this.inFlight.add(call.number)
    this.sendChunk(call)
    this.reply(call)
  }

  /** It comes once on a connection: for two, a client would ask for two more, and the second of those would not be kept. */
  sendChunk({ chunk }: CallEntry): void {
    if (!chunk || chunk.sentOn === this) return
    chunk.sentOn = this
    this.push(chunk.text)
  }

  /** Sends the answer of a call, unless it is on its way already. */
  reply(call: CallEntry): void {
    if (call.exit === undefined || call.sentOn === this || this.ended) return
    call.sentOn = this
    this.inFlight.delete(call.number)
    this.push(encodeAnswer(call, call.exit), call)
  }

  // --- the link ------------------------------------------------------------------------------------------------------

  /** The connection is a new one and has been committed: the client is told. */
  open(attachment: Attachment): void {
    const { options, store } = this.owner.services
    this.stood = true
    // it can have ended before: its session may have opened another one
    if (this.reason) return attachment.state === "open" ? this.tellEnd(attachment, this.reason) : undefined
    this.attachment = attachment
    if (attachment.state === "closed") return this.end(attachment.closedFor)
    if (attachment.state === "lost") return this.detach(attachment)
    attachment.connection = this
    attachment.writer.write(Frame.encode({
      _tag: "Opened",
      channel: attachment.channel,
      connectionId: this.id,
      token: this.token,
      window: options.window,
      unacknowledgedMax: unacknowledgedMax(options.outboxBytesMax),
      retentionMillis: Math.min(store.retentionMillis, Number.MAX_SAFE_INTEGER),
      incarnation: this.owner.incarnation,
      activation: this.owner.name
    }))
    // what was committed while the connection was being opened
    this.replay(attachment)
  }

  /** Those with which the connection is resumed. */
  get tokens(): ReadonlyArray<string> {
    return this.previousToken === undefined ? [this.token] : [this.token, this.previousToken]
  }

  /** Goes on with a link. Returns false if the token is not one of this connection, or nothing can be continued. */
  resume(attachment: Attachment, { received, resumption, token }: Resumption): boolean {
    if (this.ended || (token !== this.token && token !== this.previousToken)) return false
    // it was written on a link that the client has left since
    if (resumption <= this.resumption) return false
    this.resumption = resumption
    if (!this.arrived(received)) return false
    this.leave()?.release()
    this.owner.services.resumeWindows.stop(this)
    this.previousToken = token
    this.token = this.owner.services.secrets.next()
    this.attachment = attachment
    attachment.connection = this
    const { channel, writer } = attachment
    writer.write(Frame.encode({ _tag: "Resumed", channel, token: this.token, received: this.inbox.received }))
    this.replay(attachment)
    return true
  }

  private measure(): void {
    const bytes = this.ended ? 0 : this.outbox.bytes
    if (bytes !== this.measured) this.owner.registration.meters.outbox(bytes - this.measured)
    this.measured = bytes
  }

  private replay({ channel, writer }: Attachment): void {
    this.outbox.replay((seq, text) => writer.write(Frame.encodeMessage(channel, seq, text)))
  }

  /** The link is gone. The connection waits for the client to resume it. */
  detach(attachment: Attachment): void {
    if (this.attachment !== attachment) return
    this.leave()
    if (!this.ended) this.owner.services.resumeWindows.start(this)
  }

  /** A message of the client. */
  receive(attachment: Attachment, seq: number, message: Frame.ClientMessage): void {
    this.confirm()
    // with its answer, or with a sign of life: the client needs to know neither to go on
    attachment.writer.acknowledgeLater(this)
    const position = this.inbox.accept(seq)
    if (position === "next") this.owner.onMessage(this, message)
    else if (position === "gap") this.violation(`message ${seq} came after message ${this.inbox.received}`)
  }

  /** The client has the messages up to `received`. */
  acknowledge(received: number): void {
    this.confirm()
    if (this.arrived(received)) return
    this.violation(`message ${received} was acknowledged, but ${this.outbox.last} is the last that was sent`)
  }

  private arrived(received: number): boolean {
    const known = this.outbox.acknowledge(received, this.onArrival)
    this.measure()
    return known
  }

  violation(issue: string): void {
    this.end({ _tag: "ProtocolViolation", issue })
  }

  /** Ends the connection. The actor's hooks follow as a turn. */
  end(reason: DisconnectReason): void {
    if (this.ended) return
    this.ended = true
    this.reason = reason
    // its session may be kept for as long as the client can come back with another connection
    this.outbox.clear()
    this.measure()
    this.owner.services.resumeWindows.stop(this)
    const attachment = this.leave()
    if (attachment) this.tellEnd(attachment, reason)
    this.owner.onEnded(this, reason)
  }

  /** It does not come to stand: nothing is sent or taken, and nobody is told. */
  discard(): void {
    this.ended = this.refused = true
    this.measure()
  }

  private tellEnd(attachment: Attachment, reason: DisconnectReason): void {
    attachment.writer.write(Frame.encode({ _tag: "Close", channel: attachment.channel, reason }))
    attachment.release()
  }

  /** The client has not come back in time. */
  onExpired(): void {
    this.end({ _tag: "ResumeExpired" })
  }

  private confirm(): void {
    this.previousToken = undefined
  }

  private readonly onArrival = (call: CallEntry): void => this.owner.onSettled(this.session, call)
}
