import { assert, it } from "@effect/vitest"
import { Frame } from "@troupe/contract"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as ShortFrame from "@troupe/contract/protocol/ShortFrame"
import { Arbitrary, Effect, Either, FastCheck as fc, Schema } from "effect"

type Payload = Frame.ClientMessage | Frame.ServerMessage

/** What is a value after `JSON.parse`; the texts of frames cannot carry anything else. */
const json = fc.jsonValue({ maxDepth: 3 })
const name = fc.string({ unit: "binary", maxLength: 20 })
const call = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const headers = fc.array(fc.tuple(name, name), { maxLength: 3 })

/** The text of a message, as its sender writes it. */
const write = (message: Payload): string => {
  switch (message._tag) {
    case "Request":
      return Frame.encodeRequest(message.id, message.tag, message.payload, message.headers)
    case "Interrupt":
      return Frame.encodeInterrupt(message.requestId)
    case "Ack":
      return Frame.encodeStreamAck(message.requestId, message.index)
    case "Chunk":
      return Frame.encodeChunk(message.requestId, message.index, message.values.map((value) => JSON.stringify(value)))
    case "Lost":
      return Frame.encodeLost(message.requestId)
    case "Subscribe":
    case "Unsubscribe":
      return Frame.encodeSubscription(message._tag, message.event)
    case "Exit":
      return Frame.encodeExit(message.requestId, JSON.stringify(message.exit))
    case "Rejected":
      return Frame.encodeRejected(message.requestId, message.issue)
    case "Event":
      return Frame.encodeEvent(message.event, JSON.stringify(message.payload))
    case "Subscribed":
      return Frame.encodeSubscribed(message.event)
    case "SubscribeRejected":
      return Frame.encodeSubscribeRejected(message.event, message.issue)
  }
}

const tagged = <Tag extends string, Fields>(tag: Tag, fields: { [K in keyof Fields]: fc.Arbitrary<Fields[K]> }) =>
  fc.record(
    { _tag: fc.constant(tag), ...fields } as { [K in keyof Fields]: fc.Arbitrary<Fields[K]> } & {
      _tag: fc.Arbitrary<Tag>
    }
  )

const clientMessage = fc.oneof(
  tagged("Request", { id: call, tag: name, payload: json, headers }),
  tagged("Interrupt", { requestId: call }),
  tagged("Ack", { requestId: call, index: call }),
  tagged("Subscribe", { event: name }),
  tagged("Unsubscribe", { event: name })
) as fc.Arbitrary<Frame.ClientMessage>

const serverMessage = fc.oneof(
  tagged("Exit", { requestId: call, exit: json }),
  tagged("Chunk", { requestId: call, index: call, values: fc.array(json, { maxLength: 3 }) }),
  tagged("Lost", { requestId: call }),
  tagged("Rejected", { requestId: call, issue: name }),
  tagged("Event", { event: name, payload: json }),
  tagged("Subscribed", { event: name }),
  tagged("SubscribeRejected", { event: name, issue: name })
) as fc.Arbitrary<Frame.ServerMessage>

/** What both sides of a comparison are after a trip through JSON: -0 becomes 0, fields that are undefined go. */
const normal = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const rights = (frames: ReadonlyArray<Either.Either<unknown, unknown>> | undefined): ReadonlyArray<unknown> => {
  assert.isDefined(frames)
  return frames!.map((frame) => Either.getOrThrowWith(frame, (issue) => new Error(String(issue))))
}

const messages = <A>(message: fc.Arbitrary<A>) =>
  fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1 }), message), { maxLength: 8 })

it.effect.prop(
  "the messages of a client survive the wire, several to a text",
  [messages(clientMessage)],
  ([sent]) =>
    Effect.sync(() => {
      const text = Frame.join(sent.map(([channel, seq, payload]) => Frame.encodeMessage(channel, seq, write(payload))))
      const expected = sent.map(([channel, seq, payload]) => ({ _tag: "Message", channel, seq, payload }))
      assert.deepStrictEqual(normal(rights(Frame.decodeClient(text))), normal(expected))
    })
)

it.effect.prop(
  "the messages of a server survive the wire, several to a text",
  [messages(serverMessage)],
  ([sent]) =>
    Effect.sync(() => {
      const text = Frame.join(sent.map(([channel, seq, payload]) => Frame.encodeMessage(channel, seq, write(payload))))
      const expected = sent.map(([channel, seq, payload]) => ({ _tag: "Message", channel, seq, payload }))
      assert.deepStrictEqual(normal(rights(Frame.decodeServer(text))), normal(expected))
    })
)

