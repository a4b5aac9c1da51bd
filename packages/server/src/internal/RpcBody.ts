/** The body of an HTTP request of @effect/rpc, and that of its response, in the serialization the client has chosen. */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { ResponseDefectEncoded } from "@effect/rpc/RpcMessage"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import { CallRejected } from "@troupe/contract/ConnectionError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as MsgPack from "./MsgPack.ts"
import { failure, StockRequest, type StockResponse } from "./ShortConnection.ts"

type Response = HttpServerResponse.HttpServerResponse

const serializations = [RpcSerialization.json, RpcSerialization.ndjson, RpcSerialization.msgPack]

/** The types that a body may have. */
export const contentTypes = serializations.map(({ contentType }) => contentType)

/** Messages that mean nothing here: a request ends when its connection does. */
const Ignored = Schema.Struct({ _tag: Schema.Literal("Ack", "Interrupt", "Ping", "Eof") })

const decodeMessages = Schema.decodeUnknownEither(Schema.NonEmptyArray(Schema.Union(StockRequest, Ignored)))

const newline = 0x0a

/** The parser waits for the end of a line; a body has no more to come, so its last line needs none. */
const terminate = (bytes: Uint8Array): Uint8Array =>
  bytes.at(-1) === newline ? bytes : concat([bytes, Uint8Array.of(newline)])

/** How much is read of a body that is too long, so that its client can read the answer: so many times what it may have. */
const drainedTimes = 16

/** How much of a body is looked at if it is too long. */
const headBytes = 256

interface Bytes {
  readonly head: Uint8Array
  /** Absent if there are too many. */
  readonly all: Uint8Array | undefined
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

const collect = <E>(body: Stream.Stream<Uint8Array, E>, bytesMax: number): Effect.Effect<Bytes, E> =>
  Effect.suspend(() => {
    let size = 0
    let parts: Array<Uint8Array> = []
    let head = new Uint8Array()
    const take = (part: Uint8Array) =>
      Effect.sync(() => {
        if (size === 0) head = part.slice(0, headBytes)
        size += part.length
        if (size <= bytesMax) parts.push(part)
        else parts = []
        return size <= drainedTimes * bytesMax
      })
    return Effect.map(Stream.runForEachWhile(body, take), () => ({
      head,
      all: size <= bytesMax ? concat(parts) : undefined
    }))
  })

/** A request begins with its tag and its id in every serialization; in MessagePack, lengths or names stand between. */
const idIn = (head: Uint8Array): string | undefined =>
  /Request\W+(?:id\W+)?(\d+)\W/.exec(new TextDecoder("latin1").decode(head))?.[1]

export class RpcBody {
  private readonly parser: RpcSerialization.Parser
  private readonly encoder = new TextEncoder()

  private constructor(private readonly serialization: typeof RpcSerialization.RpcSerialization.Service) {
    this.parser = serialization.unsafeMake()
  }

  /** A body of this content type, if there are such bodies. */
  static of(contentType: string): RpcBody | undefined {
    const type = contentType.split(";", 1)[0]!.trim().toLowerCase()
    const serialization = serializations.find(({ contentType }) => contentType === type)
    return serialization && new RpcBody(serialization)
  }

  /** Whether the client has read a message before the next is there. Otherwise it reads all of them together. */
  get framed(): boolean {
    return this.serialization.includesFraming
  }

  /** Reads the calls. Fails with the response for what cannot be read. */
  read(
    request: HttpServerRequest.HttpServerRequest,
    bytesMax: number
  ): Effect.Effect<ReadonlyArray<StockRequest>, Response> {
    return collect(request.stream, bytesMax).pipe(
      Effect.mapError(() => this.refuse(400, "the body cannot be read")),
      Effect.flatMap(({ all, head }) => all ? this.decode(all) : Effect.fail(this.tooLong(head, bytesMax)))
    )
  }

  private decode(bytes: Uint8Array): Either.Either<ReadonlyArray<StockRequest>, Response> {
    return Either.try(() => {
      if (this.serialization === RpcSerialization.msgPack) MsgPack.check(bytes)
      const messages = this.parser.decode(this.serialization === RpcSerialization.ndjson ? terminate(bytes) : bytes)
      // without frames a body is one message, or an array of them
      return this.framed ? messages : messages.flat()
    }).pipe(
      Either.flatMap(decodeMessages),
      Either.map((messages) => messages.filter((message) => message._tag === "Request")),
      Either.mapLeft(() =>
        this.refuse(400, `the body has no messages of @effect/rpc in ${this.serialization.contentType}`)
      )
    )
  }

  /** The call fails, and not those that its client makes beside it, as they would by a response that names no call. */
  private tooLong(head: Uint8Array, bytesMax: number): Response {
    const issue = `the body of the request may have ${bytesMax} bytes (bodyBytesMax)`
    const id = idIn(head)
    return id === undefined
      ? this.refuse(413, issue)
      : this.ofAll([failure(id, new CallRejected({ issue, sent: "no" }))])
  }

  /** A response to what names no call: a defect. */
  refuse(status: number, issue: string): Response {
    return this.ofAll([ResponseDefectEncoded(issue)], status)
  }

  /** A response of messages that are all there. */
  ofAll(messages: ReadonlyArray<unknown>, status = 200): Response {
    const { contentType } = this.serialization
    return this.framed
      ? HttpServerResponse.uint8Array(concat(messages.map(this.bytesOf)), { status, contentType })
      : HttpServerResponse.text(this.parser.encode(messages) as string, { status, contentType })
  }

  /** A response of messages that come: one after the other, or all together where there are no frames. */
  of(messages: Stream.Stream<StockResponse>): Effect.Effect<Response> {
    const { contentType } = this.serialization
    return this.framed
      ? Effect.succeed(HttpServerResponse.stream(Stream.map(messages, this.bytesOf), { contentType }))
      : Effect.map(Stream.runCollect(messages), (all) => this.ofAll(Array.from(all)))
  }

  private readonly bytesOf = (message: unknown): Uint8Array => {
    const encoded = this.parser.encode(message)!
    return typeof encoded === "string" ? this.encoder.encode(encoded) : encoded
  }
}
