/** Keeps one link up while there are connections that want one: dials, greets, watches its life, and dials again. */
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as LinkModule from "@troupe/contract/Link"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import { SparseMap, SparseSet } from "@troupe/contract/Sparse"
import { DialError, type Transport } from "@troupe/contract/Transport"
import { Watched } from "@troupe/contract/Watched"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { Attempts, type AttemptsOwner } from "./Attempts.ts"
import type { ClientConnection, Keeper } from "./ClientConnection.ts"
import type { ClientServices } from "./ClientServices.ts"
import * as Counters from "./Counters.ts"
import { Heartbeat, type Living } from "./Heartbeat.ts"
import type { Channel, OpenLink, Receiver } from "./OpenLink.ts"
import { Timer } from "./Timer.ts"

/** How a link, or the attempt to get one, ended. `Closed`: there is no point in another. */
type LinkEnd = Data.TaggedEnum<{
  readonly Failed: { readonly cause: ConnectionStatus.WaitingCause; readonly retryAfterMillis?: number }
  readonly Closed: { readonly reason: DisconnectReason }
}>

const LinkEnd = Data.taggedEnum<LinkEnd>()

/** How large the client's own messages are, unless a single frame is larger. */
const messageSizeMax = 16 * 1024

/** Who a link is dialled for. */
interface LinkOwner {
  readonly onWelcome: (link: ClientLink, welcome: Frame.ServerFrameOf<"Welcome">) => void
  /** At the end of the tick in which it has ended. */
  readonly onLinkEnd: (link: ClientLink, end: LinkEnd) => void
}

class ClientChannel implements Channel {
  constructor(
    readonly number: number,
    readonly link: ClientLink
  ) {}

  release(): void {
    this.link.channels.delete(this.number)
  }
}

/** One link, from the dial to its end. A transport may take its listeners from it. */
class ClientLink implements LinkModule.LinkHandler, OpenLink, Living {
  draining = false
  /** From `begin` on. */
  writer!: FrameWriter
  lastHeard = 0
  heard = 0
  heardBytes = 0
  retryAfterMillis = 0
  welcomed = false
  openBytesMax = Frame.greetingBytesMax
  messageBytesMax = Infinity
  private silenceMillis = Infinity
  readonly channels = new SparseMap<number, Receiver>()
  private lastChannel = 0
  over = false

  constructor(
    private readonly services: ClientServices,
    private readonly owner: LinkOwner
  ) {}

  /** There is a link: the server is greeted, and connections may speak on it. */
  begin(sender: LinkModule.Link): void {
    this.writer = new FrameWriter(sender, this.services.flush, Frame.greetingBytesMax, Bytes.of)
    this.writer.write(Frame.encode({ _tag: "Hello", version: Frame.version }))
  }

  newChannel(receiver: Receiver): Channel {
    const number = ++this.lastChannel
    this.channels.set(number, receiver)
    return new ClientChannel(number, this)
  }

  readonly onMessage = (text: string): void => {
    if (this.over) return
    if (!this.writer) return this.undecodable("it comes before the greeting")
    const { silent } = this
    // this process has stood still: what it hears now may be as old as the silence
    if (silent >= this.silenceMillis) return this.onSilence(silent)
    this.lastHeard = this.services.clock.unsafeCurrentTimeMillis()
    this.heard++
    this.heardBytes = text.length * Bytes.perUnitMax
    const frames = Frame.decodeServer(text)
    if (!frames) return this.undecodable("the message is not a JSON array")
    for (const frame of frames) {
      if (this.over) return
      if (Either.isLeft(frame)) return this.undecodable(Codec.describeSafely(frame.left))
      this.onFrame(frame.right)
    }
  }

  readonly onClose = ({ code, reason }: LinkModule.CloseEvent): void => {
    this.end(
      this.draining
        ? LinkEnd.Failed({ cause: ConnectionStatus.WaitingCause.GoAway(), retryAfterMillis: this.retryAfterMillis })
        : LinkEnd.Failed({ cause: ConnectionStatus.WaitingCause.LinkLost({ code, reason }) })
    )
  }

  get silent(): number {
    const now = this.services.clock.unsafeCurrentTimeMillis()
    // the clock may have been set back
    this.lastHeard = Math.min(this.lastHeard, now)
    return now - this.lastHeard
  }

  ping(): void {
    this.writer.write(Frame.encode({ _tag: "Ping" }))
  }

  onSilence(millis: number): void {
    this.onClose({ code: LinkModule.codeAbnormal, reason: `nothing was heard for ${millis} ms` })
  }

  end(end: LinkEnd): void {
    if (this.over) return
    this.over = true
    this.services.flush(() => this.owner.onLinkEnd(this, end))
  }

  /** Nothing more is heard of it. */
  abandon(): void {
    this.over = true
  }

