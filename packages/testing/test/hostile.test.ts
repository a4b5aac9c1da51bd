/** Clients that say what the protocol does not allow, or what no schema expects: each has its answer, and harms nobody. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { backend, connect, pass, Probe, run } from "./support/lab.ts"
import { hello, type Json, open, rawLink, request } from "./support/raw.ts"

const KiB = 1024

const deep = (depth: number): unknown => JSON.parse("[".repeat(depth) + "]".repeat(depth))

/** A connection that stands, on a link of its own. */
let sessions = 0
const opened = Effect.gen(function*() {
  const link = yield* rawLink
  yield* link.say(hello, { ...open({ name: "mallory" }), session: `${++sessions}`.padStart(32, "0") })
  assert.strictEqual(link.heard.at(-1)!._tag, "Opened")
  return link
})

/** What the frames say of calls: the tag of the answer, and what is wrong. */
const answersIn = (frames: ReadonlyArray<Json>) =>
  frames.flatMap(({ payload }) => payload ? [payload as Json] : []).map(({ _tag, issue }) => ({ _tag, issue }))

/** What a link says after `Hello`, and why it is closed for that. */
const violations: ReadonlyArray<readonly [what: string, text: string, issue: string]> = [
  ["no JSON", "hello", "a message must be a JSON array of frames"],
  ["half a message", `[{"_tag":"Ping"}`, "a message must be a JSON array of frames"],
  ["nothing", "", "a message must be a JSON array of frames"],
  ["no array", `{"_tag":"Ping"}`, "a message must be a JSON array of frames"],
  ["no frame", "[1]", "a frame does not decode"],
  ["null", "[null]", "a frame does not decode"],
  ["an unknown frame", `[{"_tag":"Explode"}]`, "a frame does not decode"],
  ["a frame of the server", `[{"_tag":"Pong"},{"_tag":"GoAway","retryAfterMillis":0}]`, "a frame does not decode"],
  ["a channel that is no number", `[{"_tag":"Close","channel":"1","reason":{"_tag":"ClientClosed"}}]`, "channel"],
  ["a channel that is a huge number", `[{"_tag":"Ack","channel":1e999,"received":0}]`, "channel"],
  ["a tag that is nested deeply", `[{"_tag":${"[".repeat(8000)}${"]".repeat(8000)}}]`, "a frame does not decode"],
  ["arrays, nested deeply", "[".repeat(8000) + "]".repeat(8000), "a frame does not decode"],
  ["a key that is a prototype", `[{"__proto__":{"_tag":"Ping"}}]`, "a frame does not decode"],
  ["more than openBytesMax", JSON.stringify([{ _tag: "Ping", x: "x".repeat(16 * KiB) }]), "16384"],
  ["an older version", JSON.stringify([{ _tag: "Hello", version: 0 }]), "version"],
  ["a version that is no number", `[{"_tag":"Hello","version":"1"}]`, "version"]
]

describe("X1 a link is closed, with a readable reason, for", () => {
  it.effect.each(violations)("%s", ([, text, issue]) =>
    run(Effect.gen(function*() {
      const ann = yield* connect("ann")
      for (const _ of [1, 2]) {
        const { say, sayText } = yield* rawLink
        yield* say(hello)
        const [refused, closed] = (yield* sayText(text)).slice(-2)
        assert.strictEqual(closed!._tag, "LinkClosed")
        assert.strictEqual(refused!._tag, "Refused")
        const reason = refused!.reason as { readonly _tag: string; readonly issue: string }
        assert.strictEqual(reason._tag, "ProtocolViolation")
        assert.include(reason.issue, issue)
        assert.isBelow(reason.issue.length, 3000)
        assert.strictEqual((yield* ann.rpc.Me()).name, "ann")
      }
    })))
})

describe("X1 a link is closed for what it says first", () => {
  const first: ReadonlyArray<readonly [what: string, frame: Json, issue: string]> = [
    ["another version", { _tag: "Hello", version: 2 }, "version 1"],
    ["a Ping", { _tag: "Ping" }, "Hello"],
    ["an Open", open({ name: "mallory" }), "Hello"],
    ["a message", request(1, "Items"), "Hello"]
  ]
  it.effect.each(first)("%s", ([, frame, issue]) =>
    run(Effect.gen(function*() {
      const ann = yield* connect("ann")
      for (const _ of [1, 2]) {
        const { say } = yield* rawLink
        const [refused, closed] = yield* say(frame)
        assert.include((refused!.reason as { readonly issue: string }).issue, issue)
        assert.strictEqual(closed!._tag, "LinkClosed")
        assert.strictEqual((yield* ann.rpc.Me()).name, "ann")
      }
    })))
})

