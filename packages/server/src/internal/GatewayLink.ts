/** One link of a gateway: its frames, and the connections on its channels. */
import type { Fork } from "@troupe/contract/Background"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import type { Expirable, Expiry } from "@troupe/contract/Expiry"
import * as Link from "@troupe/contract/Link"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import { SparseMap, SparseSet } from "@troupe/contract/Sparse"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Connections } from "../Connections.ts"
import type { Attachment, ServerConnection } from "./ServerConnection.ts"
import { TokenBucket } from "./TokenBucket.ts"

/** What all links of a gateway share. */
export interface GatewayServices {
  readonly connections: Connections["Type"]
  readonly actors: ReadonlySet<string>
  readonly clock: Clock.Clock
  readonly schedule: (task: () => void) => void
  /** The same for events, which are sent to many links at once. */
  readonly scheduleEvents: (task: () => void) => void
  readonly fork: Fork
  readonly heartbeatMillis: number
  readonly silenceMillis: number
  readonly openTimeoutMillis: number
  readonly messageBytesMax: number
  readonly openBytesMax: number
  readonly bufferedBytesMax: number
  readonly latestBufferedBytesMax: number
  /** Links on which something waits until the client keeps up. */
  readonly behind: Expiry
  readonly connectionsMax: number
  readonly framesPerSecond: number
  readonly refusalsPerSecond: number
}

/** What a channel needs of its link. */
interface Carrier {
  readonly writer: FrameWriter
  readonly hasRoom: boolean
  /** A connection stands on the channel. */
  readonly prove: () => void
  readonly awaitRoom: (channel: Channel) => void
  readonly forget: (channel: Channel) => void
}

/** A channel: the connection on it, or the fiber that opens one. */
class Channel implements Attachment {
  state: "open" | "lost" | "closed" = "open"
  closedFor: DisconnectReason = { _tag: "ClientClosed" }
  opening: Fiber.RuntimeFiber<Either.Either<ServerConnection, DisconnectReason>> | undefined
  private standing: ServerConnection | undefined

  constructor(
    readonly channel: number,
    private readonly link: Carrier
  ) {}

  get writer(): FrameWriter {
    return this.link.writer
  }

  get hasRoom(): boolean {
    return this.link.hasRoom
  }

  get connection(): ServerConnection | undefined {
    return this.standing
  }

  set connection(connection: ServerConnection | undefined) {
    this.standing = connection
    if (connection) this.link.prove()
  }

  awaitRoom(): void {
    this.link.awaitRoom(this)
  }

  release(): void {
    this.connection = undefined
    this.link.forget(this)
  }
}

const nothingHeard = "nothing was heard on the link"

export class GatewayLink implements Link.LinkHandler, Carrier, Expirable {
  private readonly channels = new SparseMap<number, Channel>()
  /** Those that wait until the client keeps up, the one that has waited longest first. */
  private readonly waiting = new SparseSet<Channel>()
  readonly writer: FrameWriter
  private greeted = false
  /** A connection has stood on it, so it is not a stranger's. */
  private proven = false
  private closed = false
  private leaving = false
  private readonly frames: TokenBucket
  private readonly refusals: TokenBucket
  /** Until then nothing is read, while `reading` is false. */
  private readsAt = 0
  private reading = true
  /** Until then nothing is opened: the link has been refused too often. */
  private opensAt = 0
  private lastHeard: number
  /** When there was a connection last. */
  private usedAt: number

  constructor(
    private readonly link: Link.Link,
    private readonly request: ConnectRequest,
    private readonly services: GatewayServices,
    private readonly onGone: () => void
  ) {
    this.writer = new FrameWriter(this, services.schedule, 16 * 1024, undefined, services.scheduleEvents)
    const now = this.lastHeard = this.usedAt = services.clock.unsafeCurrentTimeMillis()
    this.frames = new TokenBucket(services.framesPerSecond, now)
    this.refusals = new TokenBucket(services.refusalsPerSecond, now)
  }

  /** Whether a call is in flight on it, or a connection is being opened. */
  get busy(): boolean {
    for (const { connection, opening } of this.channels.values()) {
      if (opening || (connection && connection.inFlight.size > 0)) return true
    }
    return false
  }

  /** What is sent waits in the socket for as long as the client does not read, and must not wait without a bound. */
  send(text: string): void {
    this.link.send(text)
    const max = this.services.bufferedBytesMax * Math.max(1, this.channels.size)
    if (this.closed || this.link.buffered() <= max) return
    this.link.close(Link.codeTryAgain, "the client does not read")
    this.onClose()
  }

  // --- what only matters while it is fresh ---------------------------------------------------------------------------

  get hasRoom(): boolean {
    return this.waiting.size === 0 && this.keepsUp()
  }

