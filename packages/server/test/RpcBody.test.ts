/** Bodies of HTTP requests: what clients of @effect/rpc write is read as it was meant, and nothing else does harm. */
import type { HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { RpcSerialization } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, Stream } from "effect"
import { contentTypes, RpcBody } from "../src/internal/RpcBody.ts"

const serializations = [
  ["JSON", RpcSerialization.json],
  ["NDJSON", RpcSerialization.ndjson],
  ["MessagePack", RpcSerialization.msgPack]
] as const

const bytesMax = 4096

/** Reads a body that comes in pieces of this length. */
const read = (contentType: string, bytes: Uint8Array, piece = bytes.length || 1) => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; at += piece) pieces.push(bytes.slice(at, at + piece))
  const request = { stream: Stream.fromIterable(pieces) } as unknown as HttpServerRequest.HttpServerRequest
  return Effect.either(RpcBody.of(contentType)!.read(request, bytesMax))
}

const name = fc.string({ unit: "binary", maxLength: 20 })

/** What stands in a payload after a trip through any serialization. */
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown)

const request = fc.record({
  _tag: fc.constant("Request"),
  id: fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String),
  tag: name,
  payload: json,
  headers: fc.array(fc.tuple(name, name), { maxLength: 3 }),
  traceId: name,
  spanId: name,
  sampled: fc.boolean()
}, { requiredKeys: ["_tag", "id", "tag", "payload", "headers"] })

/** A request whose payload has a field of this name. */
const named = (field: string) => ({
  _tag: "Request" as const,
  id: "0",
  tag: "a",
  payload: JSON.parse(`{${JSON.stringify(field)}: []}`) as unknown,
  headers: []
})

const ignored = fc.record({ _tag: fc.constantFrom("Ping", "Eof", "Ack", "Interrupt") })

const messages = fc.array(fc.oneof({ weight: 3, arbitrary: request }, ignored), { minLength: 1, maxLength: 4 })

/** What is read of it. The parser of MessagePack gives the name of the prototype another, so that nobody's is replaced. */
const arrived = (contentType: string, all: ReadonlyArray<unknown>): unknown => {
  const text = JSON.stringify(all)
  return JSON.parse(
    contentType === RpcSerialization.msgPack.contentType ? text.replaceAll("\"__proto__\":", "\"__proto_\":") : text
  )
}

/** A body as a client writes it. */
const write = (serialization: typeof RpcSerialization.RpcSerialization.Service, all: ReadonlyArray<unknown>) => {
  const parser = serialization.unsafeMake()
  const texts = serialization.includesFraming ? all.map((one) => parser.encode(one) ?? "") : [parser.encode(all)!]
  return Buffer.concat(texts.map((text) => Buffer.from(text as string)))
}

/** A good body with a piece cut out, something else in its place, or its end missing. */
const spoilt = (serialization: typeof RpcSerialization.RpcSerialization.Service) =>
  fc.tuple(messages, fc.nat(), fc.nat({ max: 6 }), fc.uint8Array({ maxLength: 6 }), fc.boolean()).map(
    ([all, at, length, instead, truncated]) => {
      const good = write(serialization, all)
      const from = at % good.length
      return truncated
        ? good.subarray(0, from)
        : Buffer.concat([good.subarray(0, from), instead, good.subarray(from + length)])
    }
  )

/** What is refused is refused in words, with a status that says that it is the client's fault. */
const isRefusal = (response: HttpServerResponse.HttpServerResponse) => {
  assert.include([200, 400, 413], response.status)
  assert.include(["Uint8Array"], response.body._tag)
}

describe.each(serializations)("a body in %s", (_, serialization) => {
  const { contentType } = serialization

  it("is one that is served", () => {
    assert.include(contentTypes, contentType)
  })

  it.effect.prop(
    "is read as it was written, in whatever pieces it comes",
    [messages, fc.integer({ min: 1, max: 50 })],
    ([
      all,
      piece
    ]) =>
      Effect.gen(function*() {
        const bytes = write(serialization, all)
        if (bytes.length > bytesMax) return
        const requests = Either.getOrThrow(yield* read(contentType, bytes, piece))
        const expected = all.filter(({ _tag }) => _tag === "Request")
        assert.deepStrictEqual(JSON.parse(JSON.stringify(requests)), arrived(contentType, expected))
      }),
    { fastCheck: { numRuns: 50, examples: [[[named("__proto__")], 1], [[named("constructor")], 1]] } }
  )

  it.effect("is read to its end, also if its last line has none", () =>
    Effect.gen(function*() {
      const all = [{ ...named("a"), id: "1" }, { ...named("a"), id: "2" }]
      const bytes = write(serialization, all)
      const cut = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes
      const requests = Either.getOrThrow(yield* read(contentType, cut, cut.length))
      assert.deepStrictEqual(requests.map(({ id }) => id), ["1", "2"])
    }))

  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    spoilt(serialization),
    fc.json().map((text) => Buffer.from(text)),
    json.map((value) => write(serialization, [value])),
    // the right tags with the wrong fields
    fc.array(fc.record({ _tag: fc.constantFrom("Request", "Ack", "__proto__"), id: json, tag: json, headers: json }), {
      maxLength: 3
    }).map((all) => write(serialization, all))
  )

  it.effect.prop(
    "X3 that is garbage is refused, or what stands in it are calls",
    [garbage],
    ([bytes]) =>
      Effect.gen(function*() {
        const result = yield* read(contentType, bytes)
        if (Either.isLeft(result)) return isRefusal(result.left)
        for (const { id, tag, _tag } of result.right) {
          assert.strictEqual(_tag, "Request")
          assert.isString(id)
          assert.isString(tag)
        }
        assert.strictEqual(({} as { readonly polluted?: unknown }).polluted, undefined)
      }),
    { fastCheck: { numRuns: 300 } }
  )
})
