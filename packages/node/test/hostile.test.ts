/** Strangers at a real server process: what they may send, for how long, and that a client beside them notices nothing. */
import { assert, it } from "@effect/vitest"
import * as Frame from "@troupe/contract/protocol/Frame"
import { Effect, Either, type Scope } from "effect"
import * as Net from "node:net"
import { type ClientOptions, WebSocket } from "ws"
import { connect, serve } from "./utils/FeedServer.ts"
import { until } from "./utils/until.ts"

const KiB = 1024

interface Stranger {
  readonly socket: WebSocket
  /** The answers so far. */
  readonly frames: ReadonlyArray<Frame.ServerFrame>
  /** The code it was closed with. */
  readonly closed: () => number | undefined
  readonly say: (...frames: ReadonlyArray<string>) => void
  /** The socket below. */
  readonly raw: () => Net.Socket
}

/** A client that is none of ours. Its end, if it has come to none, is that of the scope. */
const stranger = (port: number, options: ClientOptions = {}): Effect.Effect<Stranger, number, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Stranger, number>((resume) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/actors`, options)
      const frames: Array<Frame.ServerFrame> = []
      let closed: number | undefined
      socket.on("unexpected-response", (_, { statusCode }) => resume(Effect.fail(statusCode ?? 0)))
      socket.on("error", () => {})
      socket.on("close", (code) => (closed = code))
      socket.on(
        "message",
        (data: Buffer) => frames.push(...Frame.decodeServer(data.toString())!.map(Either.getOrThrow))
      )
      socket.on("open", () =>
        resume(Effect.succeed({
          socket,
          frames,
          closed: () => closed,
          say: (...texts) => socket.send(Frame.join(texts)),
          raw: () => (socket as unknown as { readonly _socket: Net.Socket })._socket
        })))
    }),
    ({ socket }) => Effect.sync(() => socket.terminate())
  )

const hello = Frame.encode({ _tag: "Hello", version: Frame.version })
const ping = Frame.encode({ _tag: "Ping" })

const open = (name: string) =>
  Frame.encode({
    _tag: "Open",
    channel: 1,
    session: name.padStart(32, "0"),
    contract: "Feed",
    key: "a",
    params: { name },
    events: [],
    opening: 1,
    settledBelow: 1,
    sentBelow: 1,
    pending: []
  })

const post = (number: number, text: string) =>
  Frame.encodeMessage(1, number, Frame.encodeRequest(number, "Post", { at: 0, text }))

const isClosed = (stranger: Stranger, code: number) =>
  Effect.zipRight(
    until(() => stranger.closed() !== undefined, "the stranger's link is closed"),
    Effect.sync(() => assert.strictEqual(stranger.closed(), code))
  )

/** Waits until a server has so many bytes in use at most: what it reads and drops is freed a little later. */
const holdsLess = (bytes: Effect.Effect<number>, max: number) =>
  until(async () => (await Effect.runPromise(bytes)) <= max, `the server uses less than ${max} bytes`)

it.scopedLive("X2 a page of a foreign origin is refused before the upgrade; the same host and listed ones are not", () =>
  Effect.gen(function*() {
    const { port } = yield* serve({ gateway: { origins: ["https://friend.example"] } })
    for (const origin of ["https://evil.example", "null", "https://friend.example.evil", "http://127.0.0.1:1"]) {
      assert.strictEqual(yield* Effect.flip(stranger(port, { origin })), 403, origin)
    }
    for (const origin of [`http://127.0.0.1:${port}`, "https://friend.example", undefined]) {
      const { frames, say } = yield* Effect.orDie(stranger(port, origin === undefined ? {} : { origin }))
      say(hello)
      yield* until(() => frames.length > 0, "it is welcome")
    }
  }))

