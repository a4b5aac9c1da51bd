/**
 * How a session comes to a connection on each new link: it resumes the one it has, or opens another. Knows what the server
 * has granted and refused, and what follows from that.
 */
import * as Address from "@troupe/contract/Address"
import { ConnectionClosed } from "@troupe/contract/ConnectionError"
import type { Any } from "@troupe/contract/Definition"
import { type DisconnectReason, recovery } from "@troupe/contract/DisconnectReason"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as Json from "@troupe/contract/protocol/Json"
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { Attempts, type AttemptsOwner } from "./Attempts.ts"
import { type Calls, keptSince } from "./Calls.ts"
import type { ClientServices } from "./ClientServices.ts"
import { Conversation, type ConversationOwner } from "./Conversation.ts"
import type { Channel, OpenLink, Receiver } from "./OpenLink.ts"
import type { Subscriptions } from "./Subscriptions.ts"

/** What a session is made for. */
export interface Target {
  readonly contract: Any
  readonly key: string
  /** The parameters of a new connection. */
  readonly params: Effect.Effect<unknown, unknown>
  readonly events: ReadonlyArray<string>
}

/** The connection that is to be there. */
export interface OpeningOwner extends Omit<ConversationOwner, "onViolation"> {
  readonly target: Target
  readonly setStatus: (status: ConnectionStatus.ConnectionStatus) => void
  /** There will be no other connection. `cause` is what the first `connect` fails with, if it is not the reason. */
  readonly close: (reason: DisconnectReason, cause?: Cause.Cause<unknown>) => void
}

/** What the `Open` on its way has said. */
interface Asked {
  readonly events: ReadonlySet<string>
  readonly pending: ReadonlyArray<number>
}

export class Opening implements Receiver, ConversationOwner, AttemptsOwner {
  readonly services: ClientServices
  readonly codec: Codec.ContractCodec
  readonly calls: Calls
  readonly subscriptions: Subscriptions
  /** What goes on with the server, also while there is no link for it. */
  conversation: Conversation | undefined
  private readonly session: string
  private readonly attempts: Attempts
  private link: OpenLink | undefined
  private channel: Channel | undefined
  private asked: Asked | undefined
  /** Asks for what is longer than what every server takes, when this one has said what it takes. */
  private held: (() => void) | undefined
  /** What the server has granted last. */
  private granted: Frame.ServerFrameOf<"Opened"> | undefined
  /** When the server was last heard of on a connection of the session. */
  private heardUntil = 0
  /** The parameters could not be evaluated, and the next attempt is waited for. */
  private lacksParams = false
  /** How often a connection has been asked for. */
  private openings = 0

  constructor(private readonly owner: OpeningOwner) {
    const { calls, codec, services, subscriptions } = owner
    this.services = services
    this.codec = codec
    this.calls = calls
    this.subscriptions = subscriptions
    this.session = services.secrets.next()
    this.attempts = new Attempts(services, this)
  }

  get awaitsAnswer(): boolean {
    // not that of an `Open`: a server that is going away may not give one
    return this.conversation?.awaitsAnswer === true
  }

  // --- the link ------------------------------------------------------------------------------------------------------

  /** A link is there: the connection is resumed on it, or a new one opened. */
  onLink(link: OpenLink): void {
    this.link = link
    if (!this.conversation) return this.open()
    const channel = link.newChannel(this)
    const { target: { contract: { contract }, key } } = this.owner
    const resume = Frame.encode({
      _tag: "Resume",
      channel: channel.number,
      contract,
      key,
      ...this.conversation.nextResumption()
    })
    this.ask(channel, resume, () => this.onLink(link))
  }

  /** The server of the link has said what it takes. */
  onWelcome(): void {
    const { held } = this
    this.held = undefined
    held?.()
  }

