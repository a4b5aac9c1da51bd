/** What may come over HTTP from somebody who is no client of @effect/rpc, or who goes, or while the server goes. */
import { RpcSerialization } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import * as Net from "node:net"
import { call, post, serve } from "./utils/Desk.ts"
import { until } from "./utils/until.ts"

describe("over HTTP", () => {
  it.scopedLive("several calls of one request run in order, in one connection", () =>
    Effect.gen(function*() {
      const { trace, url } = yield* serve()
      const calls = Array.from({ length: 300 }, (_, i) => call(`${i}`, "Append", { text: "x" }))
      for (const round of [0, 1]) {
        const { text } = yield* post(`${url}/Desk/a/rpc`, JSON.stringify(calls))
        const answers = JSON.parse(text) as ReadonlyArray<
          { readonly requestId: string; readonly exit: { value: number } }
        >
        assert.deepStrictEqual(
          answers.map(({ exit, requestId }) => [requestId, exit.value]),
          calls.map(({ id }, i) => [id, 300 * round + i + 1])
        )
      }
      const lines = calls.slice(0, 3).map((call) => JSON.stringify(call)).join("\n")
      const { text } = yield* post(`${url}/Desk/a/rpc`, `${lines}\n`, { "content-type": "application/ndjson" })
      assert.deepStrictEqual(text.trim().split("\n").map((line) => JSON.parse(line).exit.value), [601, 602, 603])
      yield* until(() => trace.log.length === 9, "the connections have ended")
    }))

  it.scopedLive("an actor that disconnects answers the call, and fails those that follow", () =>
    Effect.gen(function*() {
      const { url } = yield* serve()
      const { text } = yield* post(`${url}/Desk/a/rpc`, JSON.stringify([call("1", "Leave"), call("2", "Wait")]))
      const reason = { _tag: "Disconnected", reason: "go" }
      assert.deepStrictEqual(JSON.parse(text), [
        { _tag: "Exit", requestId: "1", exit: { _tag: "Success" } },
        {
          _tag: "Exit",
          requestId: "2",
          exit: { _tag: "Failure", cause: { _tag: "Fail", error: { _tag: "ConnectionClosed", reason, sent: "maybe" } } }
        }
      ])
    }))

  it.scopedLive("X1 malformed bodies, other paths, types and methods have their answers", () =>
    Effect.gen(function*() {
      const { url } = yield* serve()
      const good = JSON.stringify(call("1", "Me"))
      const deep = "[".repeat(100_000) + "]".repeat(100_000)
      const rows: ReadonlyArray<readonly [body: string, status: number, includes: string]> = [
        ["", 400, `"Defect"`],
        ["{", 400, `"Defect"`],
        ["null", 400, `"Defect"`],
        [deep, 400, `"Defect"`],
        [`{"_tag":"Request"}`, 400, `"Defect"`],
        [`{"_tag":"Request","id":"1","tag":"Append","payload":${deep}}`, 200, "nested too deeply"],
        [
          `{"_tag":"Request","id":"1","tag":"Append","payload":${"[".repeat(65)}${"]".repeat(65)}}`,
          200,
          "depthMax, 64"
        ],
        [`{"_tag":"Request","id":"1","tag":"Append","payload":{"__proto__":{}}}`, 200, "__proto__"],
        [`{"_tag":"Eof"}`, 200, "[]"],
        ["[]", 400, `"Defect"`],
        [good, 200, `"Success"`]
      ]
      for (const [body, status, includes] of [...rows, ...rows]) {
        const answer = yield* post(`${url}/Desk/a/rpc`, body)
        assert.strictEqual(answer.status, status, body.slice(0, 40))
        assert.include(answer.text, includes)
        assert.include(answer.type ?? "", "application/json")
        assert.isArray(JSON.parse(answer.text))
      }
      for (const path of ["/Desk/a", "/Desk//rpc", "/Desk/a/b/rpc", "/Desk/%zz/rpc", "/Desk/a/rpc/x", "/"]) {
        assert.strictEqual((yield* post(`${url}${path}`, good)).status, 404, path)
      }
      assert.include((yield* post(`${url}/Nobody/a/rpc`, good)).text, "UnknownActor")
      assert.strictEqual((yield* post(`${url}/Desk/a/rpc`, good, { "content-type": "text/plain" })).status, 415)
      assert.strictEqual(
        (yield* post(`${url}/Desk/a/rpc?x=1`, good, { "content-type": "application/json; charset=utf-8" })).status,
        200
      )
    }))

  it.scopedLive("X2 a page of a foreign origin is refused", () =>
    Effect.gen(function*() {
      const { port, url } = yield* serve({ origins: ["https://friend.example"] })
      const good = JSON.stringify(call("1", "Me"))
      const from = (origin: string) => Effect.map(post(`${url}/Desk/a/rpc`, good, { origin }), ({ status }) => status)
      assert.strictEqual(yield* from("https://evil.example"), 403)
      assert.strictEqual(yield* from("https://friend.example"), 200)
      assert.strictEqual(yield* from(`http://127.0.0.1:${port}`), 200)
    }))

  it.scopedLive("X1 MessagePack that lies, or has what JSON has not, is refused", () =>
    Effect.gen(function*() {
      const { url } = yield* serve()
      const parser = RpcSerialization.msgPack.unsafeMake()
      const pack = (value: unknown) => parser.encode(value) as Uint8Array<ArrayBuffer>
      const big = pack(call("1", "Append", { text: 2n ** 60n }))
      const good = pack(call("1", "Me"))
      const array = [0xdd, 0x01, 0xc9, 0xc3, 0x80]
      const rows: ReadonlyArray<readonly [body: Uint8Array<ArrayBuffer>, status: number, includes: string]> = [
        // arrays of thirty million elements, each in the one before: 24 GB, if they were believed
        [new Uint8Array(Array.from({ length: 100 }, () => array).flat()), 400, "Defect"],
        [new Uint8Array(100_000).fill(0x91), 400, "Defect"],
        [new Uint8Array([0xc7, 0x04, 0x62, 0, 0, 0, 0]), 400, "Defect"],
        [good.slice(0, -1), 400, "Defect"],
        [big, 200, "CallRejected"],
        [good, 200, "Success"]
      ]
      for (const [body, status, includes] of [...rows, ...rows]) {
        const answer = yield* post(`${url}/Desk/a/rpc`, body, { "content-type": "application/msgpack" })
        assert.strictEqual(answer.status, status, includes)
        assert.include(answer.text, includes)
      }
    }))

  it.scopedLive("B8 answers that are read together are bounded, and those that do not fit fail", () =>
    Effect.gen(function*() {
      const { trace, url } = yield* serve({ collectedBytesMax: 1_000_000 })
      const calls = Array.from({ length: 200 }, (_, i) => call(`${i}`, "Fill", { size: 100_000 }))
      for (const round of [1, 2]) {
        const { text } = yield* post(`${url}/Desk/a/rpc`, JSON.stringify(calls))
        assert.isBelow(text.length, 3_000_000)
        const exits = (JSON.parse(text) as ReadonlyArray<{ readonly exit: unknown }>).map(({ exit }) =>
          JSON.stringify(exit)
        )
        assert.strictEqual(exits.length, 200)
        assert.include(exits[0], "Success")
        assert.include(exits[199], `"limit":"collectedBytesMax","max":1000000`)
        yield* until(() => trace.log.filter((entry) => entry === "ann ClientClosed").length === round, "it is over")
      }
    }))

  it.scopedLive("B8 B5 a client that does not read its answers is not answered more", () =>
    Effect.gen(function*() {
      const { port, trace, url } = yield* serve()
      const calls = Array.from({ length: 100 }, (_, i) => call(`${i}`, "Fill", { size: 1_000_000 }))
      const body = calls.map((call) => `${JSON.stringify(call)}\n`).join("")
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect(port, "127.0.0.1").pause()),
        (socket) => Effect.sync(() => socket.destroy())
      )
      socket.write(
        [
          "POST /actors/Desk/a/rpc HTTP/1.1",
          "host: desk",
          "content-type: application/ndjson",
          `troupe-params: {"name":"bob"}`,
          `content-length: ${body.length}`,
          "connection: close",
          "",
          body
        ].join("\r\n")
      )
      const filled = () => trace.log.filter((entry) => entry === "filled").length
      yield* until(() => filled() > 0, "the first has run")
      // the turns of others come, and those of this one would, if they did not wait
      for (let i = 0; i < 150; i++) yield* post(`${url}/Desk/a/rpc`, JSON.stringify(call("1", "Me")))
      assert.isBelow(filled(), 40)
      let read = 0
      socket.on("data", (data: Buffer) => {
        read += data.length
      })
      socket.resume()
      yield* until(() => read > 100_000_000, "it has read all", "20 seconds")
      assert.strictEqual(filled(), 100)
    }))

  it.scopedLive("a request that takes too long ends, and its call is interrupted", () =>
    Effect.gen(function*() {
      const { trace, url } = yield* serve({ requestTimeout: "100 millis" })
      for (const round of [1, 2]) {
        const { text } = yield* post(`${url}/Desk/a/rpc`, JSON.stringify(call("1", "Wait")))
        assert.include(text, `"reason":{"_tag":"LimitReached","limit":"requestTimeout","max":100},"sent":"maybe"`)
        yield* until(() => trace.log.filter((entry) => entry === "interrupted").length === round, "it is interrupted")
      }
    }))

  it.scopedLive("a call that a server which stops has told to be unsent is not run", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { trace, url } = yield* Scope.extend(serve(), scope)
      // 45 more than may be in flight
      const calls = Array.from({ length: 300 }, (_, i) => call(`${i + 1}`, "Fill", { size: 1 }))
      const body = JSON.stringify([call("0", "Wait"), ...calls])
      const answering = yield* Effect.fork(post(`${url}/Desk/a/rpc`, body))
      yield* until(() => trace.log.includes("waits"), "it has begun")
      const other = yield* Effect.fork(post(`${url}/Desk/a/rpc`, JSON.stringify(call("1", "Me"))))
      yield* until(() => trace.asked === 2, "the other waits for its connection")
      const stopped = yield* Effect.fork(Scope.close(scope, Exit.void))
      assert.include((yield* Fiber.join(other)).text, `"sent":"no"`)
      yield* Deferred.succeed(trace.gate, undefined)
      const { text } = yield* Fiber.join(answering)
      yield* Fiber.join(stopped)
      assert.lengthOf(text.match(/"sent":"no"/g) ?? [], 45)
      assert.lengthOf(trace.log.filter((entry) => entry === "filled"), 255)
    }))

  it.scopedLive("a request that is cut off in its body leaves nothing behind", () =>
    Effect.gen(function*() {
      const { port, trace, url } = yield* serve({ mailboxMax: 1 })
      for (const _ of [1, 2]) {
        const socket = Net.connect(port, "127.0.0.1")
        socket.write("POST /actors/Desk/a/rpc HTTP/1.1\r\nhost: desk\r\ncontent-type: application/json\r\n")
        socket.write(`troupe-params: {"name":"bob"}\r\ncontent-length: 1000\r\n\r\n{"_tag":"Req`)
        yield* Effect.promise(() => new Promise((resolve) => socket.once("connect", resolve)))
        socket.destroy()
        assert.include((yield* post(`${url}/Desk/a/rpc`, JSON.stringify(call("1", "Me")))).text, "Success")
      }
      assert.notInclude(trace.log, "+bob")
    }))
})
