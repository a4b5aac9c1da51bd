/**
 * A server without actors, for one client with one connection: what it says to the client is up to the test, and what it
 * hears is kept. It greets, opens and resumes by itself unless it is told to refuse, and answers calls when it is told to.
 */
import { ActorClient } from "@troupe/client"
import { ConnectionId, type DisconnectReason, type Link } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { MemoryTransport } from "@troupe/testing"
import { Context, Effect, Either, Layer } from "effect"
import { settle } from "./world.ts"

type ClientFrame<Tag extends Frame.ClientFrame["_tag"]> = Extract<Frame.ClientFrame, { readonly _tag: Tag }>
type Reason = DisconnectReason.DisconnectReason

const secret = (n: number) => String(n).padStart(32, "0")

class Script {
  /** All frames of the client, in order. */
  readonly heard: Array<Frame.ClientFrame> = []
  /** What the next `Opened` says. */
  incarnation = 0
  activation = "first"
  retentionMillis = 86_400_000
  window = 256
  /** The next attempts to open are refused, each with the next of these. */
  readonly refusals: Array<Reason> = []
  /** The next attempt to resume is refused with this. */
  lost: Reason | undefined
  /** While set, links are refused with this. */
  refusal: Reason | undefined
  private link: Link.Link | undefined
  private channel = 0
  private secrets = 0
  private sent = 0
  private received = 0

  readonly accept = (link: Link.Link): Link.LinkHandler => {
    this.link = link
    return {
      onMessage: (text) => Frame.decodeClient(text)!.forEach((frame) => this.onFrame(Either.getOrThrow(frame))),
      onClose: () => {
        if (this.link === link) this.link = undefined
      }
    }
  }

  private onFrame(frame: Frame.ClientFrame): void {
    this.heard.push(frame)
    switch (frame._tag) {
      case "Hello":
        if (this.refusal) return this.write({ _tag: "Refused", channel: 0, reason: this.refusal })
        return this.write({
          _tag: "Welcome",
          version: Frame.version,
          heartbeatMillis: 15_000,
          silenceMillis: 3_000_000,
          openBytesMax: 16 * 1024,
          messageBytesMax: 1024 * 1024
        })
      case "Open":
        return this.onOpen(frame)
      case "Resume":
        return this.onResume(frame)
      case "Message":
        this.received = frame.seq
    }
  }

  private onOpen({ channel }: ClientFrame<"Open">): void {
    const reason = this.refusals.shift()
    if (reason) return this.write({ _tag: "Refused", channel, reason })
    this.channel = channel
    this.sent = this.received = 0
    this.write({
      _tag: "Opened",
      channel,
      connectionId: ConnectionId.ConnectionId.make(++this.secrets),
      token: this.token(),
      window: this.window,
      unacknowledgedMax: 0,
      retentionMillis: this.retentionMillis,
      incarnation: this.incarnation,
      activation: this.activation
    })
  }

  private onResume({ channel }: ClientFrame<"Resume">): void {
    this.channel = channel
    const reason = this.lost
    this.lost = undefined
    this.write(
      reason
        ? { _tag: "Close", channel, reason }
        : { _tag: "Resumed", channel, token: this.token(), received: this.received }
    )
  }

  private token(): string {
    return secret(++this.secrets)
  }

  private write(...frames: ReadonlyArray<Parameters<typeof Frame.encode>[0]>): void {
    this.link?.send(Frame.join(frames.map(Frame.encode)))
  }

  /** Says something, and waits until all that follows has happened. */
  readonly say = (frame: Parameters<typeof Frame.encode>[0]): Effect.Effect<void> =>
    Effect.zipRight(Effect.sync(() => this.write(frame)), settle)

  /** Ends the connection. */
  readonly close = (reason: Reason): Effect.Effect<void> =>
    Effect.suspend(() => this.say({ _tag: "Close", channel: this.channel, reason }))

  /** Answers a call. */
  readonly answer = (call: number, value: unknown): Effect.Effect<void> =>
    this.send(Frame.encodeExit(call, JSON.stringify({ _tag: "Success", value })))

  /** Does not know how a call has ended. */
  readonly lose = (call: number): Effect.Effect<void> => this.send(Frame.encodeLost(call))

  /** Gives values of a stream. */
  readonly chunk = (call: number, index: number, values: ReadonlyArray<string | number>): Effect.Effect<void> =>
    this.send(Frame.encodeChunk(call, index, values.map((value) => JSON.stringify(value))))

  /** Acknowledges a subscription. */
  readonly acknowledge = (event: string): Effect.Effect<void> => this.send(Frame.encodeSubscribed(event))

  private send(message: string): Effect.Effect<void> {
    return Effect.zipRight(
      Effect.sync(() => this.link!.send(Frame.join([Frame.encodeMessage(this.channel, ++this.sent, message)]))),
      settle
    )
  }

  /** The frames of the client with this tag. */
  readonly of = <Tag extends Frame.ClientFrame["_tag"]>(tag: Tag): ReadonlyArray<ClientFrame<Tag>> =>
    this.heard.filter((frame): frame is ClientFrame<Tag> => frame._tag === tag)

  /** All attempts to open, in order. */
  get opens(): ReadonlyArray<ClientFrame<"Open">> {
    return this.of("Open")
  }

  /** The numbers of all calls that have been sent, in order, as often as they have been. */
  get requests(): ReadonlyArray<number> {
    return this.of("Message").flatMap(({ payload }) => payload._tag === "Request" ? [payload.id] : [])
  }
}

/** The server, its network, and a client of it. */
export const makeScripted = (options: ActorClient.Options = {}) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const base = yield* Layer.buildWithScope(MemoryTransport.layer, scope)
    const network = Context.get(base, MemoryTransport.MemoryNetwork)
    const server = new Script()
    yield* network.listen(server.accept)
    const client = yield* Layer.buildWithScope(
      Layer.provide(ActorClient.layer(options), Layer.succeedContext(base)),
      scope
    )
    return { network, server, client: Context.get(client, ActorClient.ActorClient) }
  })