  /** Sends an `Open` or a `Resume`. A server closes the link without a word, again and again, if it is too long for it. */
  private ask(channel: Channel, frame: string, again: () => void): void {
    const { link } = channel
    if (!Bytes.exceed(Frame.join([frame]), link.openBytesMax)) {
      this.channel = channel
      return link.writer.write(frame)
    }
    channel.release()
    this.asked = undefined
    if (!link.welcomed) this.held = again
    else this.owner.close({ _tag: "LimitReached", limit: "openBytesMax", max: link.openBytesMax })
  }

  onLinkLost(): void {
    this.link = this.channel = undefined
    this.asked = this.held = undefined
    this.lacksParams = false
    this.conversation?.detach()
    this.attempts.stop()
  }

  onFrame(frame: Parameters<Receiver["onFrame"]>[0]): void {
    switch (frame._tag) {
      case "Opened":
        return this.onOpened(frame)
      case "Resumed":
        return this.onResumed(frame)
      case "Refused":
      case "Close":
        return this.onEnded(frame.reason)
      case "Ack":
        return this.conversation?.onAck(frame)
      case "Message":
        return this.conversation?.onMessage(frame)
      case "Latest":
        return this.conversation?.onLatest(frame)
    }
  }

  // --- asking --------------------------------------------------------------------------------------------------------

  private open(): void {
    const { link, owner } = this
    if (!link) return
    this.lacksParams = false
    this.forget()
    owner.setStatus(ConnectionStatus.Connecting())
    // who was told may have ended the connection, or the link
    if (this.link !== link) return
    this.attempts.start(
      owner.target.params,
      Exit.match({
        onFailure: (cause) => this.onParamsFailed(cause),
        onSuccess: (params) => this.openWith(link, params)
      })
    )
  }

  /** A schema may throw, and so may what it gives where it becomes JSON: nobody else is to suffer from that. */
  private openWith(link: OpenLink, params: unknown): void {
    const channel = link.newChannel(this)
    try {
      this.openOn(channel, params)
    } catch (defect) {
      channel.release()
      this.onParamsFailed(Cause.die(defect))
    }
  }

  private openOn(channel: Channel, params: unknown): void {
    const { calls, codec, owner: { target: { contract: { contract }, key } }, subscriptions } = this
    const encoded = Either.filterOrLeft(
      Either.mapLeft(codec.params.encode(params), Codec.describe),
      (params) => !Json.hasNonFinite(params),
      () => `${codec.params.what} have a number that JSON has not`
    )
    if (Either.isLeft(encoded)) {
      channel.release()
      return this.owner.close({ _tag: "InvalidParams", issue: encoded.left })
    }
    // what is not sent again is not asked for
    this.sendAgain()
    const asked = this.asked = {
      events: new Set(subscriptions.events.slice(0, Frame.openEventsMax)),
      pending: calls.sent
    }
    const open = Frame.encode({
      _tag: "Open",
      channel: channel.number,
      session: this.session,
      contract,
      key,
      params: encoded.right,
      events: Array.from(asked.events),
      opening: ++this.openings,
      settledBelow: calls.settledBelow,
      sentBelow: calls.sentBelow,
      pending: asked.pending
    })
    this.ask(channel, open, () => this.openWith(channel.link, params))
  }

  private onParamsFailed(cause: Cause.Cause<unknown>): void {
    if (!this.granted) return this.owner.close({ _tag: "ClientClosed" }, cause)
    const waiting = ConnectionStatus.WaitingCause.ParamsFailed({ message: Cause.pretty(cause) })
    this.attempts.startLater(waiting, () => this.open())
    this.lacksParams = true
  }

  /** They may have been asked for where nobody could be reached, and are there now. */
  onOpportunity(): void {
    if (this.lacksParams) this.open()
  }

  /** Looks which calls may be sent again; the others end. */
  private sendAgain(): void {
    if (!this.granted) return
    const { calls, owner: { target: { contract, key } }, services } = this
    const { activation, incarnation, retentionMillis } = this.granted
    calls.sendAgain({
      address: Address.make(contract.contract, key),
      incarnation,
      activation,
      keptSince: keptSince(services.clock.unsafeCurrentTimeMillis(), retentionMillis),
      heardUntil: this.heardUntil
    })
  }

