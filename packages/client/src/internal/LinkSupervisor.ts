/** Keeps one link up while there are connections that want one: dials, greets, watches its life, and dials again. */
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as LinkModule from "@troupe/contract/Link"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import { DialError, type Transport } from "@troupe/contract/Transport"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { Backoff } from "./Backoff.ts"
import type { ClientConnection } from "./ClientConnection.ts"
import type { ClientServices } from "./ClientServices.ts"
import * as Counters from "./Counters.ts"
import { Heartbeat, type Living } from "./Heartbeat.ts"
import type { Channel, FrameOf, OpenLink, Receiver } from "./OpenLink.ts"
import { Watched } from "./Watched.ts"

/** How a link, or the attempt to get one, ended. `closed`: there is no point in another. */
type LinkEnd = Data.TaggedEnum<{
  readonly Failed: { readonly cause: ConnectionStatus.WaitingCause; readonly retryAfterMillis?: number }
  readonly Unwanted: {}
  readonly Closed: { readonly reason: DisconnectReason }
}>

const LinkEnd = Data.taggedEnum<LinkEnd>()

/** How large the client's own messages are, unless a single frame is larger. */
const messageSizeMax = 16 * 1024

/** One link, from the dial to its end. */
class ClientLink implements LinkModule.LinkHandler, OpenLink, Living {
  draining = false
  readonly ended: Deferred.Deferred<LinkEnd> = Deferred.unsafeMake(FiberId.none)
  writer!: FrameWriter
  lastHeard = 0
  heard = 0
  heardBytes = 0
  retryAfterMillis = 0
  welcomed = false
  openBytesMax = Frame.greetingBytesMax
  messageBytesMax = Infinity
  private readonly channels = new Map<number, Receiver>()
  private lastChannel = 0
  private over = false

  constructor(
    private readonly services: ClientServices,
    private readonly onWelcome: (link: ClientLink, welcome: FrameOf<"Welcome">) => void
  ) {}

  /** There is a link: the server is greeted, and connections may speak on it. */
  begin(sender: LinkModule.Link): void {
    this.writer = new FrameWriter(sender, this.services.flush, Frame.greetingBytesMax, Bytes.of)
    this.writer.write(Frame.encode({ _tag: "Hello", version: Frame.version }))
  }

  readonly newChannel = (receiver: Receiver): Channel => {
    const number = ++this.lastChannel
    this.channels.set(number, receiver)
    return { number, link: this, release: () => void this.channels.delete(number) }
  }