it.effect("X1 a link on which nothing is said, or opened, is closed in time", () =>
  run(Effect.gen(function*() {
    const ann = yield* connect("ann")
    const silent = yield* rawLink
    const idle = yield* rawLink
    for (let i = 0; i < 15; i++) {
      yield* idle.say(i === 0 ? hello : { _tag: "Ping" })
      yield* pass("1 second")
    }
    for (const { heard } of [silent, idle]) assert.strictEqual(heard.at(-1)!._tag, "LinkClosed")
    assert.strictEqual((yield* ann.rpc.Me()).name, "ann")
  })))

it.effect("X1 a frame for a channel that is not there is answered, or dropped, and the link goes on", () =>
  run(Effect.gen(function*() {
    const { say } = yield* rawLink
    yield* say(hello)
    for (const _ of [1, 2]) {
      const answered = yield* say(request(1, "Items"))
      assert.deepStrictEqual(answered, [{ _tag: "Close", channel: 1, reason: { _tag: "ActivationLost" } }])
      const dropped = yield* say(
        { _tag: "Ack", channel: 1, received: 7 },
        { _tag: "Close", channel: 1, reason: { _tag: "ClientClosed" } },
        { _tag: "Ping" }
      )
      assert.deepStrictEqual(dropped, [{ _tag: "Pong" }])
    }
    // whoever does not know the token of a connection cannot resume it, also if there is none
    const resumed = yield* say({
      _tag: "Resume",
      channel: 2,
      contract: "Lab",
      key: "main",
      connectionId: 1,
      token: "0".repeat(32),
      received: 0,
      resumption: 1
    })
    assert.strictEqual((resumed[0]!.reason as Json)._tag, "ActivationLost")
    assert.strictEqual((yield* say(open({ name: "bob" })))[0]!._tag, "Opened")
  })))

describe("X1 a connection is ended, and its link is not, for", () => {
  const message = (seq: number, payload: Json): Json => ({ _tag: "Message", channel: 1, seq, payload })
  const bad: ReadonlyArray<readonly [what: string, frames: ReadonlyArray<Json>, issue: string]> = [
    ["a message after a gap", [request(3, "Items")], "message 3 came after message 0"],
    ["an answer to what was never sent", [{ _tag: "Ack", channel: 1, received: 1 }], "message 1 was acknowledged"],
    ["more calls than it has credit for", [
      request(1, "Run", { script: "stay" }),
      request(2, "Items"),
      request(3, "Items")
    ], "more than 2 calls"]
  ]
  it.effect.each(bad)("%s", ([, frames, issue]) =>
    run(
      Effect.gen(function*() {
        const probe = yield* Probe
        probe.scripts.stay = () => Effect.as(probe.wait("gone"), "stayed")
        const ann = yield* connect("ann")
        for (const _ of [1, 2]) {
          const { say } = yield* opened
          const end = (yield* say(...frames)).find(({ _tag }) => _tag === "Close")!
          const reason = end.reason as { readonly _tag: string; readonly issue: string }
          assert.strictEqual(reason._tag, "ProtocolViolation")
          assert.include(reason.issue, issue)
          yield* probe.open("gone")
          assert.deepStrictEqual(yield* say({ _tag: "Ping" }), [{ _tag: "Pong" }])
          assert.strictEqual((yield* ann.rpc.Me()).name, "ann")
        }
      }),
      { host: { window: 2 } }
    ))

  it.effect("nothing: what means nothing is dropped", () =>
    run(Effect.gen(function*() {
      const { say } = yield* opened
      const answered = yield* say(
        message(1, { _tag: "Interrupt", requestId: "77" }),
        message(2, { _tag: "Ack", requestId: "77", index: 1 }),
        message(3, { _tag: "Unsubscribe", event: "nothing" }),
        // seen before
        message(2, { _tag: "Interrupt", requestId: "1" }),
        request(4, "Items")
      )
      assert.deepStrictEqual(answersIn(answered), [{ _tag: "Exit", issue: undefined }])
    })))
})

