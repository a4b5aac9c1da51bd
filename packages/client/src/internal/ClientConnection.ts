/**
 * One session with an actor: opens a connection on each new link, or resumes it, sends what waits, and ends calls with
 * their answers. All of it runs in callbacks; only the evaluation of the parameters and waiting to open anew need a fiber.
 */
import * as Headers from "@effect/platform/Headers"
import * as Address from "@troupe/contract/Address"
import { CallRejected, ConnectionClosed, type ConnectionError } from "@troupe/contract/ConnectionError"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import type { Any } from "@troupe/contract/Definition"
import { type DisconnectReason, recovery } from "@troupe/contract/DisconnectReason"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import type { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import type { CallOptions } from "@troupe/contract/protocol/RpcObject"
import { Inbox, Outbox } from "@troupe/contract/protocol/Sequence"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { Backoff } from "./Backoff.ts"
import { type Call, Calls } from "./Calls.ts"
import type { ClientServices } from "./ClientServices.ts"
import type { EventReader } from "./EventReader.ts"
import { Subscriptions } from "./Subscriptions.ts"
import { Watched } from "./Watched.ts"

type FrameOf<Tag extends Frame.ServerFrame["_tag"]> = Extract<Frame.ServerFrame, { readonly _tag: Tag }>

/** What the connection is made for. */
export interface Target {
  readonly contract: Any
  readonly key: string
  /** The parameters of a new connection. */
  readonly params: Effect.Effect<unknown, unknown>
  readonly events: ReadonlyArray<string>
}

/** A link that has been greeted, as a connection uses it. */
export interface OpenLink {
  readonly writer: FrameWriter
  /** A number for a channel that has not been used on the link. */
  readonly newChannel: (connection: ClientConnection) => number
  /** How long a message to this server may be. */
  readonly messageBytesMax: number
  /** The server is going away: answers may still come, but nothing new is sent. */
  readonly draining: boolean
}

/** What a message has around its payload. */
const envelopeBytesMax = 128

type Phase = "detached" | "opening" | "resuming" | "live" | "closed"

export class ClientConnection {
  readonly status = new Watched<ConnectionStatus.ConnectionStatus>(ConnectionStatus.Connecting())
  readonly pending = new Watched(0)
  /** Completed when the first connection stands, or has been refused. */
  readonly opened: Deferred.Deferred<void, unknown> = Deferred.unsafeMake(FiberId.none)
  inbox = new Inbox()
  channel = 0
  private readonly codec: Codec.ContractCodec
  private readonly session: string
  private readonly calls: Calls
  private readonly subscriptions: Subscriptions
  private readonly backoff: Backoff
  private outbox = new Outbox()
  private phase: Phase = "detached"
  private link: OpenLink | undefined
  /** What resumes the present connection. */
  private ticket: { readonly connectionId: ConnectionId; readonly token: string } | undefined
  /** The events of the `Open` that is on its way. */
  private openEvents: ReadonlySet<string> = new Set()
  /** The calls it has named as pending. */
  private openPending: ReadonlyArray<number> = []
  /** What the server has said about the connection, or the one before. */
  private grant: FrameOf<"Opened"> | undefined
  /** The calls that were sent on the connection and have no answer: what credit bounds. */
  private readonly inFlight = new Set<number>()
  private openedAt = 0
  private opening: Fiber.RuntimeFiber<void> | undefined
  private openings = 0
  private connectedOnce = false
  /** The connection was opened anew at once; if it is lost soon, the next attempt waits. */
  private reopened = false

  constructor(
    private readonly services: ClientServices,
    private readonly target: Target,
    /** It has ended for good. */
    private readonly onClosed: (connection: ClientConnection) => void
  ) {
    this.codec = Codec.ofContract(target.contract)
    this.session = services.secrets.next()
    this.backoff = new Backoff(services.schedule)
    this.calls = new Calls(services.bounds, (count) => this.pending.set(count))
    this.subscriptions = new Subscriptions(
      target.events,
      services.eventBufferMax,
      (tag, event) => this.send(Frame.encodeSubscription(tag, event))
    )
  }

  get closed(): boolean {
    return this.phase === "closed"
  }

  /** Whether an answer is on its way that the present link could still bring. */
  get awaitsAnswer(): boolean {
    return this.phase === "opening" || (this.phase === "live" && this.inFlight.size > 0)
  }

  // --- calls and events ----------------------------------------------------------------------------------------------

  readonly call = (
    codec: Codec.RpcCodec,
    payload: unknown,
    options: CallOptions | undefined
  ): Effect.Effect<unknown, unknown> =>
    Effect.async((resume) => {
      if (this.closed) return resume(Effect.fail(this.closedError()))
      const encoded = codec.payload.encode(payload)
      if (Either.isLeft(encoded)) {
        return resume(Effect.dieMessage(`${codec.payload.what} does not encode: ${Codec.describe(encoded.left)}`))
      }
      const headers = options?.headers ? Object.entries(Headers.fromInput(options.headers)) : undefined
      const number = this.calls.next
      const text = Frame.encodeRequest(number, codec.rpc._tag, encoded.right, headers)
      const bytes = Bytes.of(text)
      const full = this.calls.full(bytes)
      if (full) return resume(Effect.fail(full))
      this.calls.next++
      const end = options?.discard ? () => {} : resume
      const call: Call = { number, codec, text, bytes, end, sent: undefined, cancelled: false }
      this.calls.add(call)
      this.pump()
      if (options?.discard) return resume(Effect.void)
      return Effect.sync(() => this.cancel(call))
    })

  /** Adds a reader of an event; `ready` is called when it is live. */
  subscribe(event: string, ready: (exit: Exit.Exit<void, ConnectionError>) => void): EventReader | undefined {
    if (!this.closed) return this.subscriptions.add(event, ready)
    ready(Exit.fail(this.closedError()))
    return undefined
  }

  unsubscribe(event: string, reader: EventReader): void {
    this.subscriptions.remove(event, reader)
  }

  /** The caller was interrupted. A call that was sent is cancelled at the server, and never sent again. */
  private cancel(call: Call): void {
    if (this.calls.get(call.number) !== call) return
    this.calls.cancel(call)
    if (!call.sent) return
    if (this.openPending.includes(call.number)) this.services.flush(this.askAnew)
    else this.send(Frame.encodeInterrupt(call.number))
  }

  /**
   * A call that the `Open` on its way asks for was cancelled. The connection cannot be told before it stands, and may
   * never stand if it waits for that call.
   */
  private readonly askAnew = (): void => {
    if (this.phase !== "opening" || this.openPending.every((number) => this.calls.get(number))) return
    this.tellClosed({ _tag: "ClientClosed" })
    this.open()
  }

  /** Sends a message in its place among the calls. Without a connection it is dropped: a new one is told otherwise. */
  private send(text: string): void {
    if (!this.ticket) return
    const seq = this.outbox.push(text)
    if (this.phase === "live") this.link!.writer.write(Frame.encodeMessage(this.channel, seq, text))
  }

  /** Sends the calls that wait, as far as the credit goes. */
  private pump(): void {
    if (this.phase !== "live" || !this.grant || this.link!.draining) return
    const { incarnation, window } = this.grant
    for (const call of this.calls.take(window - this.inFlight.size)) {
      const issue = this.sizeIssue(call)
      if (issue) {
        this.calls.end(call, Exit.fail(new CallRejected({ issue, sent: "no" })))
        continue
      }
      call.sent ??= { at: this.services.clock.unsafeCurrentTimeMillis(), incarnation }
      this.inFlight.add(call.number)
      this.send(call.text)
    }
  }

  /** A message that is too long for the server would cost the link, again and again. */
  private sizeIssue({ bytes }: Call): string | undefined {
    const max = this.link!.messageBytesMax - envelopeBytesMax
    return bytes > max ? `the call has ${bytes} bytes, the server takes ${max} (messageBytesMax)` : undefined
  }

  // --- the link ------------------------------------------------------------------------------------------------------

  /** A link is there: the connection is resumed on it, or a new one opened. */
  onLink(link: OpenLink): void {
    if (this.closed) return
    this.link = link
    if (!this.ticket) return this.open()
    this.phase = "resuming"
    this.channel = link.newChannel(this)
    const { contract, key } = this.target
    const received = this.inbox.received
    link.writer.write(
      Frame.encode({
        _tag: "Resume",
        channel: this.channel,
        contract: contract.contract,
        key,
        received,
        ...this.ticket
      })
    )
  }

  onLinkLost(): void {
    if (this.closed) return
    this.phase = "detached"
    this.link = undefined
    this.channel = 0
    this.openPending = []
    this.reopened = false
    this.stopOpening()
  }

  /** What the link does while the connection has none. */
  onLinkStatus(status: ConnectionStatus.ConnectionStatus): void {
    if (status._tag === "Closed") this.close(status.reason)
    else if (!this.closed && status._tag !== "Connected") this.status.set(status)
  }

  onFrame(frame: Exclude<Frame.ServerFrame, { readonly _tag: "Welcome" | "Ping" | "Pong" | "GoAway" }>): void {
    switch (frame._tag) {
      case "Opened":
        return this.onOpened(frame)
      case "Resumed":
        return this.onResumed(frame)
      case "Refused":
      case "Close":
        return this.onEnded(frame.reason)
      case "Ack":
        if (!this.outbox.acknowledge(frame.received)) this.violation("the server acknowledged what was never sent")
        return
      case "Message":
        return this.onMessage(frame)
    }
  }

  private onMessage({ seq, payload }: FrameOf<"Message">): void {
    if (this.phase !== "live") return
    this.link!.writer.acknowledge(this)
    const position = this.inbox.accept(seq)
    if (position === "gap") return this.violation(`message ${seq} came after message ${this.inbox.received}`)
    if (position === "next") this.onServerMessage(payload)
  }

  private onServerMessage(message: Frame.ServerMessage): void {
    switch (message._tag) {
      case "Exit":
      case "Rejected":
        return this.onAnswer(message)
      case "Subscribed":
        return this.subscriptions.acknowledged(message.event)
      case "SubscribeRejected":
        return this.subscriptions.rejected(message.event, message.issue)
      case "Event":
        return this.onEvent(message)
    }
  }

  private onAnswer(message: Extract<Frame.ServerMessage, { readonly _tag: "Exit" | "Rejected" }>): void {
    this.inFlight.delete(message.requestId)
    const call = this.calls.get(message.requestId)
    if (call) this.calls.end(call, this.exitOf(call, message))
    this.pump()
    if (this.link?.draining) this.services.onAnswered()
  }

  private exitOf(
    call: Call,
    message: Extract<Frame.ServerMessage, { readonly _tag: "Exit" | "Rejected" }>
  ): Exit.Exit<unknown, unknown> {
    if (message._tag === "Rejected") return Exit.fail(new CallRejected({ issue: message.issue, sent: "no" }))
    const decoded = call.codec.exit.decode(message.exit)
    return Either.isRight(decoded)
      ? decoded.right as Exit.Exit<unknown, unknown>
      : Exit.die(new Error(`${call.codec.exit.what} does not decode: ${Codec.describe(decoded.left)}`))
  }

  private onEvent({ event, payload }: Extract<Frame.ServerMessage, { readonly _tag: "Event" }>): void {
    const decoded = this.codec.events.get(event)?.decode(payload)
    if (!decoded) return
    if (Either.isRight(decoded)) return this.subscriptions.event(event, decoded.right)
    this.violation(`the event ${event} does not decode: ${Codec.describe(decoded.left)}`)
  }

  // --- opening -------------------------------------------------------------------------------------------------------

  private open(): void {
    const link = this.link
    if (!link) return
    this.stopOpening()
    this.phase = "opening"
    this.ticket = undefined
    this.openPending = []
    this.outbox = new Outbox()
    this.inbox = new Inbox()
    this.inFlight.clear()
    this.status.set(ConnectionStatus.Connecting())
    this.startOpening(Effect.matchCause(this.target.params, {
      onFailure: (cause) => this.onParamsFailed(cause),
      onSuccess: (params) => this.sendOpen(link, params)
    }))
  }

  private sendOpen(link: OpenLink, params: unknown): void {
    const encoded = this.codec.params.encode(params)
    if (Either.isLeft(encoded)) {
      return this.close({ _tag: "InvalidParams", issue: Codec.describe(encoded.left) })
    }
    this.channel = link.newChannel(this)
    this.openEvents = new Set(this.subscriptions.events)
    // what is not sent again is not asked for
    this.sendAgain()
    this.openPending = this.calls.sent
    link.writer.write(Frame.encode({
      _tag: "Open",
      channel: this.channel,
      session: this.session,
      contract: this.target.contract.contract,
      key: this.target.key,
      params: encoded.right,
      events: Array.from(this.openEvents),
      settledBelow: this.calls.settledBelow,
      pending: this.openPending
    }))
  }

  private onParamsFailed(cause: Cause.Cause<unknown>): void {
    if (Cause.isInterruptedOnly(cause)) return
    if (!this.connectedOnce) {
      Deferred.unsafeDone(this.opened, Exit.failCause(cause))
      return this.close({ _tag: "ClientClosed" })
    }
    this.retryLater(ConnectionStatus.WaitingCause.ParamsFailed({ message: Cause.pretty(cause) }))
  }

  private onOpened(frame: FrameOf<"Opened">): void {
    this.phase = "live"
    this.grant = frame
    this.ticket = { connectionId: frame.connectionId, token: frame.token }
    this.openedAt = this.services.clock.unsafeCurrentTimeMillis()
    this.connectedOnce = true
    this.subscriptions.reopened(this.openEvents)
    this.sendAgain()
    for (const number of this.openPending) if (!this.calls.get(number)) this.send(Frame.encodeInterrupt(number))
    this.openPending = []
    this.pump()
    this.status.set(ConnectionStatus.Connected({ resumed: false }))
    Deferred.unsafeDone(this.opened, Exit.void)
  }

  /** Looks which calls may be sent again; the others end. */
  private sendAgain(): void {
    if (!this.grant) return
    const { incarnation, retentionMillis } = this.grant
    const { contract, key } = this.target
    this.calls.sendAgain({
      address: Address.make(contract.contract, key),
      incarnation,
      keptSince: this.services.clock.unsafeCurrentTimeMillis() - retentionMillis * 0.9
    })
  }

  private onResumed({ token, received }: FrameOf<"Resumed">): void {
    if (this.phase !== "resuming" || !this.ticket) return
    this.ticket = { ...this.ticket, token }
    if (!this.outbox.acknowledge(received)) return this.open()
    this.phase = "live"
    const { writer } = this.link!
    this.outbox.replay((seq, text) => writer.write(Frame.encodeMessage(this.channel, seq, text)))
    // shows the server that the new token has arrived
    writer.acknowledge(this)
    this.pump()
    this.status.set(ConnectionStatus.Connected({ resumed: true }))
  }

  /** The server has ended the connection, or refused to open one. */
  private onEnded(reason: DisconnectReason): void {
    if (this.closed) return
    const next = recovery(reason)
    if (next === "closed" || (next === "retry" && !this.connectedOnce)) return this.refused(reason)
    if (this.isStable) {
      this.backoff.reset()
      this.reopened = false
    }
    this.ticket = undefined
    this.openPending = []
    this.phase = "detached"
    if (next === "retry" || this.reopened) {
      return this.retryLater(ConnectionStatus.WaitingCause.NotOpened({ reason }))
    }
    this.reopened = true
    this.open()
  }

  /** Whether there is a connection, and it has stood long enough for its loss to be the first of a row. */
  private get isStable(): boolean {
    const now = this.services.clock.unsafeCurrentTimeMillis()
    return this.ticket !== undefined && now - this.openedAt >= this.services.stableAfterMillis
  }

  private refused(reason: DisconnectReason): void {
    const error = reason._tag === "Denied" ? this.denied(reason.error) : new ConnectionClosed({ reason, sent: "no" })
    Deferred.unsafeDone(this.opened, Exit.fail(error))
    this.close(reason)
  }

  /** The contract's own error. */
  private denied(encoded: unknown): unknown {
    const decoded = this.codec.connectError.decode(encoded)
    return Either.isRight(decoded)
      ? decoded.right
      : new ConnectionClosed({ reason: { _tag: "ProtocolViolation", issue: Codec.describe(decoded.left) }, sent: "no" })
  }

  private retryLater(cause: ConnectionStatus.WaitingCause): void {
    this.stopOpening()
    this.phase = "opening"
    this.startOpening(Effect.flatMap(this.backoff.next(cause), (retryAt) => {
      if (Option.isNone(retryAt)) return Effect.sync(() => this.close({ _tag: "GaveUp" }))
      this.status.set(ConnectionStatus.Waiting({ attempt: this.backoff.attempt, retryAt, cause }))
      const delay = retryAt.value - this.services.clock.unsafeCurrentTimeMillis()
      return Effect.zipRight(
        Effect.sleep(delay),
        Effect.sync(() => {
          this.opening = undefined
          this.open()
        })
      )
    }))
  }

  /** A fiber runs at once, and may start the next before it is known here. */
  private startOpening(effect: Effect.Effect<void>): void {
    const number = ++this.openings
    const fiber = this.services.fork(effect)
    if (number === this.openings) this.opening = fiber
  }

  private stopOpening(): void {
    this.openings++
    this.opening?.unsafeInterruptAsFork(FiberId.none)
    this.opening = undefined
  }

  private violation(issue: string): void {
    this.tellClosed({ _tag: "ProtocolViolation", issue })
    this.close({ _tag: "ProtocolViolation", issue })
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  /** Ends the session for good: calls, streams and all that waits are settled. */
  close(reason: DisconnectReason): void {
    if (this.closed) return
    if (reason._tag === "ClientClosed") this.tellClosed(reason)
    this.phase = "closed"
    this.stopOpening()
    this.status.set(ConnectionStatus.Closed({ reason }))
    const error = this.closedError()
    this.calls.close(reason)
    this.subscriptions.close(error)
    Deferred.unsafeDone(this.opened, Exit.fail(error))
    this.onClosed(this)
  }

  private tellClosed(reason: DisconnectReason): void {
    if (this.phase === "detached" || !this.link || this.channel === 0) return
    this.link.writer.write(Frame.encode({ _tag: "Close", channel: this.channel, reason }))
  }

  private closedError(): ConnectionClosed {
    const { current } = this.status
    const reason: DisconnectReason = current._tag === "Closed" ? current.reason : { _tag: "ClientClosed" }
    return new ConnectionClosed({ reason, sent: "no" })
  }

  /** Used by the public object. */
  readonly acquire: Effect.Effect<ClientConnection, never, Scope.Scope> = Effect.acquireRelease(
    Effect.succeed(this),
    () => Effect.sync(() => this.close({ _tag: "ClientClosed" }))
  )
}
