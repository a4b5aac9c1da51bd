import { Rpc, RpcGroup, RpcMiddleware } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, Codec, ServerDefect } from "@troupe/contract"
import { Arbitrary, Effect, Either, Exit, FastCheck as fc, FiberId, Schema } from "effect"

class Message extends Schema.Class<Message>("Message")({
  text: Schema.String,
  at: Schema.DateFromNumber,
  tags: Schema.Set(Schema.String),
  size: Schema.optionalWith(Schema.BigInt, { as: "Option" })
}) {}
class Denied extends Schema.TaggedError<Denied>()("Denied", { reason: Schema.String }) {}

class ChatRoom extends Actor.Tag<ChatRoom>()("ChatRoom", {
  params: Schema.Struct({ token: Schema.NonEmptyString, since: Schema.DateFromString }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Say", { payload: { message: Message }, success: Schema.Array(Message), error: Denied }),
    Rpc.make("Ping")
  ),
  internal: RpcGroup.make(Rpc.make("Purge", { payload: { before: Schema.DateFromString } })),
  events: { message: Message, online: Schema.Number }
}) {}

const codecs = Codec.ofContract(ChatRoom)
const say = codecs.rpcs.get("Say")!

/** Through the codec and JSON, there and back. */
const trip = (codec: Codec.Codec, value: unknown): unknown =>
  Either.getOrThrow(codec.decode(JSON.parse(JSON.stringify(Either.getOrThrow(codec.encode(value))))))

const message = Arbitrary.make(Message).filter(({ at }) => !Number.isNaN(at.getTime()))

it.effect.prop("params, payloads and events survive the wire", [
  message,
  fc.string({ minLength: 1 }),
  fc.date({ noInvalidDate: true })
], ([message, token, date]) =>
  Effect.sync(() => {
    assert.deepStrictEqual(trip(say.payload, { message }), { message })
    assert.deepStrictEqual(trip(codecs.events.get("message")!, message), message)
    assert.instanceOf(trip(codecs.events.get("message")!, message), Message)
    assert.deepStrictEqual(trip(codecs.params, { token, since: date }), { token, since: date })
    assert.deepStrictEqual(trip(codecs.internal.get("Purge")!.payload, { before: date }), { before: date })
  }))

const exits: fc.Arbitrary<Exit.Exit<unknown, unknown>> = fc.oneof(
  fc.array(message, { maxLength: 3 }).map(Exit.succeed),
  fc.string().map((reason) => Exit.fail(new Denied({ reason }))),
  fc.string().map((id) => Exit.die(new ServerDefect.ServerDefect({ id }))),
  fc.constant(Exit.interrupt(FiberId.none))
)

/** An rpc's codec of ends, and both directions of the schema of the whole. */
const wholeExit = ({ exit: codec }: Codec.RpcCodec, schema: Schema.Schema<any, any>) => ({
  codec,
  encode: Schema.encodeUnknownEither(schema),
  decode: Schema.decodeUnknownEither(schema)
})

const defect = ServerDefect.ServerDefect

const wholeExits = [
  wholeExit(say, Schema.Exit({ success: Schema.Array(Message), failure: Denied, defect })),
  wholeExit(codecs.rpcs.get("Ping")!, Schema.Exit({ success: Schema.Void, failure: Schema.Never, defect }))
]

/** What comes as an encoded end, and is none, or only nearly. */
const nearlyExits = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.record({ _tag: fc.constantFrom("Success", "Failure", "success", 1), value: fc.jsonValue({ maxDepth: 2 }) }, {
    requiredKeys: []
  })
)

it.effect.prop(
  "an end is what the schema of the whole says it is, in both directions",
  [exits, nearlyExits],
  ([exit, nearly]) =>
    Effect.sync(() => {
      for (const { codec, decode, encode } of wholeExits) {
        for (const end of [exit, Exit.void, Exit.succeed(nearly)]) {
          const text = Either.getOrNull(codec.encode(end))
          assert.deepStrictEqual(text, Either.getOrNull(encode(end)))
          assert.deepStrictEqual(Either.getOrNull(codec.decode(text)), Either.getOrNull(decode(text)))
        }
        assert.deepStrictEqual(Either.getOrNull(codec.decode(nearly)), Either.getOrNull(decode(nearly)))
      }
    })
)

it.effect.prop("every end of a call survives the wire", [exits], ([exit]) =>
  Effect.sync(() => {
    const arrived = trip(say.exit, exit) as Exit.Exit<unknown, unknown>
    assert.deepStrictEqual(arrived, exit)
    if (Exit.isFailure(exit) && exit.cause._tag === "Die") {
      assert.instanceOf(
        Exit.isFailure(arrived) && arrived.cause._tag === "Die" && arrived.cause.defect,
        ServerDefect.ServerDefect
      )
    }
  }))

it("a defect that is not an id does not leave the server", () => {
  assert.isTrue(Either.isLeft(say.exit.encode(Exit.die(new Error("secret")))))
  assert.isTrue(Either.isLeft(say.exit.encode(Exit.fail("secret"))))
  assert.isTrue(Either.isLeft(say.exit.encode(Exit.succeed("secret"))))
})

it.effect.prop("garbage is an issue, not a throw", [fc.jsonValue()], ([value]) =>
  Effect.sync(() => {
    for (const codec of [codecs.params, codecs.connectError, say.payload, say.exit, ...codecs.events.values()]) {
      const decoded = codec.decode(value)
      if (Either.isLeft(decoded)) {
        assert.isString(Codec.describe(decoded.left))
        assert.isString(Codec.describeSafely(decoded.left))
      }
    }
  }))