  private keepsUp(): boolean {
    return this.link.buffered() <= this.services.latestBufferedBytesMax
  }

  /** Nobody tells when a socket has drained: it is looked at again, for as long as something waits. */
  awaitRoom(channel: Channel): void {
    if (this.closed) return
    if (this.waiting.size === 0) this.services.behind.start(this)
    this.waiting.add(channel)
  }

  onExpired(): void {
    for (const channel of this.waiting) {
      if (!this.keepsUp()) break
      this.waiting.delete(channel)
      channel.connection?.pushKept(() => this.keepsUp())
    }
    if (this.waiting.size > 0) this.services.behind.start(this)
  }

  // --- messages ------------------------------------------------------------------------------------------------------

  readonly onMessage = (text: string): void => {
    if (this.closed) return
    const now = this.services.clock.unsafeCurrentTimeMillis()
    // what it brings may be as old as the silence: a client does not say again what it thinks is too old
    if (now - this.lastHeard >= this.services.silenceMillis) return this.close(Link.codeGoAway, nothingHeard)
    this.lastHeard = now
    const max = this.proven ? this.services.messageBytesMax : this.services.openBytesMax
    if (Bytes.exceed(text, max)) return this.violation(`a message may have ${max} bytes here, this one has more`)
    const frames = Frame.list(text)
    if (!frames) return this.violation("a message must be a JSON array of frames")
    const wait = this.frames.take(this.lastHeard, frames.length)
    if (wait > 0) this.stopReading(wait)
    for (const undecoded of frames) {
      if (this.closed) return
      const frame = Frame.decodeClientFrame(undecoded)
      if (Either.isLeft(frame)) return this.violation(`a frame does not decode: ${Codec.describe(frame.left)}`)
      this.onFrame(frame.right)
    }
  }

  /** What the client has sent too fast waits in the network, and slows it down. */
  private stopReading(millis: number): void {
    // nobody can be heard meanwhile
    this.lastHeard += millis
    this.readsAt = this.lastHeard
    if (!this.reading || !this.link.setReading) return
    this.reading = false
    this.link.setReading(false)
    this.services.fork(this.readAgain)
  }

