/**
 * The frames that come by the thousand are written in a short form: an array, which costs half as much to read and to send
 * as the object that the schemas of `Frame` describe. They are read here, without a schema; what is not recognised is not
 * refused, but left to the schemas. A test holds every answer of these functions to that of the schemas.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { ConnectionId } from "../ConnectionId.ts"

/** How long the name of a contract, an rpc or an event may be, in UTF-16 code units. */
export const nameLengthMax = 256

const Count = Schema.Int.pipe(Schema.nonNegative())
const Positive = Schema.Int.pipe(Schema.positive())
const Name = Schema.String.pipe(Schema.maxLength(nameLengthMax))
const Payload = Schema.optionalElement(Schema.Unknown)

/** Of both sides: channel, received. */
export const Ack = Schema.Tuple(Count, Count)

/** Of both sides, any message that has no shorter form: channel, seq, message. */
export const Message = Schema.Tuple(Count, Positive, Schema.Object)

/** Of a client, without headers and span: channel, seq, call, tag, payload. */
export const Request = Schema.Tuple(Count, Positive, Positive, Name, Payload)

/** Of a server, with a success: channel, seq, call, value. */
export const Exit = Schema.Tuple(Count, Positive, Positive, Payload)

/** Of a server: channel, seq, event, payload. */
export const Event = Schema.Tuple(Count, Positive, Name, Payload)

/** Of a server: channel, 0, the sender's connection or 0, event, payload. */
export const Latest = Schema.Tuple(
  Count,
  Schema.Literal(0),
  Schema.Union(ConnectionId, Schema.Literal(0)),
  Name,
  Payload
)

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const isPositive = (value: unknown): value is number => isCount(value) && value > 0

const isName = (value: unknown): value is string => typeof value === "string" && value.length <= nameLengthMax

type Elements = ReadonlyArray<unknown>

/** What may be left out at the end, as the field it is. */
const payloadAt = (frame: Elements, index: number) => frame.length > index ? { payload: frame[index] } : undefined

const ack = ([channel, received]: Elements) =>
  isCount(channel) && isCount(received) ? { _tag: "Ack" as const, channel, received } : undefined

const message = <Payload>([channel, seq]: Elements, payload: Payload | undefined) =>
  payload !== undefined && isCount(channel) && isPositive(seq)
    ? { _tag: "Message" as const, channel, seq, payload }
    : undefined

const request = (frame: Elements) => {
  const [, , id, tag] = frame
  return isPositive(id) && isName(tag) && frame.length <= 5
    ? { _tag: "Request" as const, id, tag, ...payloadAt(frame, 4) }
    : undefined
}

const success = (frame: Elements) => {
  const [, , requestId, value] = frame
  if (!isPositive(requestId) || frame.length > 4) return undefined
  const exit = frame.length > 3 ? { _tag: "Success", value } : { _tag: "Success" }
  return { _tag: "Exit" as const, requestId, exit }
}

/** A failure stands there as it is. */
const failure = (message: unknown) => {
  if (!Predicate.isTagged(message, "Exit")) return undefined
  const { exit, requestId: text } = message as { readonly exit?: unknown; readonly requestId?: unknown }
  // anything else need not have a number, nor be able to say so
  const requestId = typeof text === "string" ? Number(text) : undefined
  return isPositive(requestId) && String(requestId) === text && exit !== undefined
    ? { _tag: "Exit" as const, requestId, exit }
    : undefined
}

/** The event that begins at an index, and ends the frame. */
const event = (frame: Elements, index: number) => {
  const name = frame[index]
  return isName(name) && frame.length <= index + 2
    ? { _tag: "Event" as const, event: name, ...payloadAt(frame, index + 1) }
    : undefined
}

const latest = (frame: Elements) => {
  const [channel, , sender] = frame
  const payload = event(frame, 3)
  if (!isCount(channel) || !isCount(sender) || !payload) return undefined
  return {
    _tag: "Latest" as const,
    channel,
    payload,
    ...(sender > 0 ? { sender: ConnectionId.make(sender) } : undefined)
  }
}

/** A request or an acknowledgement of a client. */
export const ofClient = (frame: Elements) => frame.length === 2 ? ack(frame) : message(frame, request(frame))

/** An answer, an event or an acknowledgement of a server. */
export const ofServer = (frame: Elements) => {
  if (frame.length === 2) return ack(frame)
  if (frame[1] === 0) return latest(frame)
  switch (typeof frame[2]) {
    case "string":
      return message(frame, event(frame, 2))
    case "number":
      return message(frame, success(frame))
    default:
      return frame.length === 3 ? message(frame, failure(frame[2])) : undefined
  }
}

/** The form the schemas describe, of a message that has no shorter one than that with its number. */
export const toLong = (frame: Elements): unknown => {
  const [channel, seq, payload] = frame
  return frame.length === 3 && typeof payload === "object" ? { _tag: "Message", channel, seq, payload } : frame
}