describe("X1 X4 a call is rejected, and nothing else is, for", () => {
  const proto = JSON.parse(`{"__proto__":{"script":"polluted"}}`) as unknown
  const bad: ReadonlyArray<readonly [what: string, call: readonly [tag: string, payload?: unknown], issue: string]> = [
    ["an rpc there is not", ["Missing", {}], "Lab has no rpc Missing"],
    ["an rpc with the name of a prototype's property", ["__proto__", {}], "Lab has no rpc __proto__"],
    ["an rpc with the name of a method of all objects", ["toString", {}], "Lab has no rpc toString"],
    ["an internal rpc", ["Clear"], "Lab has no rpc Clear"],
    ["no payload", ["Append"], "actual undefined"],
    ["null", ["Append", null], "actual null"],
    ["a payload of another shape", ["Append", { item: { toString: 1 } }], "item"],
    ["a number in the place of a text", ["Append", { item: 1e308 }], "item"],
    ["a payload that is nested deeply", ["Append", { item: deep(64) }], "depthMax, 64"],
    ["a payload whose key is a prototype", ["Run", proto], "__proto__"],
    ["the same, further inside", ["Append", { item: "x", more: [proto] }], "__proto__"]
  ]
  it.effect.each(bad)("%s", ([, [tag, payload], issue]) =>
    run(Effect.gen(function*() {
      const { say } = yield* opened
      for (const round of [1, 2]) {
        const frames = yield* say(request(2 * round - 1, tag, payload), request(2 * round, "Append", { item: "good" }))
        const [rejected, answered] = answersIn(frames)
        assert.strictEqual(rejected!._tag, "Rejected")
        assert.include(rejected!.issue, issue)
        assert.isBelow((rejected!.issue as string).length, 3000)
        assert.strictEqual(answered!._tag, "Exit")
        assert.strictEqual(yield* (yield* backend).Count(), round)
      }
      assert.isUndefined(({} as { readonly script?: string }).script)
    })))
})

it.effect("X1 a payload and params that are nested as deeply as a message allows are rejected", () =>
  run(Effect.gen(function*() {
    const { heard, sayText } = yield* opened
    const nested = "[".repeat(400 * KiB) + "]".repeat(400 * KiB)
    yield* sayText(JSON.stringify([request(1, "Append", "nested")]).replace(`"nested"`, nested))
    const again = { ...open("nested"), channel: 2, session: `${++sessions}`.padStart(32, "0") }
    yield* sayText(JSON.stringify([again]).replace(`"nested"`, nested))
    assert.include((answersIn(heard)[0]!).issue, "depthMax, 64")
    assert.include(
      (heard.find(({ _tag }) => _tag === "Refused")!.reason as { readonly issue: string }).issue,
      "depthMax, 64"
    )
    yield* sayText(JSON.stringify([request(2, "Items")]))
    assert.strictEqual(answersIn(heard)[1]!._tag, "Exit")
  })))

describe("X1 X4 a connection is refused, and its link goes on, for params", () => {
  const bad: ReadonlyArray<readonly [what: string, params: unknown, issue: string]> = [
    ["that are missing", undefined, "name"],
    ["that are null", null, "null"],
    ["of another shape", [["name", "mallory"]], "name"],
    ["that are nested deeply", { name: "mallory", more: deep(64) }, "depthMax, 64"],
    ["whose key is a prototype", JSON.parse(`{"name":"mallory","__proto__":{"admin":true}}`), "__proto__"],
    ["with a number that is none", { name: "mallory", level: "1e" }, "level"]
  ]
  it.effect.each(bad)("%s", ([, params, issue]) =>
    run(Effect.gen(function*() {
      const probe = yield* Probe
      const { say } = yield* rawLink
      yield* say(hello)
      for (const _ of [1, 2]) {
        const [refused] = yield* say(open(params))
        const reason = refused!.reason as { readonly _tag: string; readonly issue: string }
        assert.strictEqual(reason._tag, "InvalidParams")
        assert.include(reason.issue, issue)
      }
      // no hook has run, and there is no actor
      assert.deepStrictEqual(probe.notes, [])
      assert.strictEqual((yield* say(open({ name: "bob" })))[0]!._tag, "Opened")
    })))
})

it.effect("X4 texts that are no Unicode, and controls, come back as they were sent, also from the store", () =>
  run(Effect.gen(function*() {
    const items = ["\ud800", "\udfff\ud800", "a\u0000b", "\u2028", "\ufeff", "__proto__", "\uffff", "😀"]
    for (const name of ["ann", "bob"]) {
      const connection = yield* connect(name)
      for (const item of items) yield* connection.rpc.Append({ item })
      assert.deepStrictEqual((yield* connection.rpc.Items()).slice(-items.length), items)
    }
  })))

it.effect("X4 keys that are no Unicode, that are empty, or that look like something else, are refused or only keys", () =>
  run(Effect.gen(function*() {
    const { say } = yield* rawLink
    yield* say(hello)
    for (const key of ["", "\ud800", "x".repeat(513), "€".repeat(171)]) {
      const [refused] = yield* say(open({ name: "mallory" }, key))
      assert.strictEqual((refused!.reason as Json)._tag, "UnknownActor")
    }
    for (const key of ["__proto__", "constructor", "../main", "a\u0000b", "' OR 1=1 --"]) {
      const [answer] = yield* say({ ...open({ name: "mallory" }, key), channel: 2 })
      assert.strictEqual(answer!._tag, "Opened")
      yield* say({ _tag: "Close", channel: 2, reason: { _tag: "ClientClosed" } })
    }
  })))