  private get readAgain(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const wait = this.readsAt - this.services.clock.unsafeCurrentTimeMillis()
      if (wait > 0) return Effect.delay(this.readAgain, wait)
      this.reading = true
      if (!this.closed) this.link.setReading?.(true)
      return Effect.void
    })
  }

  prove(): void {
    if (this.proven) return
    this.proven = true
    this.link.allow?.(this.services.messageBytesMax)
  }

  forget(channel: Channel): void {
    if (this.channels.get(channel.channel) === channel) this.channels.delete(channel.channel)
    this.waiting.delete(channel)
    if (this.waiting.size === 0) this.services.behind.stop(this)
  }

  readonly onClose = (): void => {
    if (this.closed) return
    this.closed = true
    this.waiting.clear()
    this.services.behind.stop(this)
    this.onGone()
    for (const channel of this.channels.values()) {
      channel.state = "lost"
      channel.connection?.detach(channel)
      channel.opening?.unsafeInterruptAsFork(FiberId.none)
    }
    this.channels.clear()
  }

  /**
   * Closes the link if nothing has been heard on it, or nothing has been opened on it, for too long. Before that it asks: a
   * tab that is hidden has timers too slow for signs of life of its own, but answers at once. While nothing is read nobody
   * can be heard, and the client is told that the server lives.
   */
  checkLife(): void {
    const { clock, heartbeatMillis, openTimeoutMillis, silenceMillis } = this.services
    const now = clock.unsafeCurrentTimeMillis()
    if (this.channels.size > 0) this.usedAt = now
    // the clock was set back
    if (this.reading && this.lastHeard - now > silenceMillis) this.lastHeard = this.usedAt = now
    const silent = this.reading ? now - this.lastHeard : 0
    if (silent >= silenceMillis) this.close(Link.codeGoAway, nothingHeard)
    else if (now - this.usedAt >= openTimeoutMillis) {
      this.close(Link.codeViolation, "no connection was opened on the link")
    } else if (this.greeted && (!this.reading || silent >= Math.min(heartbeatMillis, silenceMillis / 2))) {
      this.writer.write(Frame.encode({ _tag: "Ping" }))
    }
  }

  /** Asks the client to leave. Calls in flight are still answered; what it opens now it opens anew on its next link. */
  goAway(retryAfterMillis: number): void {
    this.leaving = true
    this.writer.write(Frame.encode({ _tag: "GoAway", retryAfterMillis }))
    this.writer.flush()
  }

  close(code: number, reason: string): void {
    if (this.closed) return
    this.writer.flush()
    this.link.close(code, reason.slice(0, 100))
    this.onClose()
  }

  private violation(issue: string): void {
    this.writer.write(Frame.encode({ _tag: "Refused", channel: 0, reason: { _tag: "ProtocolViolation", issue } }))
    this.close(Link.codeViolation, "protocol violation")
  }

  private onFrame(frame: Frame.ClientFrame): void {
    if (frame._tag === "Hello") return this.hello(frame)
    if (!this.greeted) return this.violation(`the first frame must be Hello, it was ${frame._tag}`)
    switch (frame._tag) {
      case "Ping":
        return this.writer.write(Frame.encode({ _tag: "Pong" }))
      case "Pong":
        return
      case "Open":
        return this.open(frame)
      case "Resume":
        return this.resume(frame)
      case "Close":
        return this.closeChannel(frame)
      case "Message": {
        const channel = this.channels.get(frame.channel)
        if (channel?.connection) return channel.connection.receive(channel, frame.seq, frame.payload)
        return channel?.opening
          ? this.violation("a message came before the connection was opened")
          : this.unknown(frame)
      }
      case "Ack":
        return this.channels.get(frame.channel)?.connection?.acknowledge(frame.received)
    }
  }

  private hello({ version }: Frame.ClientFrameOf<"Hello">): void {
    if (version !== Frame.version) {
      return this.violation(`this server speaks version ${Frame.version} of the protocol, the client ${version}`)
    }
    this.greeted = true
    const { heartbeatMillis, silenceMillis, openBytesMax, messageBytesMax } = this.services
    // a client asks for its connections in the same message, and the first is often open at once
    this.writer.writeSoon(Frame.encode({
      _tag: "Welcome",
      version: Frame.version,
      heartbeatMillis,
      silenceMillis,
      openBytesMax,
      messageBytesMax
    }))
  }

  private unknown({ channel }: { readonly channel: number }): void {
    this.writer.write(Frame.encode({ _tag: "Close", channel, reason: { _tag: "ActivationLost" } }))
  }

  /** Whoever is refused often waits before it can try again. */
  private refuse(channel: number, reason: DisconnectReason): void {
    const now = this.services.clock.unsafeCurrentTimeMillis()
    this.opensAt = now + this.refusals.take(now)
    this.writer.write(Frame.encode({ _tag: "Refused", channel, reason }))
  }

  private newChannel(number: number): Channel | undefined {
    const max = this.services.connectionsMax
    if (this.channels.has(number)) {
      this.violation(`channel ${number} is in use`)
      return undefined
    }
    if (this.channels.size >= max) {
      this.refuse(number, { _tag: "LimitReached", limit: "connectionsMax", max })
      return undefined
    }
    const channel = new Channel(number, this)
    this.channels.set(number, channel)
    return channel
  }

  private open(frame: Frame.ClientFrameOf<"Open">): void {
    if (this.leaving) return
    const channel = this.newChannel(frame.channel)
    if (!channel) return
    // a fiber that fails is logged, with what it fails with, and that quotes the parameters
    const fiber = this.services.fork(Effect.either(this.afterRefusals(this.connect(frame, channel))))
    channel.opening = fiber
    fiber.addObserver((exit) => {
      channel.opening = undefined
      if (Exit.isSuccess(exit) && Either.isRight(exit.value)) return
      channel.release()
      if (this.closed || Exit.isFailure(exit) || Either.isRight(exit.value)) return
      this.refuse(frame.channel, exit.value.left)
    })
  }

  private connect(
    frame: Frame.ClientFrameOf<"Open">,
    channel: Channel
  ): Effect.Effect<ServerConnection, DisconnectReason> {
    return this.services.actors.has(frame.contract)
      ? this.services.connections.open(frame, this.request, channel)
      : Effect.fail({ _tag: "UnknownActor", issue: `there is no actor ${frame.contract} here` })
  }

  private afterRefusals<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      const wait = this.opensAt - this.services.clock.unsafeCurrentTimeMillis()
      return wait > 0 ? Effect.zipRight(Effect.sleep(wait), this.afterRefusals(effect)) : effect
    })
  }

  private resume(frame: Frame.ClientFrameOf<"Resume">): void {
    if (this.leaving) return
    const channel = this.newChannel(frame.channel)
    if (!channel) return
    const reason = this.services.connections.resume(frame, channel)
    if (!reason) return
    channel.release()
    this.writer.write(Frame.encode({ _tag: "Close", channel: frame.channel, reason }))
  }

  /** The client says whether its session goes on; for the rest it is its own business why. */
  private closeChannel({ channel: number, reason }: Frame.ClientFrameOf<"Close">): void {
    const channel = this.channels.get(number)
    if (!channel) return
    this.channels.delete(number)
    channel.state = "closed"
    if (reason._tag === "Superseded") channel.closedFor = reason
    channel.opening?.unsafeInterruptAsFork(FiberId.none)
    channel.connection?.end(channel.closedFor)
  }
}