  readonly onMessage = (text: string): void => {
    if (this.over) return
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

  readonly ping = (): void => this.writer.write(Frame.encode({ _tag: "Ping" }))

  readonly onSilence = (millis: number): void =>
    this.onClose({ code: LinkModule.codeAbnormal, reason: `nothing was heard for ${millis} ms` })

  end(end: LinkEnd): void {
    this.over = true
    Deferred.unsafeDone(this.ended, Exit.succeed(end))
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
        this.writer.messageSizeMax = Math.min(messageSizeMax, frame.openBytesMax)
        return this.onWelcome(this, frame)
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

export class LinkSupervisor {
  readonly status = new Watched<ConnectionStatus.ConnectionStatus>(ConnectionStatus.Connecting())
  private readonly connections = new Set<ClientConnection>()
  private readonly backoff: Backoff
  private paused = false
  private link: ClientLink | undefined
  /** That of the link, once the server has said `Welcome`. */
  private heartbeat: Heartbeat | undefined
  /** Until the server has said `Welcome`: the dial, and what ends it if it takes too long. */
  private dialling: ReadonlyArray<Fiber.RuntimeFiber<void>> = []
  private upSince = 0
  /** Ends the wait for the next dial. */
  private nudged: (() => void) | undefined

  constructor(
    readonly services: ClientServices,
    private readonly transport: Transport["Type"],
    private readonly dialTimeoutMillis: number
  ) {
    this.backoff = new Backoff(services.schedule)
  }

  add(connection: ClientConnection): void {
    this.connections.add(connection)
    if (this.link?.writer) return connection.onLink(this.link)
    if (this.status.current._tag !== "Connected") connection.onLinkStatus(this.status.current)
    this.nudge()
  }

  /** The client is closed: nothing is left waiting. */
  closeAll(): void {
    for (const connection of Array.from(this.connections)) connection.close({ _tag: "ClientClosed" })
  }

  /** A connection has ended. The last one takes the link with it. */
  remove(connection: ClientConnection): void {
    if (!this.connections.delete(connection) || this.connections.size > 0) return
    this.link?.writer?.flush()
    this.dropLink()
    this.nudge()
  }

  /** Gives the link up: from now on nothing is written to it. */
  private dropLink(): void {
    const link = this.link
    if (!link) return
    link.writer?.flush()
    this.onLinkGone()
    link.end(LinkEnd.Unwanted())
  }

  onAnswered(): void {
    this.link?.leaveWhenAnswered()
  }

  setPaused(paused: boolean): void {
    this.paused = paused
    if (paused) {
      this.dropLink()
      this.setStatus(this.pausedStatus)
    }
    this.nudge()
  }

  /** Cuts a wait for the next dial short, and puts a link that stands to the test. */
  readonly nudge = (): void => this.nudged ? this.nudged() : this.heartbeat?.probe()

  /** Runs for as long as the client lives. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    if (this.paused || this.connections.size === 0) return Effect.zipRight(this.nudgeOr(Infinity), this.run)
    return Effect.flatMap(this.useOneLink(), (end) => Effect.zipRight(this.afterLink(end), this.run))
  })

  private get pausedStatus() {
    return ConnectionStatus.Waiting({
      attempt: 0,
      retryAt: Option.none(),
      cause: ConnectionStatus.WaitingCause.Paused()
    })
  }

  private setStatus(status: ConnectionStatus.ConnectionStatus): void {
    this.status.set(status)
    for (const connection of this.connections) connection.onLinkStatus(status)
  }

  /** Waits until somebody nudges, or for so long. */
  private nudgeOr(millis: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      const timer = millis === Infinity ? undefined : this.services.fork(Effect.sleep(millis))
      const end = () => {
        this.nudged = undefined
        timer?.unsafeInterruptAsFork(FiberId.none)
      }
      const goOn = () => {
        end()
        resume(Effect.void)
      }
      this.nudged = goOn
      timer?.addObserver((exit) => Exit.isSuccess(exit) && goOn())
      return Effect.sync(end)
    })
  }

  /** Dials, and stays with the link until it ends. While it stands nothing but its heartbeat has a fiber beside this one. */
  private useOneLink(): Effect.Effect<LinkEnd> {
    return Effect.scopedWith((scope) => {
      const link = new ClientLink(this.services, this.onWelcome)
      this.link = link
      this.setStatus(ConnectionStatus.Connecting())
      const late = () =>
        this.onDialFailed(link, new DialError({ message: `no link within ${this.dialTimeoutMillis} ms` }))
      this.dialling = [
        this.services.fork(Effect.zipRight(Effect.sleep(this.dialTimeoutMillis), Effect.sync(late))),
        this.services.fork(Scope.extend(this.dial(link), scope))
      ]
      return Effect.ensuring(Deferred.await(link.ended), Effect.suspend(() => Fiber.interruptAll(this.dialling)))
    }).pipe(Effect.ensuring(Effect.sync(() => this.onLinkGone())))
  }

  private dial(link: ClientLink): Effect.Effect<void, never, Scope.Scope> {
    return this.transport.dial(link).pipe(
      // it is dialled again, and what the defect quotes is for the log alone
      Effect.catchAllDefect((defect) =>
        Effect.zipRight(
          Effect.logError("the transport has died", Cause.die(defect)),
          new DialError({ message: "the transport has died" })
        )
      ),
      Effect.match({
        onFailure: (error) => this.onDialFailed(link, error),
        onSuccess: (sender) => this.onDialled(link, sender)
      })
    )
  }

  /** What is opened or resumed does not wait for `Welcome`: that would be a round trip more. */
  private onDialled(link: ClientLink, sender: LinkModule.Link): void {
    if (this.link !== link) return
    link.begin(sender)
    for (const connection of Array.from(this.connections)) connection.onLink(link)
  }

  private onDialFailed(link: ClientLink, error: DialError): void {
    Counters.dial("failed")
    link.end(LinkEnd.Failed({ cause: ConnectionStatus.WaitingCause.DialFailed({ error }) }))
  }

  private readonly onWelcome = (link: ClientLink, { heartbeatMillis, silenceMillis }: FrameOf<"Welcome">): void => {
    if (this.link !== link || this.heartbeat) return
    for (const fiber of this.dialling) fiber.unsafeInterruptAsFork(FiberId.none)
    this.dialling = []
    this.upSince = this.services.clock.unsafeCurrentTimeMillis()
    this.heartbeat = new Heartbeat(this.services, link, {
      heartbeatMillis,
      silenceMillis,
      probeMillis: this.dialTimeoutMillis
    })
    this.heartbeat.start()
    Counters.dial("up")
    this.status.set(ConnectionStatus.Connected({ resumed: false }))
    for (const connection of Array.from(this.connections)) connection.onWelcome()
  }

  private onLinkGone(): void {
    const upMillis = this.services.clock.unsafeCurrentTimeMillis() - this.upSince
    if (this.heartbeat && upMillis >= this.services.stableAfterMillis) this.backoff.reset()
    this.heartbeat?.stop()
    this.heartbeat = this.link = undefined
    for (const connection of this.connections) connection.onLinkLost()
  }

  /** Waits until it is time for the next dial. */
  private afterLink(end: LinkEnd): Effect.Effect<void> {
    switch (end._tag) {
      case "Unwanted":
        return Effect.sync(() => this.setStatus(this.paused ? this.pausedStatus : ConnectionStatus.Connecting()))
      case "Closed":
        return Effect.sync(() => this.closeFor(end.reason))
      case "Failed":
        return this.redial(end)
    }
  }

  private closeFor(reason: DisconnectReason): void {
    for (const connection of Array.from(this.connections)) connection.onLinkStatus(ConnectionStatus.Closed({ reason }))
  }

  private redial({ cause, retryAfterMillis = 0 }: Data.TaggedEnum.Value<LinkEnd, "Failed">): Effect.Effect<void> {
    return Effect.flatMap(this.backoff.next(cause), (retryAt) => {
      if (Option.isNone(retryAt)) return Effect.sync(() => this.closeFor({ _tag: "GaveUp" }))
      const now = this.services.clock.unsafeCurrentTimeMillis()
      // one after the other: if the longer of the two counted, all clients would come back at the moment they were told
      const at = retryAt.value + retryAfterMillis
      this.setStatus(ConnectionStatus.Waiting({ attempt: this.backoff.attempt, retryAt: Option.some(at), cause }))
      return this.nudgeOr(at - now)
    })
  }
}