const unnumbered = <A extends { readonly _tag: string }, I>(schema: Schema.Schema<A, I>) =>
  Arbitrary.make(schema)
    .filter((frame): frame is Exclude<A, { readonly _tag: "Message" | "Latest" }> =>
      frame._tag !== "Message" && frame._tag !== "Latest"
    )
    // JSON has no infinite numbers
    .filter((frame) => Object.values<unknown>(frame).every((value) => value !== Infinity))

it.effect.prop(
  "all other frames of a client survive the wire",
  [unnumbered(Frame.ClientFrame)],
  ([frame]) =>
    Effect.sync(() => {
      const [decoded] = rights(Frame.decodeClient(Frame.join([Frame.encode(frame)])))
      assert.deepStrictEqual(normal(decoded), normal(frame))
    }),
  { fastCheck: { numRuns: 200 } }
)

it.effect.prop(
  "all other frames of a server survive the wire",
  [unnumbered(Frame.ServerFrame)],
  ([frame]) =>
    Effect.sync(() => {
      const [decoded] = rights(Frame.decodeServer(Frame.join([Frame.encode(frame)])))
      assert.deepStrictEqual(normal(decoded), normal(frame))
    }),
  { fastCheck: { numRuns: 300 } }
)

it.effect.prop(
  "events of which only the latest counts survive the wire",
  [fc.nat(), fc.option(fc.integer({ min: 1 }), { nil: undefined }), name, fc.option(json, { nil: undefined })],
  ([channel, sender, event, payload]) =>
    Effect.sync(() => {
      const text = Frame.encodeLatest(channel, sender, write({ _tag: "Event", event, payload }))
      const expected = { _tag: "Latest", channel, sender, payload: { _tag: "Event", event, payload } }
      assert.deepStrictEqual(normal(rights(Frame.decodeServer(Frame.join([text])))), normal([expected]))
      assert.isTrue(Either.isLeft(Frame.decodeClient(Frame.join([text]))![0]!), "a client does not send it")
    })
)

it.effect.prop(
  "acknowledgements survive the wire, in both forms",
  [fc.nat(), fc.nat()],
  ([channel, received]) =>
    Effect.sync(() => {
      const frame = { _tag: "Ack", channel, received } as const
      const text = Frame.join([Frame.encodeAck(channel, received), Frame.encode(frame)])
      for (const decode of [Frame.decodeClient, Frame.decodeServer])
        assert.deepStrictEqual(rights(decode(text)), [frame, frame])
    })
)

it("a success is written short, whatever its value is, and all else as it is", () => {
  const values = [undefined, null, 0, "", "}", [], {}, { _tag: "Success" }, { value: 1, _tag: "Failure" }]
  for (const value of values) {
    const exit = { _tag: "Success", ...(value === undefined ? {} : { value }) }
    const text = Frame.encodeMessage(1, 2, Frame.encodeExit(3, JSON.stringify(exit)))
    assert.lengthOf(JSON.parse(text), value === undefined ? 3 : 4)
    const expected = { _tag: "Message", channel: 1, seq: 2, payload: { _tag: "Exit", requestId: 3, exit } }
    assert.deepStrictEqual(rights(Frame.decodeServer(Frame.join([text]))), [expected])
  }
  const failure = { _tag: "Failure", cause: { _tag: "Die", defect: "it died" } }
  assert.deepStrictEqual(JSON.parse(Frame.encodeMessage(1, 2, Frame.encodeExit(3, JSON.stringify(failure)))), [
    1,
    2,
    { _tag: "Exit", requestId: "3", exit: failure }
  ])
})

it("a failure is what the schema says it is, recognised or not", () => {
  const decode = Codec.decoder(Frame.ServerFrame)
  const field = fc.oneof(call.map(String), fc.constantFrom<unknown>("0", "01", " 1", "1e3", 1, null), json)
  const exit = fc.record({ _tag: fc.constantFrom("Exit", "Chunk"), requestId: field, exit: json, extra: json }, {
    requiredKeys: ["_tag"]
  })
  let recognised = 0
  fc.assert(
    fc.property(exit, (payload) => {
      const known = ShortFrame.ofServer([1, 2, payload])
      if (known === undefined) return
      recognised++
      assert.deepStrictEqual(known, Either.getOrThrow(decode({ _tag: "Message", channel: 1, seq: 2, payload })))
    }),
    { numRuns: 2000 }
  )
  assert.isAbove(recognised, 100)
})

