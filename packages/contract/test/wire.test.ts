/**
 * The wire contract is a checked-in text, so that a change of it shows up as a diff. If the change is meant, write the
 * text again with `npx vitest run packages/contract/test/wire.test.ts -u`; a client or a server of the version before must
 * still understand what it is sent, or `Frame.version` goes up.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { ConnectionId } from "@troupe/contract/ConnectionId"
import { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as ShortFrame from "@troupe/contract/protocol/ShortFrame"
import * as Either from "effect/Either"
import * as AST from "effect/SchemaAST"
import * as SchemaText from "./support/SchemaText.ts"

/** A line for each member of a union of tagged structs: its tag, then its fields. */
const members = ({ ast }: { readonly ast: AST.AST }, names: SchemaText.Names): ReadonlyArray<string> => {
  if (!AST.isUnion(ast)) throw new TypeError(`${ast} is not a union`)
  return ast.types.map((member) => SchemaText.render(member, names))
}

const names: SchemaText.Names = new Map([
  [Frame.ClientMessage.ast, "ClientMessage"],
  [Frame.ServerMessage.ast, "ServerMessage"],
  [DisconnectReason.ast, "DisconnectReason"]
])

const secret = "00112233445566778899aabbccddeeff"
const connectionId = ConnectionId.make(1048577)

type Encoded = Parameters<typeof Frame.encode>[0]

const clientFrames: ReadonlyArray<Encoded> = [
  { _tag: "Hello", version: Frame.version },
  { _tag: "Ping" },
  {
    _tag: "Open",
    channel: 1,
    session: secret,
    contract: "ChatRoom",
    key: "lobby",
    params: { token: "guest" },
    events: ["message"],
    opening: 2,
    settledBelow: 3,
    sentBelow: 5,
    pending: [3, 4]
  },
  {
    _tag: "Resume",
    channel: 2,
    contract: "ChatRoom",
    key: "lobby",
    connectionId,
    token: secret,
    received: 7,
    resumption: 2
  },
  { _tag: "Close", channel: 2, reason: { _tag: "ClientClosed" } }
]

const serverFrames: ReadonlyArray<Encoded> = [
  {
    _tag: "Welcome",
    version: Frame.version,
    heartbeatMillis: 15000,
    silenceMillis: 30000,
    openBytesMax: 16384,
    messageBytesMax: 1048576
  },
  { _tag: "Pong" },
  { _tag: "GoAway", retryAfterMillis: 1000 },
  {
    _tag: "Opened",
    channel: 1,
    connectionId,
    token: secret,
    window: 256,
    unacknowledgedMax: 65536,
    retentionMillis: 86400000,
    incarnation: 0,
    activation: "89abcdef0123456789abcdef01234567"
  },
  { _tag: "Resumed", channel: 2, token: secret, received: 5 },
  { _tag: "Refused", channel: 1, reason: { _tag: "Denied", error: { _tag: "Denied" } } },
  { _tag: "Close", channel: 2, reason: { _tag: "Disconnected", reason: "be nice" } }
]

/** What each function that writes messages writes. */
const clientMessages: Record<string, ReadonlyArray<string>> = {
  encodeRequest: [
    Frame.encodeRequest(3, "Say", { text: "hello" }),
    Frame.encodeRequest(4, "History", undefined, [["traceparent", "00-1-2-01"]])
  ],
  encodeInterrupt: [Frame.encodeInterrupt(3)],
  encodeStreamAck: [Frame.encodeStreamAck(3, 1)],
  encodeSubscription: [
    Frame.encodeSubscription("Subscribe", "message"),
    Frame.encodeSubscription("Unsubscribe", "message")
  ]
}

const serverMessages: Record<string, ReadonlyArray<string>> = {
  encodeExit: [
    Frame.encodeExit(3, "{\"_tag\":\"Success\",\"value\":{\"text\":\"hello\"}}"),
    Frame.encodeExit(
      4,
      "{\"_tag\":\"Failure\",\"cause\":{\"_tag\":\"Die\",\"defect\":{\"_tag\":\"ServerDefect\",\"id\":\"0011\"}}}"
    )
  ],
  encodeStoredExit: [Frame.encodeStoredExit(4, "{\"_tag\":\"Success\",\"value\":1}")],
  encodeChunk: [Frame.encodeChunk(5, 1, ["1", "{\"text\":\"hello\"}"])],
  encodeLost: [Frame.encodeLost(5)],
  encodeRejected: [Frame.encodeRejected(5, "ChatRoom has no rpc Shout")],
  encodeEvent: [Frame.encodeEvent("message", `{"text":"hello"}`), Frame.encodeEvent("closing", undefined)],
  encodeSubscribed: [Frame.encodeSubscribed("message")],
  encodeSubscribeRejected: [Frame.encodeSubscribeRejected("shout", "ChatRoom has no event shout")]
}

