/**
 * The wire protocol: every frame, and the schema of each. A WebSocket message is a JSON array of frames; what happens in
 * one tick travels in one message. Messages and acknowledgements are written in the shorter forms of `ShortFrame`, and read
 * in both. `docs/protocol.md` tells the story these shapes play in.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { idLengthMax, type Trace } from "../CallSpan.ts"
import { ConnectionId } from "../ConnectionId.ts"
import { DisconnectReason } from "../DisconnectReason.ts"
import * as Codec from "./Codec.ts"
import * as Json from "./Json.ts"
import * as ShortFrame from "./ShortFrame.ts"

/** Stands in `Hello`. A server that does not speak it answers with a `Refused` for the link and closes it. */
export const version = 1

/** How long a message may be that every server takes, in bytes, before it has said in `Welcome` what it takes. */
export const greetingBytesMax = 1024

const Channel = Schema.Int.pipe(Schema.nonNegative())
const Sequence = Schema.Int.pipe(Schema.nonNegative())
const Call = Schema.Int.pipe(Schema.positive())
const Millis = Schema.Finite.pipe(Schema.nonNegative())
const Secret = Schema.String.pipe(Schema.minLength(32), Schema.maxLength(64))
const Name = Schema.String.pipe(Schema.maxLength(ShortFrame.nameLengthMax))
const TraceId = Schema.String.pipe(Schema.maxLength(idLengthMax))

// --- what travels inside `Message` -----------------------------------------------------------------------------------

/**
 * A call, in the shape of @effect/rpc. `id` is the number of the call in its session, from 1; the last three name the
 * caller's span, if it has one.
 */
export const Request = Schema.TaggedStruct("Request", {
  id: Schema.NumberFromString.pipe(Schema.compose(Call)),
  tag: Name,
  payload: Schema.optional(Schema.Unknown),
  headers: Schema.optional(Schema.Array(Schema.Tuple(Schema.String, Schema.String))),
  traceId: Schema.optional(TraceId),
  spanId: Schema.optional(TraceId),
  sampled: Schema.optional(Schema.Boolean)
})

/** The caller was interrupted: cancel the call if it has not finished. */
export const Interrupt = Schema.TaggedStruct("Interrupt", {
  requestId: Schema.NumberFromString.pipe(Schema.compose(Call))
})

/**
 * The client has read this `Chunk` of a stream: the next one may come. On two connections it may say so twice, so that a
 * count of what it says would run ahead.
 */
export const StreamAck = Schema.TaggedStruct("Ack", {
  requestId: Schema.NumberFromString.pipe(Schema.compose(Call)),
  index: Schema.Int.pipe(Schema.positive())
})

/** Start to send an event. It takes its place among the calls and is answered by `Subscribed`. */
export const Subscribe = Schema.TaggedStruct("Subscribe", { event: Name })

/** Stop to send an event. */
export const Unsubscribe = Schema.TaggedStruct("Unsubscribe", { event: Name })

export const ClientMessage = Schema.Union(Request, Interrupt, StreamAck, Subscribe, Unsubscribe)

export type ClientMessage = typeof ClientMessage.Type

/** The end of a call, in the shape of @effect/rpc: its `Exit`, encoded with the rpc's schemas. */
export const Exit = Schema.TaggedStruct("Exit", {
  requestId: Schema.NumberFromString.pipe(Schema.compose(Call)),
  exit: Schema.Unknown
})

/**
 * Values of a stream, in the shape of @effect/rpc; `index` counts the chunks of the call from 1. There is one at a time:
 * the next is sent when this one was acknowledged. One that is sent again on another connection has the index it had.
 */
export const Chunk = Schema.TaggedStruct("Chunk", {
  requestId: Schema.NumberFromString.pipe(Schema.compose(Call)),
  index: Schema.Int.pipe(Schema.positive()),
  values: Schema.Array(Schema.Unknown)
})

/** A call that runs beside the turns was begun by an activation that is gone, and with it what is known of the call. */
export const Lost = Schema.TaggedStruct("Lost", {
  requestId: Schema.NumberFromString.pipe(Schema.compose(Call))
})

/** The call was not run: the rpc is unknown, or its payload did not decode. */
export const Rejected = Schema.TaggedStruct("Rejected", {
  requestId: Schema.NumberFromString.pipe(Schema.compose(Call)),
  issue: Schema.String
})

/** An event, for the subscribers of its name. */
export const Event = Schema.TaggedStruct("Event", { event: Name, payload: Schema.optional(Schema.Unknown) })

/** From here on the event is sent. */
export const Subscribed = Schema.TaggedStruct("Subscribed", { event: Name })

/** The event is not sent: the contract has none of this name, or there are too many subscriptions. */
export const SubscribeRejected = Schema.TaggedStruct("SubscribeRejected", { event: Name, issue: Schema.String })

export const ServerMessage = Schema.Union(Exit, Chunk, Lost, Rejected, Event, Subscribed, SubscribeRejected)

export type ServerMessage = typeof ServerMessage.Type

// --- frames of the link ----------------------------------------------------------------------------------------------