  /** After `GoAway`: the link is given up when nothing more is to be expected on it. */
  leaveWhenAnswered(): void {
    for (const receiver of this.channels.values()) if (receiver.awaitsAnswer) return
    this.onClose({ code: LinkModule.codeGoAway, reason: "" })
  }

  private undecodable(issue: string): void {
    this.onClose({ code: LinkModule.codeViolation, reason: `a frame of the server does not decode: ${issue}` })
  }

  private onFrame(frame: Frame.ServerFrame): void {
    switch (frame._tag) {
      case "Welcome":
        this.welcomed = true
        this.openBytesMax = frame.openBytesMax
        this.messageBytesMax = frame.messageBytesMax
        this.silenceMillis = frame.silenceMillis
        this.writer.messageSizeMax = Math.min(messageSizeMax, frame.openBytesMax)
        return this.owner.onWelcome(this, frame)
      case "Ping":
        return this.writer.write(Frame.encode({ _tag: "Pong" }))
      case "Pong":
        return
      case "GoAway":
        this.draining = true
        this.retryAfterMillis = frame.retryAfterMillis
        return this.leaveWhenAnswered()
      default:
        if (frame.channel === 0 && frame._tag === "Refused") return this.end(LinkEnd.Closed({ reason: frame.reason }))
        return this.channels.get(frame.channel)?.onFrame(frame)
    }
  }
}

export class LinkSupervisor implements Keeper, AttemptsOwner, LinkOwner {
  readonly status = new Watched<ConnectionStatus.ConnectionStatus>(ConnectionStatus.Connecting())
  private readonly connections = new SparseSet<ClientConnection>()
  /** The dial, or the wait for the next one. */
  private readonly attempts: Attempts
  /** While a link is dialled, what ends that if it takes too long; while it stands, its heartbeat. */
  private readonly timer: Timer
  private paused = false
  private closed = false
  /** The link that stands, or is dialled. */
  private link: ClientLink | undefined
  /** The same, once its server has been greeted. */
  private greeted: ClientLink | undefined
  /** What is to be released when the link ends. */
  private scope: Scope.CloseableScope | undefined
  /** That of the link, once the server has said `Welcome`. */
  private heartbeat: Heartbeat | undefined
  private upSince = 0
  /** Whether the log has a dial that failed, or needs none because there has been a link. */
  private told = false

  constructor(
    readonly services: ClientServices,
    private readonly transport: Transport["Type"],
    private readonly dialTimeoutMillis: number
  ) {
    this.timer = new Timer(services)
    this.attempts = new Attempts(services, this)
  }

  add(connection: ClientConnection): void {
    if (this.closed) return connection.close({ _tag: "ClientClosed" })
    this.connections.add(connection)
    if (this.greeted) return connection.onLink(this.greeted)
    if (this.status.current._tag !== "Connected") connection.onLinkStatus(this.status.current)
    // unless there is a link on its way already, or a wait that the server may have asked for
    if (!this.link && !this.attempts.active) this.dial()
  }

  /** A connection has ended. The last one takes the link with it. */
  remove(connection: ClientConnection): void {
    if (!this.connections.delete(connection)) return
    if (this.connections.size > 0) {
      // it may be the one whose answers were waited for
      if (this.link?.draining) this.onAnswered()
      return
    }
    this.leave()
    this.setStatus(this.idleStatus)
  }

  setPaused(paused: boolean): void {
    this.paused = paused
    if (paused) this.leave()
    if (paused || this.connections.size === 0) this.setStatus(this.idleStatus)
    if (!paused) this.nudge()
  }

  onAnswered(): void {
    this.link?.leaveWhenAnswered()
  }

  /** What has failed may go well now: waits are cut short, and a link that stands is put to the test. */
  onOpportunity(): void {
    this.nudge()
    for (const connection of Array.from(this.connections)) connection.onOpportunity()
  }

  private nudge(): void {
    if (this.link) this.heartbeat?.probe()
    else this.dial()
  }

  /** The client is closed: nothing is left waiting. */
  close(): void {
    this.closed = true
    for (const connection of Array.from(this.connections)) connection.close({ _tag: "ClientClosed" })
    this.leave()
  }

  /** While nobody wants a link. */
  private get idleStatus(): ConnectionStatus.ConnectionStatus {
    if (!this.paused) return ConnectionStatus.Connecting()
    return ConnectionStatus.Waiting({
      attempt: 0,
      retryAt: Option.none(),
      cause: ConnectionStatus.WaitingCause.Paused()
    })
  }

  setStatus(status: ConnectionStatus.ConnectionStatus): void {
    this.status.set(status)
    for (const connection of this.connections) {
      // one that was told may have set another, which all have been told by then
      if (this.status.current !== status) return
      connection.onLinkStatus(status)
    }
  }

