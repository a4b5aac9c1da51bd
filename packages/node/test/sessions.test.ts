/** What sessions and commits promise, over real sockets and a real file. */
import { assert, it } from "@effect/vitest"
import { Gap } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import type { HostOptions } from "@troupe/server"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Either, Fiber, Stream } from "effect"
import Database from "libsql"
import { WebSocket } from "ws"
import * as Directory from "./utils/Directory.ts"
import * as LogServer from "./utils/LogServer.ts"
import { until } from "./utils/until.ts"

/** A server on a store file of its own. */
const serve = (options: HostOptions.Options = {}) =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    return { filename, port: yield* LogServer.serve({ filename }, options) }
  })

it.scopedLive("T2 over sockets, when a reply or an event has arrived, the file has what it tells of", () =>
  Effect.gen(function*() {
    const { filename, port } = yield* serve()
    const log = yield* LogServer.connect(port)
    const reader = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(filename, { readonly: true })),
      (db) => Effect.sync(() => db.close())
    )
    const stored = () => {
      const rows = reader.prepare("SELECT state FROM actor").all() as ReadonlyArray<{ readonly state: string }>
      return rows.length === 0
        ? 0
        : (JSON.parse(rows[0]!.state) as { readonly entries: ReadonlyArray<string> }).entries.length
    }
    const calls = 200
    const appended = yield* log.events("appended")
    let heard = 0
    const hearing = yield* appended.pipe(
      Gap.ignore,
      Stream.take(calls),
      Stream.runForEach(() => Effect.sync(() => assert.isAtLeast(stored(), ++heard))),
      Effect.fork
    )
    yield* Effect.forEach(
      Array.from({ length: calls }, (_, i) => `${i}`),
      (entry) => Effect.map(log.rpc.Append({ entry }), (count) => assert.isAtLeast(stored(), count)),
      { concurrency: 8, discard: true }
    )
    yield* Fiber.join(hearing)
    assert.strictEqual(heard, calls)
  }))

it.scopedLive("E3 over sockets, an absence beyond the resume window ends in a new connection and a gap", () =>
  Effect.gen(function*() {
    const { port } = yield* serve({ resumeWindow: "50 millis" })
    const proxy = yield* TcpProxy.make({ target: port })
    const away = yield* LogServer.connect(proxy.port)
    const other = yield* LogServer.connect(port)
    const seen: Array<string> = []
    const appended = yield* away.events("appended")
    yield* Effect.forkScoped(
      Stream.runForEach(appended, (item) => Effect.sync(() => seen.push(Gap.isGap(item) ? "gap" : item.entry)))
    )
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      yield* other.rpc.Append({ entry: `${round} seen` })
      yield* until(() => seen.includes(`${round} seen`))
      yield* proxy.setRefusing(true)
      yield* proxy.cut
      yield* other.rpc.Append({ entry: `${round} missed` })
      yield* Effect.sleep("150 millis")
      yield* proxy.setRefusing(false)
      yield* Stream.runHead(Stream.filter(away.status.changes, ({ _tag }) => _tag === "Connected"))
      assert.deepStrictEqual(yield* away.status.get, { _tag: "Connected", resumed: false } as never)
      yield* other.rpc.Append({ entry: `${round} after` })
      yield* until(() => seen.includes(`${round} after`))
      expected.push(`${round} seen`, "gap", `${round} after`)
    }
    assert.deepStrictEqual(seen, expected)
  }))

// --- by hand ---------------------------------------------------------------------------------------------------------

/** A link that speaks frames itself. */
const rawLink = (port: number) =>
  Effect.gen(function*() {
    const frames: Array<Frame.ServerFrame> = []
    const socket = yield* Effect.acquireRelease(
      Effect.async<WebSocket>((resume) => {
        const opening = new WebSocket(`ws://127.0.0.1:${port}/actors`, { perMessageDeflate: false })
        opening.on("error", () => {})
        opening.on("message", (data: Buffer) => {
          for (const frame of Frame.decodeServer(data.toString("utf8")) ?? []) frames.push(Either.getOrThrow(frame))
        })
        opening.on("open", () => resume(Effect.succeed(opening)))
      }),
      (socket) => Effect.sync(() => socket.terminate())
    )
    const send = (...texts: ReadonlyArray<string>) => Effect.sync(() => socket.send(Frame.join(texts)))
    yield* send(Frame.encode({ _tag: "Hello", version: Frame.version }))
    return {
      send,
      /** Waits for the next frame with one of these tags. */
      next: (...tags: ReadonlyArray<Frame.ServerFrame["_tag"]>) =>
        Effect.map(until(() => frames.some(({ _tag }) => tags.includes(_tag)), tags.join()), () => {
          const at = frames.findIndex(({ _tag }) => tags.includes(_tag))
          return frames.splice(at, 1)[0]!
        })
    }
  })

it.scopedLive("S4 over sockets, a wrong token is refused, a resume can be repeated until its token was used", () =>
  Effect.gen(function*() {
    const { port } = yield* serve()
    const first = yield* rawLink(port)
    yield* first.send(Frame.encode({
      _tag: "Open",
      channel: 1,
      session: "s".repeat(32),
      contract: "Log",
      key: "a",
      events: [],
      opening: 1,
      settledBelow: 1,
      sentBelow: 1,
      pending: []
    }))
    const opened = yield* first.next("Opened")
    if (opened._tag !== "Opened") return assert.fail(opened._tag)
    let resumptions = 0
    const resume = (token: string) =>
      Effect.gen(function*() {
        const link = yield* rawLink(port)
        const { connectionId } = opened
        const position = { contract: "Log", key: "a", connectionId, token, received: 0, resumption: ++resumptions }
        yield* link.send(Frame.encode({ _tag: "Resume", channel: 1, ...position }))
        const answer = yield* link.next("Resumed", "Close")
        return { link, token: answer._tag === "Resumed" ? answer.token : undefined }
      })
    assert.isUndefined((yield* resume("0".repeat(32))).token)
    // as if each answer had been lost
    const second = yield* resume(opened.token)
    const third = yield* resume(opened.token)
    assert.isDefined(second.token)
    assert.isDefined(third.token)
    assert.isUndefined((yield* resume(second.token!)).token)
    // the first message on the link proves that its token has arrived
    yield* third.link.send(Frame.encodeMessage(1, 1, Frame.encodeRequest(1, "Append", { entry: "x" })))
    yield* third.link.next("Message")
    assert.isUndefined((yield* resume(opened.token)).token)
    assert.isDefined((yield* resume(third.token!)).token)
  }))