it.scopedLive("X1 X2 before a connection stands, a message over openBytesMax is refused by the socket, and not read", () =>
  Effect.gen(function*() {
    const { bytes, port } = yield* serve()
    const healthy = yield* connect(port, "healthy")
    const before = yield* bytes
    for (const length of [16 * KiB, 1000 * KiB, 60 * KiB * KiB]) {
      const one = yield* Effect.orDie(stranger(port))
      one.say(hello)
      one.socket.send("x".repeat(length + 1))
      yield* isClosed(one, 1009)
      assert.deepStrictEqual(yield* healthy.rpc.Who(), ["healthy"])
    }
    // in pieces, each of them small
    const pieces = yield* Effect.orDie(stranger(port))
    for (let i = 0; i < 5; i++) pieces.socket.send("x".repeat(4 * KiB), { fin: false })
    yield* isClosed(pieces, 1009)
    yield* holdsLess(bytes, before + 2 * KiB * KiB)
    // what is allowed arrives, and when a connection stands, more is
    const friend = yield* Effect.orDie(stranger(port))
    friend.say(hello, open("friend"))
    yield* until(() => friend.frames.some(({ _tag }) => _tag === "Opened"), "a connection stands")
    friend.say(post(1, "x".repeat(900 * KiB)))
    yield* until(
      () => friend.frames.some((frame) => frame._tag === "Message" && frame.payload._tag === "Exit"),
      "it is taken"
    )
    friend.say(post(2, "x".repeat(1024 * KiB)))
    yield* isClosed(friend, 1009)
    assert.deepStrictEqual(yield* healthy.rpc.Who(), ["friend", "healthy"])
  }))

it.scopedLive("X2 a stranger that says nothing, that speaks byte by byte, or that opens nothing, is gone in time", () =>
  Effect.gen(function*() {
    const { port } = yield* serve({ gateway: { openTimeout: 500 } })
    const healthy = yield* connect(port, "healthy")
    for (const _ of [1, 2]) {
      const before = performance.now()
      const mute = yield* Effect.orDie(stranger(port))
      const idle = yield* Effect.orDie(stranger(port))
      idle.say(hello)
      const slow = yield* Effect.orDie(stranger(port))
      // a frame of the WebSocket that never ends
      slow.raw().write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 0, 0, 0, 0]))
      const timer = setInterval(() => {
        if (slow.raw()?.writable) slow.raw().write("x")
        if (idle.closed() === undefined) idle.say(ping)
      }, 20)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
      for (const one of [mute, idle, slow]) {
        yield* until(() => one.closed() !== undefined, "it is closed")
        assert.isAtMost(performance.now() - before, 5000)
      }
      assert.strictEqual(mute.closed(), 1008)
      assert.strictEqual(idle.closed(), 1008)
      assert.deepStrictEqual(yield* healthy.rpc.Who(), ["healthy"])
    }
  }))

/** What is written to a port, as it is. */
const bytesAt = (port: number, bytes: Buffer) =>
  Effect.async<string>((resume) => {
    let answer = ""
    const socket = Net.connect(port, "127.0.0.1", () => socket.write(bytes))
    socket.on("data", (chunk) => (answer += chunk.toString("latin1")))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(answer)))
    socket.setTimeout(2000, () => socket.destroy())
  })

const upgrade = (...headers: ReadonlyArray<string>) =>
  Buffer.from([
    "GET /actors HTTP/1.1",
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    ...headers,
    "",
    ""
  ].join("\r\n"))

const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
const version = "Sec-WebSocket-Version: 13"

