/**
 * The frames that come by the thousand, in the form our encoders write them, recognised without a schema. What is not
 * recognised here is not refused: the schema decides. A test holds every answer of these functions to that of the schema.
 */

/** How long the name of a contract, an rpc or an event may be, in UTF-16 code units. */
export const nameLengthMax = 256

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const isPositive = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0

const isName = (value: unknown): value is string => typeof value === "string" && value.length <= nameLengthMax

/** The number of a call. */
const callOf = (text: unknown): number | undefined => {
  const call = Number(text)
  return isPositive(call) && String(call) === text ? call : undefined
}

const payloadOf = (fields: Fields) => ("payload" in fields ? { payload: fields["payload"] } : undefined)

/** One that says nothing of headers and spans. */
const request = (fields: Fields) => {
  const { headers, sampled, spanId, tag, traceId } = fields
  const id = callOf(fields["id"])
  if (id === undefined || !isName(tag)) return undefined
  if (headers !== undefined || traceId !== undefined || spanId !== undefined || sampled !== undefined) return undefined
  return { _tag: "Request" as const, id, tag, ...payloadOf(fields) }
}

const exit = (fields: Fields) => {
  const requestId = callOf(fields["requestId"])
  return requestId === undefined || !("exit" in fields)
    ? undefined
    : { _tag: "Exit" as const, requestId, exit: fields["exit"] }
}

const event = (fields: Fields) => {
  const { event } = fields
  return isName(event) ? { _tag: "Event" as const, event, ...payloadOf(fields) } : undefined
}

/** An acknowledgement, or a message around a payload that is recognised. */
const frameOf = <Payload>(recognise: (payload: Fields) => Payload | undefined) => (frame: unknown) => {
  if (!isFields(frame)) return undefined
  const { _tag, channel, payload, received, seq } = frame
  if (!isCount(channel)) return undefined
  if (_tag === "Ack") return isCount(received) ? { _tag: "Ack" as const, channel, received } : undefined
  if (_tag !== "Message" || !isPositive(seq) || !isFields(payload)) return undefined
  const recognised = recognise(payload)
  return recognised && { _tag: "Message" as const, channel, seq, payload: recognised }
}

/** A request or an acknowledgement of a client. */
export const ofClient = frameOf((payload) => payload["_tag"] === "Request" ? request(payload) : undefined)

/** An answer, an event or an acknowledgement of a server. */
export const ofServer = frameOf((payload) => {
  switch (payload["_tag"]) {
    case "Exit":
      return exit(payload)
    case "Event":
      return event(payload)
    default:
      return undefined
  }
})