it("messages are read in their long form too", () => {
  const long = (payload: unknown) => ({ _tag: "Message", channel: 1, seq: 2, payload })
  const read = (decode: typeof Frame.decodeClient | typeof Frame.decodeServer, payload: unknown) =>
    rights(decode(JSON.stringify([long(payload), [1, 2, payload]])))
  const request = { _tag: "Request", tag: "Add", payload: { by: 1 } }
  const asked = long({ ...request, id: 3 })
  assert.deepStrictEqual(read(Frame.decodeClient, { ...request, id: "3" }), [asked, asked])
  const event = long({ _tag: "Event", event: "said", payload: 1 })
  assert.deepStrictEqual(read(Frame.decodeServer, event.payload), [event, event])
})

it("what is at the edge of a number, and past it", () => {
  const decode = (requestId: string) =>
    Frame.decodeClient(
      `[{"_tag":"Message","channel":0,"seq":1,"payload":{"_tag":"Interrupt","requestId":${requestId}}}]`
    )
  assert.strictEqual(rights(decode(`"${Number.MAX_SAFE_INTEGER}"`)).length, 1)
  for (
    const bad of ["\"0\"", "\"-1\"", "\"1.5\"", "\"\"", "\" \"", "\"abc\"", "\"1e400\"", "\"NaN\"", "1", "null", "{}"]
  ) {
    assert.isTrue(Either.isLeft(decode(bad)![0]!), bad)
  }
  for (
    const [field, bad] of [["channel", "-1"], ["channel", "0.5"], ["channel", "1e999"], ["seq", "0"], ["seq", "-1"], [
      "seq",
      "\"1\""
    ]]
  ) {
    const numbers = { channel: "0", seq: "1", [field!]: bad! }
    const [frame] = Frame.decodeClient(
      `[{"_tag":"Message","channel":${numbers.channel},"seq":${numbers.seq},"payload":{"_tag":"Subscribe","event":"e"}}]`
    )!
    assert.isTrue(Either.isLeft(frame!), `${field} ${bad}`)
  }
})

/** Things that look like frames: right tags with wrong fields, and right fields with wrong tags. */
const almostFrame = fc.oneof(
  fc.record({
    _tag: fc.oneof(
      fc.constantFrom("Hello", "Open", "Resume", "Message", "Ack", "Close", "Ping", "Refused", "Event", "__proto__"),
      json
    ),
    channel: json,
    seq: json,
    payload: fc.oneof(
      json,
      fc.record({
        _tag: fc.constantFrom("Request", "Exit", "Interrupt", "Event"),
        id: json,
        requestId: json,
        tag: json
      })
    ),
    received: json,
    reason: json
  }, { requiredKeys: [] }),
  json
)

const garbage = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.json(),
  fc.array(almostFrame, { maxLength: 5 }).map((frames) => JSON.stringify(frames)),
  fc.array(fc.array(json, { maxLength: 5 }), { maxLength: 5 }).map((frames) => JSON.stringify(frames)),
  // a good text with a piece cut out of it, or changed
  fc.tuple(
    fc.array(clientMessage, { minLength: 1, maxLength: 3 }),
    fc.nat(),
    fc.nat({ max: 5 }),
    fc.string({ maxLength: 3 })
  ).map(
    ([sent, at, length, text]) => {
      const good = Frame.join(sent.map((payload, i) => Frame.encodeMessage(1, i + 1, write(payload))))
      const from = at % good.length
      return good.slice(0, from) + text + good.slice(from + length)
    }
  )
)

it.effect.prop(
  "garbage never throws: it is not an array, or each frame is decoded on its own",
  [garbage],
  ([text]) =>
    Effect.sync(() => {
      let parsed: unknown
      try {
        parsed = JSON.parse(text)
      } catch {
        parsed = undefined
      }
      for (const frames of [Frame.decodeClient(text), Frame.decodeServer(text)]) {
        assert.strictEqual(frames?.length, Array.isArray(parsed) ? parsed.length : undefined)
        for (const frame of frames ?? []) assert.isTrue(Either.isEither(frame))
      }
    }),
  { fastCheck: { numRuns: 300 } }
)