/** What is sent beside the numbered messages. */
const latest = [
  Frame.encodeLatest(1, connectionId, Frame.encodeEvent("cursor", `{"x":1}`)),
  Frame.encodeLatest(1, undefined, Frame.encodeEvent("cursor", `{"x":1}`))
]

const { Ack, Event, Exit, Latest, Message, Request } = ShortFrame
const shortForms = { Ack, Message, Request, Exit, Event, Latest }

const inMessages = (samples: Record<string, ReadonlyArray<string>>) =>
  Object.values(samples).flat().map((payload, index) => Frame.encodeMessage(1, index + 1, payload))

const inMessagesOf = (samples: Record<string, ReadonlyArray<string>>) =>
  Object.entries(samples).flatMap(([name, texts]) => texts.map((text) => `${name}: ${Frame.encodeMessage(1, 2, text)}`))

const section = (title: string, lines: ReadonlyArray<string>) => [`# ${title}`, "", ...lines, ""]

const samplesOf = (samples: Record<string, ReadonlyArray<string>>) =>
  Object.entries(samples).flatMap(([name, texts]) => texts.map((text) => `${name}: ${text}`))

const text = [
  `The wire contract of Troupe, version ${Frame.version}. Checked by wire.test.ts, which says how to change it.`,
  "",
  "A WebSocket message is one JSON array of frames. \"A of (B)\" is an A on the wire that holds a B.",
  "",
  ...section("Frames of a client", members(Frame.ClientFrame, names)),
  ...section("Messages of a client (ClientMessage)", members(Frame.ClientMessage, names)),
  ...section("Frames of a server", members(Frame.ServerFrame, names)),
  ...section("Messages of a server (ServerMessage)", members(Frame.ServerMessage, names)),
  ...section("Reasons (DisconnectReason)", members(DisconnectReason, new Map())),
  ...section(
    "Short forms, each of both sides or of one, which are written where there is one",
    Object.entries(shortForms).map(([name, { ast }]) => `${name}: ${SchemaText.render(ast, names)}`)
  ),
  ...section("Samples of a client", [
    ...clientFrames.map((frame) => `encode: ${Frame.encode(frame)}`),
    ...inMessagesOf(clientMessages)
  ]),
  ...section("Samples of a server", [
    ...serverFrames.map((frame) => `encode: ${Frame.encode(frame)}`),
    ...inMessagesOf(serverMessages),
    ...samplesOf({ encodeLatest: latest })
  ]),
  ...section("Samples of both", [
    `encodeMessage: ${Frame.encodeMessage(1, 2, Frame.encodeInterrupt(3))}`,
    `encodeAck: ${Frame.encodeAck(1, 2)}`,
    `join: ${Frame.join([Frame.encode({ _tag: "Ping" }), Frame.encodeAck(1, 2)])}`
  ])
].join("\n")

describe("wire", () => {
  it("the contract is what its text says", async () => {
    await expect(text).toMatchFileSnapshot("./wire.txt")
  })

  it("each function that encodes has a sample", () => {
    const functions = Object.keys(Frame).filter((name) => name.startsWith("encode"))
    assert.deepStrictEqual(functions.filter((name) => !text.includes(`\n${name}: `)), [])
  })

  it("each sample is understood by the side it is sent to", () => {
    const ack = Frame.encodeAck(1, 2)
    const toServer = Frame.join([...clientFrames.map(Frame.encode), ...inMessages(clientMessages), ack])
    const toClient = Frame.join([...serverFrames.map(Frame.encode), ...inMessages(serverMessages), ...latest, ack])
    assert.deepStrictEqual(Frame.decodeClient(toServer)!.filter(Either.isLeft), [])
    assert.deepStrictEqual(Frame.decodeServer(toClient)!.filter(Either.isLeft), [])
  })
})