it.scopedLive("X1 what is neither HTTP nor WebSocket is answered or dropped, and harms nobody", () =>
  Effect.gen(function*() {
    const { port, program } = yield* serve()
    const healthy = yield* connect(port, "healthy")
    const good = upgrade(key, version)
    const frame = (...bytes: ReadonlyArray<number>) => Buffer.concat([good, Buffer.from(bytes)])
    const attempts: ReadonlyArray<readonly [string, Buffer, string]> = [
      ["no HTTP", Buffer.from([0, 1, 2, 255, 254, 13, 10, 13, 10]), "400"],
      ["no key", upgrade(version), "400"],
      ["another version of WebSocket", upgrade(key, "Sec-WebSocket-Version: 1"), "400"],
      ["headers that are too large", upgrade(key, version, `X: ${"x".repeat(64 * KiB)}`), "431"],
      ["a frame without a mask", frame(0x81, 0x01, 0x78), "101"],
      ["a reserved opcode", frame(0x83, 0x80, 0, 0, 0, 0), "101"],
      ["reserved bits", frame(0xf1, 0x80, 0, 0, 0, 0), "101"],
      ["a length of 2^63", frame(0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0), "101"],
      ["no UTF-8", frame(0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28), "101"],
      ["a close without a reason of its own", frame(0x88, 0x81, 0, 0, 0, 0, 1), "101"],
      ["binary", frame(0x82, 0x81, 0, 0, 0, 0, 1), "101"]
    ]
    for (const [what, bytes, status] of [...attempts, ...attempts]) {
      assert.include((yield* bytesAt(port, bytes)).slice(0, 16), `HTTP/1.1 ${status}`, what)
      assert.deepStrictEqual(yield* healthy.rpc.Who(), ["healthy"])
    }
    assert.strictEqual(program.errors(), "")
  }))

it.scopedLive("B8 a client that makes more calls than it has credit for is ended, and costs the server nothing", () =>
  Effect.gen(function*() {
    const { bytes, port } = yield* serve({ host: { window: 8 } })
    const healthy = yield* connect(port, "healthy")
    // ours holds back what is over, and loses nothing
    const posts = Array.from({ length: 200 }, (_, i) => healthy.rpc.Post({ at: i, text: "" }))
    yield* Effect.all(posts, { concurrency: "unbounded", discard: true })
    const before = yield* bytes
    for (const round of [1, 2]) {
      const greedy = yield* Effect.orDie(stranger(port))
      greedy.say(hello, open(`greedy${round}`))
      yield* until(() => greedy.frames.some(({ _tag }) => _tag === "Opened"), "a connection stands")
      greedy.say(...Array.from({ length: 9 }, (_, i) => post(i + 1, "x".repeat(100 * KiB))))
      yield* until(() => greedy.frames.some(({ _tag }) => _tag === "Close"), "it is ended")
      const end = greedy.frames.find(({ _tag }) => _tag === "Close") as Extract<Frame.ServerFrame, { _tag: "Close" }>
      assert.deepStrictEqual(end.reason, { _tag: "ProtocolViolation", issue: "more than 8 calls are in flight" })
    }
    yield* holdsLess(bytes, before + 3 * KiB * KiB)
    assert.strictEqual((yield* healthy.status.get)._tag, "Connected")
  }))

it.scopedLive("X2 framesPerSecond: a client that sends more is slowed down by the network, and another one is not", () =>
  Effect.gen(function*() {
    const { bytes, port } = yield* serve({ gateway: { framesPerSecond: 10_000, openTimeout: 60_000 } })
    const healthy = yield* connect(port, "healthy")
    const flood = yield* Effect.orDie(stranger(port))
    flood.say(hello)
    yield* until(() => flood.frames.length === 1, "it is welcome")
    const before = yield* bytes
    const start = performance.now()
    const text = Frame.join(Array.from({ length: 100 }, () => ping))
    for (let i = 0; i < 400; i++) flood.socket.send(text)
    let slowest = 0
    while (flood.frames.length < 40_001) {
      const called = performance.now()
      yield* healthy.rpc.Who()
      slowest = Math.max(slowest, performance.now() - called)
      yield* Effect.sleep(20)
      assert.isBelow(performance.now() - start, 30_000)
    }
    // all have been answered: a second's worth at once, the others at the rate; a read of 64 KiB is not taken back
    assert.isAtLeast(performance.now() - start, 2300)
    assert.isBelow(slowest, 1000)
    yield* holdsLess(bytes, before + 2 * KiB * KiB)
    assert.isUndefined(flood.closed())
  }))
