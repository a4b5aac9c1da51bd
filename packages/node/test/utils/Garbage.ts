/** What strangers may say on a socket: what looks like messages of a client, and what does not. */
import * as Frame from "@troupe/contract/protocol/Frame"
import { Arbitrary, FastCheck as fc } from "effect"

/** One message: text, or bytes. */
export type Message = string | Buffer

const json = fc.jsonValue({ maxDepth: 3 })
const small = fc.integer({ min: 0, max: 4 })
const number = fc.oneof({ weight: 4, arbitrary: small }, fc.maxSafeInteger(), fc.double())
const word = fc.string({ unit: "binary", maxLength: 12 })

const secret = fc.oneof(
  { weight: 4, arbitrary: small.map((n) => `${n}`.padStart(32, "0")) },
  fc.string({ maxLength: 70 })
)

const oneOf = (...names: ReadonlyArray<string>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: word })

const contract = oneOf("Visited")
const key = oneOf("k0", "k1", "k2", "k3")
const event = oneOf("added", "moved")
const rpc = oneOf("Add", "Count", "Ring", "Later", "Cancel", "Pass", "Die", "End", "Watch", "Wait", "Take", "Rung")
const params = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom({ name: "ann" }, { name: "mallory" }, { name: "" }) },
  json
)
const payload = fc.oneof({ weight: 3, arbitrary: fc.constantFrom({ text: "hello" }, undefined) }, json)

const tagged = (_tag: string, fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record({ _tag: fc.constant(_tag), ...fields })

const call = fc.oneof({ weight: 4, arbitrary: small.map((n) => `${n + 1}`) }, number.map(String), word)

const message = fc.oneof(
  { weight: 4, arbitrary: tagged("Request", { id: call, tag: rpc, payload }) },
  tagged("Request", { id: call, tag: rpc, payload, headers: fc.array(fc.tuple(word, word), { maxLength: 2 }) }),
  tagged("Request", { id: call, tag: rpc, payload, traceId: word, spanId: word, sampled: fc.boolean() }),
  tagged("Interrupt", { requestId: call }),
  tagged("Ack", { requestId: call, index: number }),
  tagged("Subscribe", { event }),
  tagged("Unsubscribe", { event })
)

const open = tagged("Open", {
  channel: small,
  session: secret,
  contract,
  key,
  params,
  events: fc.array(event, { maxLength: 3 }),
  opening: small.map((n) => n + 1),
  settledBelow: small.map((n) => n + 1),
  sentBelow: small.map((n) => n + 1),
  pending: fc.array(number, { maxLength: 3 })
})

const seq = small.map((n) => n + 1)

/** Frames that a client could send, in no order that makes sense. */
const frame = fc.oneof(
  { weight: 2, arbitrary: tagged("Hello", { version: fc.oneof(fc.constant(Frame.version), number) }) },
  { weight: 4, arbitrary: open },
  { weight: 6, arbitrary: tagged("Message", { channel: small, seq, payload: message }) },
  tagged("Message", { channel: small, seq: number, payload: fc.oneof(message, json) }),
  // the same in short
  { weight: 6, arbitrary: fc.tuple(small, seq, seq, rpc, payload) },
  fc.tuple(small, seq, message),
  fc.tuple(small, number),
  fc.array(fc.oneof(number, rpc, json), { maxLength: 6 }),
  tagged("Ack", { channel: small, received: number }),
  tagged("Close", { channel: small, reason: fc.oneof(fc.constant({ _tag: "ClientClosed" }), json) }),
  tagged("Resume", {
    channel: small,
    contract,
    key,
    connectionId: number,
    token: secret,
    received: number,
    resumption: number
  }),
  tagged("Ping", {}),
  tagged("Pong", {}),
  Arbitrary.make(Frame.ClientFrame),
  // what only a server says
  Arbitrary.make(Frame.ServerFrame)
)

const frames = fc.array(frame, { minLength: 1, maxLength: 4 }).map((all) => JSON.stringify(all))

const spoilt = fc.tuple(frames, fc.nat(), fc.nat({ max: 6 }), fc.string({ unit: "binary", maxLength: 4 })).map(
  ([good, at, length, instead]) => good.slice(0, at % good.length) + instead + good.slice(at % good.length + length)
)

const flipped = fc.tuple(frames, fc.nat(), fc.integer({ min: 1, max: 255 })).map(([good, at, bits]) => {
  const bytes = Buffer.from(good)
  bytes[at % bytes.length]! ^= bits
  return bytes.toString("latin1")
})

const truncated = fc.tuple(frames, fc.nat()).map(([good, at]) => good.slice(0, at % good.length))

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))

/** Weighed so that the links live long enough for what needs a connection. */
export const messages: fc.Arbitrary<Message> = fc.oneof<Array<fc.WeightedArbitrary<Message>>>(
  { weight: 8, arbitrary: frames },
  { weight: 3, arbitrary: spoilt },
  { weight: 2, arbitrary: flipped },
  { weight: 2, arbitrary: truncated },
  { weight: 1, arbitrary: bytes },
  { weight: 1, arbitrary: bytes.map((all) => all.toString("latin1")) },
  { weight: 1, arbitrary: fc.json() }
)

/** What is no message at all: bytes on a socket that was upgraded. */
export const noise: fc.Arbitrary<Buffer> = fc.oneof(
  bytes,
  // headers of frames of RFC 6455 as they may not be: reserved bits, unknown opcodes, long controls, no mask
  fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 }), bytes).map(
    ([first, second, rest]) => Buffer.concat([Buffer.from([first, second]), rest])
  )
)

/** Calls of @effect/rpc, for the body of an HTTP request. */
export const calls = fc.array(tagged("Request", { id: call, tag: rpc, payload, headers: fc.constant([]) }), {
  minLength: 1,
  maxLength: 3
})