/** The first frame of a client. */
export const Hello = Schema.TaggedStruct("Hello", { version: Schema.Int })

/**
 * The server's answer: how often to send something, after which silence a link is dead, and the largest message, while no
 * connection stands on the link and afterwards.
 */
export const Welcome = Schema.TaggedStruct("Welcome", {
  version: Schema.Int,
  heartbeatMillis: Millis,
  silenceMillis: Millis,
  openBytesMax: Schema.Int,
  messageBytesMax: Schema.Int
})

/** Asks the peer for a sign of life; any frame is one. */
export const Ping = Schema.TaggedStruct("Ping", {})

/** Answers `Ping`. */
export const Pong = Schema.TaggedStruct("Pong", {})

/** The server is draining: come back after this delay. */
export const GoAway = Schema.TaggedStruct("GoAway", { retryAfterMillis: Millis })

// --- frames of a connection, each naming its channel -----------------------------------------------------------------

/** How many events a connection may be opened with. Others are subscribed to when it stands. */
export const openEventsMax = 256

/**
 * Opens a connection on a channel the client chose. `session` is the secret name of the `connect` call it belongs to,
 * `opening` counts the `Open`s of that session, from 1: one that comes after a later one, late on an old link, is refused.
 * `pending` are the numbers of the calls that will be sent again; calls below `settledBelow` have been answered, and calls
 * from `sentBelow` on have not been sent when this was written.
 */
export const Open = Schema.TaggedStruct("Open", {
  channel: Channel,
  session: Secret,
  contract: Name,
  key: Schema.String,
  params: Schema.optional(Schema.Unknown),
  events: Schema.Array(Name).pipe(Schema.maxItems(openEventsMax)),
  opening: Schema.Int.pipe(Schema.positive()),
  settledBelow: Call,
  sentBelow: Call,
  pending: Schema.Array(Call)
})

/**
 * Continues a connection on this link. `received` is the number of the last message the client has, `resumption` counts the
 * `Resume`s of the connection, from 1: one that comes after a later one, late on an old link, is refused.
 */
export const Resume = Schema.TaggedStruct("Resume", {
  channel: Channel,
  contract: Name,
  key: Schema.String,
  connectionId: ConnectionId,
  token: Secret,
  received: Sequence,
  resumption: Schema.Int.pipe(Schema.positive())
})

/**
 * The connection stands. `window` is how many calls may be in flight, `token` resumes it. Events of up to
 * `unacknowledgedMax` bytes may be acknowledged later, with what is sent next. `incarnation` is how often the actor has
 * been destroyed before, as far as is remembered: what was sent to another one is not sent again. `activation` names the
 * actor's stay in memory: what runs beside the turns is lost with it, and what was sent to another one is not sent again.
 */
export const Opened = Schema.TaggedStruct("Opened", {
  channel: Channel,
  connectionId: ConnectionId,
  token: Secret,
  window: Schema.Int.pipe(Schema.positive()),
  unacknowledgedMax: Schema.Int.pipe(Schema.nonNegative()),
  retentionMillis: Millis,
  incarnation: Schema.Int.pipe(Schema.nonNegative()),
  activation: Name
})

/** The connection goes on here. What the client sent after message `received` is to be sent again. */
export const Resumed = Schema.TaggedStruct("Resumed", { channel: Channel, token: Secret, received: Sequence })

/** An `Open` was refused. */
export const Refused = Schema.TaggedStruct("Refused", { channel: Channel, reason: DisconnectReason })

/** The connection has ended, or the one a frame was meant for does not exist. */
export const Close = Schema.TaggedStruct("Close", { channel: Channel, reason: DisconnectReason })

/** All messages of the other side up to this number have arrived. */
export const Ack = Schema.TaggedStruct("Ack", { channel: Channel, received: Sequence })

/** A numbered message. Each direction of a connection counts its own from 1. */
const message = <Payload extends Schema.Schema.AnyNoContext>(payload: Payload) =>
  Schema.TaggedStruct("Message", { channel: Channel, seq: Sequence.pipe(Schema.positive()), payload })

/**
 * An event that matters only while it is fresh. It has no number: it is not acknowledged, and not sent again. The sender is
 * a connection of the actor, or, if absent, the actor itself: what comes replaces what was not read of the same sender.
 */
export const Latest = Schema.TaggedStruct("Latest", {
  channel: Channel,
  sender: Schema.optional(ConnectionId),
  payload: Event
})

export const ClientFrame = Schema.Union(Hello, Ping, Pong, Open, Resume, Close, Ack, message(ClientMessage))

export type ClientFrame = typeof ClientFrame.Type

/** The frame of a client that has this tag. */
export type ClientFrameOf<Tag extends ClientFrame["_tag"]> = Extract<ClientFrame, { readonly _tag: Tag }>

export const ServerFrame = Schema.Union(
  Welcome,
  Ping,
  Pong,
  GoAway,
  Opened,
  Resumed,
  Refused,
  Close,
  Ack,
  Latest,
  message(ServerMessage)
)

export type ServerFrame = typeof ServerFrame.Type