  /** A call that was sent is not waited for any more. */
  withdraw(call: number): void {
    if (this.asked?.pending.includes(call)) this.services.flush(() => this.askAnew())
    else this.conversation?.send(Frame.encodeInterrupt(call))
  }

  /**
   * A call that the `Open` on its way asks for was cancelled. The connection cannot be told before it stands, and may
   * never stand if it waits for that call.
   */
  private askAnew(): void {
    if (!this.asked || this.asked.pending.every((number) => this.calls.get(number))) return
    // not that it is closed: the session goes on, and what is known of it is needed
    this.tellClosed({ _tag: "Superseded" })
    this.open()
  }

  // --- being answered ------------------------------------------------------------------------------------------------

  private onOpened(frame: Frame.ServerFrameOf<"Opened">): void {
    const { asked, calls, subscriptions } = this
    if (!asked) return
    this.asked = undefined
    this.granted = frame
    const conversation = this.conversation = new Conversation(frame, this.channel, this)
    const missed = subscriptions.reopened(asked.events)
    calls.onConnected(false)
    this.sendAgain()
    for (const number of asked.pending) if (!calls.get(number)) conversation.send(Frame.encodeInterrupt(number))
    conversation.pump()
    this.setStatus(ConnectionStatus.Connected({ resumed: false }))
    // last: whoever is told may call, and may end the connection
    for (const reader of missed) if (this.conversation === conversation) reader.gap()
  }

  private onResumed(frame: Frame.ServerFrameOf<"Resumed">): void {
    if (!this.conversation || !this.channel) return
    if (!this.conversation.resume(this.channel, frame)) return this.open()
    this.setStatus(ConnectionStatus.Connected({ resumed: true }))
  }

  /** The server has ended the connection, or refused to open one. */
  private onEnded(reason: DisconnectReason): void {
    const next = recovery(reason)
    if (next === "closed" || (next === "retry" && !this.granted)) return this.owner.close(reason, this.denial(reason))
    if (this.conversation?.isStable) this.attempts.reset()
    this.forget()
    const cause = ConnectionStatus.WaitingCause.NotOpened({ reason })
    if (next === "retry") this.attempts.startLater(cause, () => this.open())
    else this.attempts.startSoon(cause, () => this.open())
  }

  /** The contract's own error, if it is what refused the connection. */
  private denial(reason: DisconnectReason): Cause.Cause<unknown> | undefined {
    if (reason._tag !== "Denied") return undefined
    const decoded = this.codec.connectError.decode(reason.error)
    if (Either.isRight(decoded)) return Cause.fail(decoded.right)
    const violation = { _tag: "ProtocolViolation", issue: Codec.describe(decoded.left) } as const
    return Cause.fail(new ConnectionClosed({ reason: violation, sent: "no" }))
  }

  onViolation(issue: string): void {
    this.tellClosed({ _tag: "ProtocolViolation", issue })
    this.owner.close({ _tag: "ProtocolViolation", issue })
  }

  onGaveUp(): void {
    this.owner.close({ _tag: "GaveUp" })
  }

  setStatus(status: ConnectionStatus.ConnectionStatus): void {
    this.owner.setStatus(status)
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  /** Nothing is known of a connection any more. */
  private forget(): void {
    this.channel?.release()
    if (this.conversation) {
      this.conversation.detach()
      this.heardUntil = this.conversation.heardUntil
    }
    this.channel = this.conversation = undefined
    this.asked = this.held = undefined
  }

  /** Nothing is asked, sent or heard any more. A server that does not know yet is told. */
  stop(reason: DisconnectReason): void {
    if (reason._tag === "ClientClosed") this.tellClosed(reason)
    this.attempts.stop()
    this.lacksParams = false
    this.forget()
    this.link = undefined
  }

  private tellClosed(reason: DisconnectReason): void {
    this.channel?.link.writer.write(Frame.encode({ _tag: "Close", channel: this.channel.number, reason }))
  }
}
