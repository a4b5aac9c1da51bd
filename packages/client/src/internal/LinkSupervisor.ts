/** Keeps one link up while there are connections that want one: dials, greets, watches its life, and dials again. */
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as LinkModule from "@troupe/contract/Link"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import { DialError, type Transport } from "@troupe/contract/Transport"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { Backoff } from "./Backoff.ts"
import type { ClientConnection } from "./ClientConnection.ts"
import type { ClientServices } from "./ClientServices.ts"
import * as Counters from "./Counters.ts"
import type { Channel, FrameOf, OpenLink, Receiver } from "./OpenLink.ts"
import { Watched } from "./Watched.ts"

/** How a link, or the attempt to get one, ended. `closed`: there is no point in another. */
type LinkEnd = Data.TaggedEnum<{
  readonly Failed: { readonly cause: ConnectionStatus.WaitingCause; readonly retryAfterMillis?: number }
  readonly Unwanted: {}
  readonly Closed: { readonly reason: DisconnectReason }
}>

const LinkEnd = Data.taggedEnum<LinkEnd>()

/** How large the client's own messages may be before it has been told. */
const messageSizeMax = 16 * 1024

/** One link, from the dial to its end. */
class ClientLink implements LinkModule.LinkHandler, OpenLink {
  draining = false
  readonly ended: Deferred.Deferred<LinkEnd> = Deferred.unsafeMake(FiberId.none)
  readonly welcome: Deferred.Deferred<FrameOf<"Welcome">> = Deferred.unsafeMake(FiberId.none)
  writer!: FrameWriter
  lastHeard = 0
  /** How many messages have come. */
  heard = 0
  heardBytes = 0
  retryAfterMillis = 0
  openBytesMax = messageSizeMax
  messageBytesMax = Infinity
  private readonly channels = new Map<number, Receiver>()
  private lastChannel = 0
  private over = false

  constructor(private readonly supervisor: LinkSupervisor) {}

  readonly newChannel = (receiver: Receiver): Channel => {
    const number = ++this.lastChannel
    this.channels.set(number, receiver)
    return { number, link: this, release: () => void this.channels.delete(number) }
  }