/** The frame of a server that has this tag. */
export type ServerFrameOf<Tag extends ServerFrame["_tag"]> = Extract<ServerFrame, { readonly _tag: Tag }>

// --- texts -----------------------------------------------------------------------------------------------------------

/** The text of a frame. Frames whose encoded form differs are written by the functions below. */
export const encode = (frame: Exclude<ClientFrame | ServerFrame, { readonly _tag: "Message" | "Latest" }>): string =>
  JSON.stringify(frame)

/**
 * A `Message` around a payload that is text already, so that a broadcast is encoded once for all its receivers: what the
 * functions below write is all that stands behind the number, in the short form or the long one.
 */
export const encodeMessage = (channel: number, seq: number, payload: string): string => `[${channel},${seq},${payload}]`

/** A `Latest` around an event that is text already, likewise. */
export const encodeLatest = (channel: number, sender: number | undefined, event: string): string =>
  `[${channel},0,${sender ?? 0},${event}]`

export const encodeAck = (channel: number, received: number): string => `[${channel},${received}]`

/** `payload` is undefined where the rpc has none. Throws if it has a number that JSON has not. */
export const encodeRequest = (
  id: number,
  tag: string,
  payload: unknown,
  headers?: ReadonlyArray<readonly [string, string]>,
  trace?: Trace
): string => {
  if (headers || trace) return Json.encode({ _tag: "Request", id: String(id), tag, payload, headers, ...trace }, tag)
  const call = `${id},${JSON.stringify(tag)}`
  return payload === undefined ? call : `${call},${Json.encode(payload, tag)}`
}

export const encodeInterrupt = (id: number): string => `{"_tag":"Interrupt","requestId":"${id}"}`

/** How the text of a success begins, and that of one without a value. */
const success = "{\"_tag\":\"Success\",\"value\":"
const successOfNothing = "{\"_tag\":\"Success\"}"

/** `exit` is the text of an encoded `Exit`, as `JSON` has written it. */
export const encodeExit = (id: number, exit: string): string => {
  if (exit.startsWith(success)) return `${id},${exit.slice(success.length, -1)}`
  return exit === successOfNothing ? `${id}` : encodeStoredExit(id, exit)
}

/** The same where `exit` may be written in another way, as what comes from a store may be: any JSON. */
export const encodeStoredExit = (id: number, exit: string): string =>
  `{"_tag":"Exit","requestId":"${id}","exit":${exit}}`

export const encodeStreamAck = (id: number, index: number): string =>
  `{"_tag":"Ack","requestId":"${id}","index":${index}}`

/** `values` are texts. */
export const encodeChunk = (id: number, index: number, values: ReadonlyArray<string>): string =>
  `{"_tag":"Chunk","requestId":"${id}","index":${index},"values":[${values.join(",")}]}`

export const encodeLost = (id: number): string => `{"_tag":"Lost","requestId":"${id}"}`

export const encodeRejected = (id: number, issue: string): string =>
  JSON.stringify({ _tag: "Rejected", requestId: String(id), issue })

/** `payload` is text, or undefined where the event has none. */
export const encodeEvent = (event: string, payload: string | undefined): string =>
  payload === undefined ? JSON.stringify(event) : `${JSON.stringify(event)},${payload}`

export const encodeSubscription = (tag: "Subscribe" | "Unsubscribe", event: string): string =>
  JSON.stringify({ _tag: tag, event })

export const encodeSubscribed = (event: string): string => JSON.stringify({ _tag: "Subscribed", event })

export const encodeSubscribeRejected = (event: string, issue: string): string =>
  JSON.stringify({ _tag: "SubscribeRejected", event, issue })

/** Frames as one message. */
export const join = (frames: ReadonlyArray<string>): string => `[${frames.join(",")}]`

/** Decodes a frame by its schema, unless it is a short one. */
const decoder = <A, I>(
  ofShort: (frame: ReadonlyArray<unknown>) => NoInfer<A> | undefined,
  schema: Schema.Schema<A, I>
) => {
  const decode = Codec.decoder(schema)
  return (frame: unknown): ReturnType<typeof decode> => {
    if (!Array.isArray(frame)) return decode(frame)
    const known = ofShort(frame)
    return known === undefined ? decode(ShortFrame.toLong(frame)) : Either.right(known)
  }
}

/** A frame of a client, out of `list`. */
export const decodeClientFrame = decoder(ShortFrame.ofClient, ClientFrame)
const decodeServerFrame = decoder(ShortFrame.ofServer, ServerFrame)

/**
 * The frames of a message, not decoded; `undefined` if it is not a JSON array. To find out why one does not decode costs a
 * hundred times what it costs to send: whoever hears of one need not hear of the others.
 */
export const list = (text: string): ReadonlyArray<unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The frames of a client's message, each decoded on its own; `undefined` if the message is not a JSON array. */
export const decodeClient = (text: string) => list(text)?.map((frame) => decodeClientFrame(frame))

/** The frames of a server's message, each decoded on its own; `undefined` if the message is not a JSON array. */
export const decodeServer = (text: string) => list(text)?.map((frame) => decodeServerFrame(frame))
