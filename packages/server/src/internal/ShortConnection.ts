/**
 * The calls of one HTTP request, made over a connection of their own: a client without a socket, which opens one channel on
 * a link, makes its calls and closes it. Nothing is resumed and nothing is sent again.
 */
import { ActorOverloaded } from "@troupe/contract/ActorError"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import { traceOf } from "@troupe/contract/CallSpan"
import { CallRejected, ConnectionClosed, ConnectionError, OutcomeUnknown } from "@troupe/contract/ConnectionError"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as Link from "@troupe/contract/Link"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Frame from "@troupe/contract/protocol/Frame"
import { ServerDefect } from "@troupe/contract/ServerDefect"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Gateway } from "../Gateway.ts"

/** A call, in the encoding of @effect/rpc. */
export const StockRequest = Schema.TaggedStruct("Request", {
  id: Schema.String,
  tag: Schema.String,
  payload: Schema.optional(Schema.Unknown),
  headers: Schema.optional(Schema.Array(Schema.Tuple(Schema.String, Schema.String))),
  traceId: Schema.optional(Schema.String),
  spanId: Schema.optional(Schema.String),
  sampled: Schema.optional(Schema.Boolean)
})

export type StockRequest = typeof StockRequest.Type

/** What is said to a client of @effect/rpc, encoded. */
export type StockResponse =
  | { readonly _tag: "Exit"; readonly requestId: string; readonly exit: unknown }
  | { readonly _tag: "Chunk"; readonly requestId: string; readonly values: ReadonlyArray<unknown> }

const encodeError = Schema.encodeSync(Schema.Union(ConnectionError, ActorOverloaded))

const encodeDefect = Schema.encodeSync(ServerDefect)

/** An `Exit` with a typed failure, encoded. */
const failed = (error: unknown) => ({ _tag: "Failure", cause: { _tag: "Fail", error } })

const died = (defect: ServerDefect) => ({ _tag: "Failure", cause: { _tag: "Die", defect: encodeDefect(defect) } })

const exitOf = (requestId: string, exit: unknown): StockResponse => ({ _tag: "Exit", requestId, exit })

/** The answer of a call that its connection has failed. */
export const failure = (id: string, error: ConnectionError | ActorOverloaded): StockResponse =>
  exitOf(id, failed(encodeError(error)))

const channel = 1

const hello = Frame.encode({ _tag: "Hello", version: Frame.version })

/** Asks for the connection. Throws if the parameters are nested too deeply to be written. */
export const open = (
  options: Pick<Extract<Frame.ClientFrame, { readonly _tag: "Open" }>, "session" | "contract" | "key" | "params">
): string =>
  Frame.encode({
    _tag: "Open",
    channel,
    events: [],
    opening: 1,
    settledBelow: 1,
    sentBelow: 1,
    pending: [],
    ...options
  })

export interface ShortConnectionOptions {
  readonly gateway: Gateway
  readonly request: ConnectRequest
  /** What `open` has written. */
  readonly open: string
  /** One at least. */
  readonly requests: ReadonlyArray<StockRequest>
  /** Where what the gateway says waits until somebody asks for responses: who does not read is not told more. */
  readonly texts: Mailbox.Mailbox<string>
  /** After how many bytes no more answers are waited for: a client that reads all together must not fill the memory. */
  readonly collectedBytesMax: number
  /** Makes the id under which a defect is logged. */
  readonly nextId: () => string
  /** It has ended. Called once. */
  readonly onEnd: () => void
}

export class ShortConnection {
  /** The calls that have not been answered, by number. */
  private readonly calls: Map<number, StockRequest>
  private readonly server: Link.LinkHandler
  private responses: Array<StockResponse> = []
  /** Streams that have given values, by the last of their chunks: they are asked for more when it has been read. */
  private readonly streams = new Map<number, number>()
  private sent = 0
  private sequence = 0
  private received = 0
  private window = 0
  private collected = 0
  private over = false

  constructor(private readonly options: ShortConnectionOptions) {
    const { gateway, open, request, requests, texts } = options
    this.calls = new Map(requests.map((call, i) => [i + 1, call]))
    this.server = gateway.accept({
      send: (text) => void texts.unsafeOffer(text),
      close: () => void texts.unsafeDone(Exit.void),
      buffered: () => 0
    }, request)
    this.say(hello, open)
  }

  /**
   * The responses that are there, as soon as there are any. Whoever asks has read those before. Fails with `None` when all
   * have been given.
   */
  readonly next: Effect.Effect<Chunk.Chunk<StockResponse>, Option.Option<never>> = Effect.suspend(() => {
    if (this.responses.length > 0) return Effect.succeed(this.take())
    if (this.over) return Effect.fail(Option.none())
    this.askForMore()
    return Effect.map(this.options.texts.takeAll, ([texts, ended]) => {
      for (const text of texts) this.onText(text)
      if (ended) this.fail({ _tag: "ActivationLost" })
      return this.take()
    })
  }).pipe(Effect.catchAllDefect((defect) => this.die(defect)))