  readonly onMessage = (text: string): void => {
    if (this.over) return
    this.lastHeard = this.supervisor.services.clock.unsafeCurrentTimeMillis()
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
        this.openBytesMax = frame.openBytesMax
        this.messageBytesMax = frame.messageBytesMax
        this.writer.messageSizeMax = Math.min(messageSizeMax, frame.openBytesMax)
        return Deferred.unsafeDone(this.welcome, Exit.succeed(frame))
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
  private ready = false
  private upSince = 0
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
    if (this.link && this.ready) return connection.onLink(this.link)
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
  readonly nudge = (): void => this.nudged?.()

  /** Runs for as long as the client lives. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    if (this.paused || this.connections.size === 0) return Effect.zipRight(this.nextNudge, this.run)
    return Effect.flatMap(this.useOneLink, (end) => Effect.zipRight(this.afterLink(end), this.run))
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

  private readonly nextNudge: Effect.Effect<void> = Effect.async((resume) => {
    this.nudged = () => {
      this.nudged = undefined
      resume(Effect.void)
    }
    return Effect.sync(() => {
      this.nudged = undefined
    })
  })

  /** Dials, and stays with the link until it ends. */
  private readonly useOneLink: Effect.Effect<LinkEnd> = Effect.suspend(() => {
    const link = new ClientLink(this)
    this.link = link
    this.setStatus(ConnectionStatus.Connecting())
    return Effect.scoped(
      this.greet(link).pipe(
        Effect.matchEffect({
          onFailure: (error) => {
            Counters.dial("failed")
            return Effect.succeed(LinkEnd.Failed({ cause: ConnectionStatus.WaitingCause.DialFailed({ error }) }))
          },
          onSuccess: (welcome) => this.onWelcome(link, welcome)
        }),
        Effect.raceFirst(Deferred.await(link.ended))
      )
    ).pipe(Effect.ensuring(Effect.sync(() => this.onLinkGone())))
  })

  private greet(link: ClientLink): Effect.Effect<FrameOf<"Welcome">, DialError, Scope.Scope> {
    return this.transport.dial(link).pipe(
      Effect.flatMap((sender) => {
        link.writer = new FrameWriter(sender, this.services.flush, messageSizeMax, Bytes.of)
        link.writer.write(Frame.encode({ _tag: "Hello", version: Frame.version }))
        return Deferred.await(link.welcome)
      }),
      Effect.timeoutFail({
        duration: this.dialTimeoutMillis,
        onTimeout: () => new DialError({ message: `no link within ${this.dialTimeoutMillis} ms` })
      })
    )
  }

  private onWelcome(link: ClientLink, welcome: FrameOf<"Welcome">): Effect.Effect<never> {
    return Effect.suspend(() => {
      this.upSince = this.services.clock.unsafeCurrentTimeMillis()
      this.ready = true
      Counters.dial("up")
      this.status.set(ConnectionStatus.Connected({ resumed: false }))
      for (const connection of Array.from(this.connections)) connection.onLink(link)
      return this.heartbeat(link, welcome)
    })
  }

  /**
   * Sends signs of life, and ends the link when none come back. After an opportunity it is not waited for long: the network
   * that the link was made in may be gone, and the browser does not say so.
   */
  private heartbeat(link: ClientLink, { heartbeatMillis, silenceMillis }: FrameOf<"Welcome">): Effect.Effect<never> {
    const ping = () => link.writer.write(Frame.encode({ _tag: "Ping" }))
    const silent = () => this.services.clock.unsafeCurrentTimeMillis() - link.lastHeard
    const giveUp = () => link.onClose({ code: LinkModule.codeAbnormal, reason: `nothing was heard for ${silent()} ms` })
    const beat = Effect.sync(() => silent() < silenceMillis ? ping() : giveUp())
    const probe = Effect.suspend(() => {
      const { heard } = link
      ping()
      return Effect.delay(
        Effect.sync(() => link.heard > heard || giveUp()),
        Math.min(this.dialTimeoutMillis, heartbeatMillis)
      )
    })
    return Effect.raceFirst(
      Effect.as(Effect.sleep(heartbeatMillis), beat),
      Effect.as(this.nextNudge, probe)
    ).pipe(Effect.flatten, Effect.forever)
  }

  private onLinkGone(): void {
    const upMillis = this.services.clock.unsafeCurrentTimeMillis() - this.upSince
    if (this.ready && upMillis >= this.services.stableAfterMillis) this.backoff.reset()
    this.ready = false
    this.link = undefined
    for (const connection of this.connections) connection.onLinkLost()
  }

  /** Waits until it is time for the next dial. */
  private readonly afterLink = LinkEnd.$match({
    Unwanted: () => Effect.sync(() => this.setStatus(this.paused ? this.pausedStatus : ConnectionStatus.Connecting())),
    Closed: ({ reason }) =>
      Effect.sync(() => {
        for (const connection of Array.from(this.connections))
          connection.onLinkStatus(ConnectionStatus.Closed({ reason }))
      }),
    Failed: ({ cause, retryAfterMillis = 0 }) =>
      Effect.flatMap(this.backoff.next(cause), (retryAt) => {
        if (Option.isNone(retryAt)) return this.afterLink(LinkEnd.Closed({ reason: { _tag: "GaveUp" } }))
        const now = this.services.clock.unsafeCurrentTimeMillis()
        // one after the other: if the longer of the two counted, all clients would come back at the moment they were told
        const at = retryAt.value + retryAfterMillis
        this.setStatus(
          ConnectionStatus.Waiting({ attempt: this.backoff.attempt, retryAt: Option.some(at), cause })
        )
        return Effect.raceFirst(Effect.sleep(at - now), this.nextNudge)
      })
  }) as (end: LinkEnd) => Effect.Effect<void>
}