  // --- a link --------------------------------------------------------------------------------------------------------

  private dial(): void {
    if (this.paused || this.connections.size === 0) return
    const link = this.link = new ClientLink(this.services, this)
    const scope = this.scope = Effect.runSync(Scope.make())
    this.setStatus(ConnectionStatus.Connecting())
    // who was told may not want it any more
    if (this.link !== link) return
    this.timer.set(
      this.dialTimeoutMillis,
      () => this.onDialFailed(link, new DialError({ message: `no link within ${this.dialTimeoutMillis} ms` }))
    )
    this.attempts.start(Scope.extend(this.dialling(link), scope), (exit) => {
      if (Exit.isFailure(exit)) return
      Either.match(exit.value, {
        onLeft: (error) => this.onDialFailed(link, error),
        onRight: (sender) => this.onDialled(link, sender)
      })
    })
  }

  private dialling(link: ClientLink): Effect.Effect<Either.Either<LinkModule.Link, DialError>, never, Scope.Scope> {
    return Effect.either(Effect.catchAllDefect(Effect.suspend(() => this.transport.dial(link)), (defect) =>
      // it is dialled again, and what the defect quotes is for the log alone
      Effect.zipRight(
        Effect.logError("the transport has died", Cause.die(defect)),
        new DialError({ message: "the transport has died" })
      )))
  }

  /** What is opened or resumed does not wait for `Welcome`: that would be a round trip more. */
  private onDialled(link: ClientLink, sender: LinkModule.Link): void {
    // a transport may have told of its end before
    if (link.over) return
    link.begin(sender)
    this.greeted = link
    for (const connection of Array.from(this.connections)) {
      // whoever was told by one of them may have given it up
      if (this.link !== link) return
      connection.onLink(link)
    }
  }

  private onDialFailed(link: ClientLink, error: DialError): void {
    Counters.dial("failed")
    this.tellOfFirst(error)
    link.end(LinkEnd.Failed({ cause: ConnectionStatus.WaitingCause.DialFailed({ error }) }))
  }

  /** An address that is wrong would be dialled for ever, and nobody would know why nothing comes. */
  private tellOfFirst({ message }: DialError): void {
    if (this.told) return
    this.told = true
    this.services.fork(Effect.logWarning(`${message}; dialling goes on`))
  }

  onWelcome(link: ClientLink, { heartbeatMillis, silenceMillis }: Frame.ServerFrameOf<"Welcome">): void {
    if (this.link !== link || this.heartbeat) return
    this.told = true
    this.upSince = this.services.clock.unsafeCurrentTimeMillis()
    this.heartbeat = new Heartbeat(this.timer, link, {
      heartbeatMillis,
      silenceMillis,
      probeMillis: this.dialTimeoutMillis
    })
    this.heartbeat.start()
    Counters.dial("up")
    this.status.set(ConnectionStatus.Connected({ resumed: false }))
    for (const connection of Array.from(this.connections)) connection.onWelcome()
  }

  // --- its end -------------------------------------------------------------------------------------------------------

  /** Gives the link up, or the attempt to get one: from now on nothing is written to it. */
  private leave(): void {
    this.greeted?.writer.flush()
    this.drop()
  }

  /** There is no link any more. */
  private drop(): void {
    this.attempts.stop()
    const { link, scope } = this
    if (!link || !scope) return
    const upMillis = this.services.clock.unsafeCurrentTimeMillis() - this.upSince
    if (this.heartbeat && upMillis >= this.services.stableAfterMillis) this.attempts.reset()
    this.timer.clear()
    this.link = this.greeted = undefined
    this.heartbeat = this.scope = undefined
    for (const connection of this.connections) connection.onLinkLost()
    link.abandon()
    this.release(scope)
  }

  /** Behind what has just been sent, which a transport may deliver at the end of the tick. */
  private release(scope: Scope.CloseableScope): void {
    const sent = Effect.async<void>((resume) => this.services.flush(() => resume(Effect.void)))
    this.services.fork(Effect.uninterruptible(Effect.zipRight(sent, Scope.close(scope, Exit.void))))
  }

  onLinkEnd(link: ClientLink, end: LinkEnd): void {
    if (this.link !== link) return
    this.drop()
    if (end._tag === "Closed") return this.closeFor(end.reason)
    // whoever leaves in order does not pay for the failures before that
    if (end.cause._tag === "GoAway") this.attempts.reset()
    this.attempts.startLater(end.cause, () => this.dial(), end.retryAfterMillis)
  }

  onGaveUp(): void {
    this.closeFor({ _tag: "GaveUp" })
  }

  private closeFor(reason: DisconnectReason): void {
    for (const connection of Array.from(this.connections)) connection.onLinkStatus(ConnectionStatus.Closed({ reason }))
  }
}