it("deep nesting, long texts and names of prototypes do not throw", () => {
  const texts = [
    "",
    "[",
    "null",
    "{}",
    "[null]",
    "[[]]",
    `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
    `[${"{\"a\":".repeat(5000)}1${"}".repeat(5000)}]`,
    `[{"_tag":"Message","channel":1,"seq":1,"payload":{"_tag":"Request","id":"1","tag":"T","payload":${
      "[".repeat(5000)
    }${"]".repeat(5000)}}}]`,
    `[{"__proto__":{"_tag":"Ping"}}]`,
    `[{"_tag":"__proto__"},{"_tag":"constructor"},{"_tag":"toString"}]`,
    `[${"1,".repeat(100_000)}1]`,
    // what cannot be made a number, or a string
    ...[`{"toString":{}}`, `{"valueOf":1,"toString":1}`, `[{"toString":{}}]`].flatMap((id) => [
      `[[1,1,{"_tag":"Exit","requestId":${id},"exit":1}]]`,
      `[[1,1,${id},"T"],[${id},1],[1,0,${id},"e"]]`,
      `[{"_tag":"Message","channel":1,"seq":1,"payload":{"_tag":"Request","id":${id},"tag":"T"}}]`,
      `[{"_tag":"Message","channel":1,"seq":1,"payload":{"_tag":"Exit","requestId":${id},"exit":1}}]`
    ])
  ]
  for (const text of texts) {
    for (const decode of [Frame.decodeClient, Frame.decodeServer]) {
      for (const frame of decode(text) ?? []) assert.isTrue(Either.isEither(frame))
    }
  }
  // a frame is not inherited
  assert.isTrue(Either.isLeft(Frame.decodeClient(`[{"__proto__":{"_tag":"Ping"}}]`)![0]!))
  assert.strictEqual(({} as { polluted?: unknown }).polluted, undefined)
})

it("one frame that does not decode leaves the others", () => {
  const frames = Frame.decodeClient(`[{"_tag":"Ping"},{"_tag":"Nope"},{"_tag":"Pong"}]`)!
  assert.deepStrictEqual(frames.map(Either.isRight), [true, false, true])
})

const mostly = (good: fc.Arbitrary<unknown>, other: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 4, arbitrary: good }, { weight: 1, arbitrary: other })

/** What an element of a short frame could be: mostly what it may be, and what is at the edges of that. */
const count = mostly(fc.nat(), fc.constantFrom<unknown>(-0, -1, 0.5, 2 ** 53 - 1, 2 ** 53, 1e300, "1", null, [1], true))
const nameOrOther = mostly(name, fc.constantFrom<unknown>("x".repeat(256), "x".repeat(257), 1, null))
const element = fc.oneof(count, nameOrOther, json)

const shortFrame = fc.oneof(
  fc.tuple(count, count),
  fc.tuple(count, count, element),
  fc.tuple(count, count, count, element),
  fc.tuple(count, count, nameOrOther, json),
  fc.tuple(count, count, count, nameOrOther, json),
  fc.tuple(count, fc.constant(0), count, nameOrOther, json),
  fc.array(element, { maxLength: 7 })
) as fc.Arbitrary<ReadonlyArray<unknown>>

const { Ack, Event, Exit, Latest, Request } = ShortFrame

for (
  const [side, recognise, forms] of [
    ["client", ShortFrame.ofClient, [Ack, Request]],
    ["server", ShortFrame.ofServer, [Ack, Exit, Event, Latest]]
  ] as const
) {
  const fits = Schema.is(Schema.Union(...forms as ReadonlyArray<Schema.Schema.AnyNoContext>))
  it(`the short frames of a ${side} are those that fit the schemas of short frames, and our own are short`, () => {
    const seen = { recognised: 0, refused: 0 }
    fc.assert(
      fc.property(shortFrame, (frame) => {
        // a failure is recognised too, in its long form
        if (typeof frame[2] === "object") return
        const known = recognise(frame)
        assert.strictEqual(known !== undefined, fits(frame))
        seen[known ? "recognised" : "refused"]++
      }),
      { numRuns: 5000 }
    )
    assert.isAbove(seen.recognised, 500)
    assert.isAbove(seen.refused, 500)
    const own = side === "client"
      ? [Frame.encodeRequest(1, "Add", { by: 1 }), Frame.encodeRequest(2, "Get", undefined)]
      : [
        Frame.encodeExit(1, `{"_tag":"Success"}`),
        Frame.encodeExit(1, `{"_tag":"Success","value":1}`),
        Frame.encodeEvent("said", "1"),
        Frame.encodeEvent("gone", undefined)
      ]
    const latest = side === "server" ? [Frame.encodeLatest(1, undefined, Frame.encodeEvent("said", "1"))] : []
    for (const text of [...own.map((payload) => Frame.encodeMessage(1, 1, payload)), Frame.encodeAck(1, 0), ...latest])
      assert.isDefined(recognise(JSON.parse(text)), text)
  })
}