  /** Ends the connection: what runs is interrupted, and what waits never runs. */
  readonly close = (): void => {
    if (this.over) return
    this.over = true
    this.say(Frame.encode({ _tag: "Close", channel, reason: { _tag: "ClientClosed" } }))
    this.server.onClose({ code: Link.codeNormal, reason: "" })
    this.options.texts.unsafeDone(Exit.void)
    this.options.onEnd()
  }

  /** Fails the calls that have no answer, and ends the connection. */
  fail(reason: DisconnectReason): void {
    for (const number of Array.from(this.calls.keys())) {
      if (reason._tag === "Denied") this.answer(number, failed(reason.error))
      else this.answerWith(number, new ConnectionClosed({ reason, sent: number <= this.sent ? "maybe" : "no" }))
    }
  }

  private take(): Chunk.Chunk<StockResponse> {
    const taken = Chunk.unsafeFromArray(this.responses)
    this.responses = []
    return taken
  }

  private say(...frames: ReadonlyArray<string>): void {
    this.server.onMessage(Frame.join(frames))
  }

  private tell(payload: string): void {
    this.say(Frame.encodeMessage(channel, ++this.sequence, payload))
  }

  private askForMore(): void {
    if (this.received > 0) this.say(Frame.encodeAck(channel, this.received))
    for (const [number, index] of this.streams) this.tell(Frame.encodeStreamAck(number, index))
    this.streams.clear()
  }

  /** Sends calls, as far as the credit goes. */
  private pump(): void {
    const { requests } = this.options
    const answered = () => requests.length - this.calls.size
    while (!this.over && this.sent < requests.length && this.sent - answered() < this.window) {
      this.send(++this.sent, requests[this.sent - 1]!)
    }
  }

  private send(number: number, { headers, payload, tag, ...span }: StockRequest): void {
    let text: string
    try {
      text = Frame.encodeRequest(number, tag, payload, headers, traceOf(span))
    } catch {
      const issue = "its payload cannot be written as JSON: it is nested too deeply, or has what JSON has not"
      return this.answerWith(number, new CallRejected({ issue, sent: "no" }))
    }
    this.tell(text)
  }

  private onText(text: string): void {
    if (this.options.collectedBytesMax < Infinity) this.collected += Bytes.of(text)
    // it is our own server that speaks
    for (const frame of Frame.decodeServer(text)!) if (!this.over) this.onFrame(Either.getOrThrow(frame))
    this.pump()
    const max = this.options.collectedBytesMax
    if (this.collected > max) this.fail({ _tag: "LimitReached", limit: "collectedBytesMax", max })
  }

  private onFrame(frame: Frame.ServerFrame): void {
    switch (frame._tag) {
      case "Opened":
        this.window = frame.window
        return
      case "Refused":
      case "Close":
        return this.fail(frame.reason)
      case "GoAway":
        return this.onGoAway()
      case "Message":
        this.received = frame.seq
        return this.onMessage(frame.payload)
    }
  }

  /** What has been sent is still answered. */
  private onGoAway(): void {
    const unsent = Array.from(this.calls.keys()).filter((number) => number > this.sent)
    const error = new ConnectionClosed({ reason: { _tag: "ActivationLost" }, sent: "no" })
    this.sent = this.options.requests.length
    for (const number of unsent) this.answerWith(number, error)
  }

  private onMessage(message: Frame.ServerMessage): void {
    switch (message._tag) {
      case "Exit":
        return this.answer(message.requestId, message.exit)
      case "Rejected":
        return this.answerWith(message.requestId, new CallRejected({ issue: message.issue, sent: "no" }))
      case "Lost": {
        const cause = "the server does not know how it has ended"
        return this.answerWith(message.requestId, new OutcomeUnknown({ cause, sent: "maybe" }))
      }
      case "Chunk":
        return this.onChunk(message)
    }
  }

  private onChunk({ index, requestId, values }: Extract<Frame.ServerMessage, { readonly _tag: "Chunk" }>): void {
    const call = this.calls.get(requestId)
    if (!call) return
    this.streams.set(requestId, index)
    this.responses.push({ _tag: "Chunk", requestId: call.id, values })
  }

  private answerWith(number: number, error: ConnectionError): void {
    this.answer(number, failed(encodeError(error)))
  }

  private answer(number: number, exit: unknown): void {
    const call = this.calls.get(number)
    if (!call) return
    this.calls.delete(number)
    this.streams.delete(number)
    this.responses.push(exitOf(call.id, exit))
    if (this.calls.size === 0) this.close()
  }

  /** A bug, of ours or in the schemas of a contract. The calls die, and learn its id. */
  private die(defect: unknown): Effect.Effect<Chunk.Chunk<StockResponse>> {
    const id = this.options.nextId()
    const exit = died(new ServerDefect({ id }))
    for (const number of Array.from(this.calls.keys())) this.answer(number, exit)
    const log = Effect.annotateLogs(Effect.logError("a request over HTTP died", Cause.die(defect)), { defect: id })
    return Effect.map(log, () => this.take())
  }
}