it.effect.prop("what a log may say names the path, and never the value", [fc.uuid()], ([secret]) =>
  Effect.sync(() => {
    for (
      const [codec, value, path] of [
        [codecs.params, { token: 1, since: secret }, "token"],
        [codecs.params, { token: "t", since: [secret] }, "since"],
        [say.payload, { message: { text: [secret], at: 0, tags: [] } }, "message.text"],
        [say.payload, { message: { text: "t", at: 0, tags: [{ [secret]: secret }] } }, "message.tags.0"],
        [codecs.connectError, { _tag: secret, reason: "r" }, "_tag"]
      ] as const
    ) {
      const decoded = codec.decode(value)
      assert.isTrue(Either.isLeft(decoded))
      if (Either.isRight(decoded)) return
      const text = Codec.describeSafely(decoded.left)
      assert.include(text, path)
      assert.notInclude(text, secret)
    }
    // its own client is told more
    const own = codecs.params.decode({ token: "t", since: [secret] })
    assert.include(Either.isLeft(own) ? Codec.describe(own.left) : "", "since")
  }))

it("codecs are compiled once for each contract, and hold what the contract has", () => {
  assert.strictEqual(Codec.ofContract(ChatRoom), codecs)
  assert.deepStrictEqual(Array.from(codecs.rpcs.keys()), ["Say", "Ping"])
  assert.deepStrictEqual(Array.from(codecs.internal.keys()), ["Purge"])
  assert.deepStrictEqual(Array.from(codecs.events.keys()), ["message", "online"])
  for (const name of ["__proto__", "constructor", "toString", "Purge"]) assert.isUndefined(codecs.rpcs.get(name))
  class Counter extends Actor.Tag<Counter>()("Counter", { rpcs: RpcGroup.make(Rpc.make("Ping")) }) {}
  const counter = Codec.ofContract(Counter)
  assert.notStrictEqual(counter, codecs)
  assert.deepStrictEqual([counter.internal.size, counter.events.size], [0, 0])
  assert.isTrue(Either.isRight(counter.params.decode(undefined)))
  assert.isTrue(Either.isLeft(counter.connectError.encode(new Denied({ reason: "" }))))
})

it("a schema that is not synchronous refuses what it decodes and throws when it encodes, and names the field", () => {
  const later = Schema.transformOrFail(Schema.String, Schema.String, {
    decode: (text) => Effect.delay(Effect.succeed(text), "1 millis"),
    encode: (text) => Effect.delay(Effect.succeed(text), "1 millis")
  })
  class Slow extends Actor.Tag<Slow>()("Slow", {
    params: Schema.Struct({ token: later }),
    rpcs: RpcGroup.make(Rpc.make("Say", { payload: { texts: Schema.Array(later) }, success: Schema.NullOr(later) })),
    events: { message: later }
  }) {}
  const slow = Codec.ofContract(Slow)
  const uses: ReadonlyArray<readonly [Codec.Codec, unknown, string]> = [
    [slow.params, { token: "t" }, "the params of Slow"],
    [slow.rpcs.get("Say")!.payload, { texts: ["a", "b"] }, "the payload of Slow.Say"],
    [slow.events.get("message")!, "m", "the event message of Slow"]
  ]
  for (const [codec, value, what] of uses) {
    assert.include(Either.getOrThrow(Either.flip(Either.mapLeft(codec.decode(value), Codec.describe))), what)
    assert.throws(() => codec.encode(value), what)
  }
  assert.throws(() => slow.rpcs.get("Say")!.exit.encode(Exit.succeed("s")), "the reply of Slow.Say")
})

it("a stream rpc has a codec for its values, and its exit has none; between actors it is refused, and named", () => {
  class Streams extends Actor.Tag<Streams>()("Streams", {
    rpcs: RpcGroup.make(Rpc.make("Follow", { success: Schema.NumberFromString, error: Schema.String, stream: true }))
  }) {}
  const follow = Codec.ofContract(Streams).rpcs.get("Follow")!
  assert.isTrue(follow.forked)
  assert.deepStrictEqual(follow.element?.encode(7), Either.right("7"))
  const exit = follow.exit.encode(Exit.fail("no"))
  assert.deepStrictEqual(Either.flatMap(exit, follow.exit.decode), Either.right(Exit.fail("no")))
  assert.isTrue(Either.isRight(follow.exit.encode(Exit.void)))
  class Inner extends Actor.Tag<Inner>()("Inner", {
    // @ts-expect-error the types refuse it too
    internal: RpcGroup.make(Rpc.make("Follow", { success: Schema.Number, stream: true }))
  }) {}
  assert.throws(() => Codec.ofContract(Inner), "Inner.Follow")
})

it("a middleware of an rpc is refused, and named: nobody would run it", () => {
  class Guard extends RpcMiddleware.Tag<Guard>()("Guard", {}) {}
  class Guarded extends Actor.Tag<Guarded>()("Guarded", {
    // @ts-expect-error the types refuse it too
    rpcs: RpcGroup.make(Rpc.make("Secret", { success: Schema.String }).middleware(Guard))
  }) {}
  assert.throws(() => Codec.ofContract(Guarded), "Guarded.Secret has a middleware")
})

it("a name may be as long as frames can have it, and no longer", () => {
  const nothing = RpcGroup.make(Rpc.make("Do"))
  const make = (length: number) => {
    const name = "n".repeat(length)
    return [
      Actor.Tag<never>()(name, {}),
      Actor.Tag<never>()("Named", { rpcs: nothing.prefix("n".repeat(length - 2)) }),
      Actor.Tag<never>()("Named", { internal: nothing.prefix("n".repeat(length - 2)) }),
      Actor.Tag<never>()("Named", { events: { [name]: Schema.String } })
    ]
  }
  for (const contract of make(256)) Codec.ofContract(contract)
  for (const contract of make(257)) assert.throws(() => Codec.ofContract(contract), "is longer than 256")
})
