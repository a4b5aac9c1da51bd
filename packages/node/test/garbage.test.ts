/** Ten thousand messages of garbage, at a real server process with real clients beside it, which notice nothing. */
import { RpcSerialization } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import type { ConnectionStatus } from "@troupe/client"
import { Gap } from "@troupe/contract"
import { Effect, FastCheck as fc, Fiber, Stream } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { WebSocket } from "ws"
import * as Garbage from "./utils/Garbage.ts"
import { client } from "./utils/LogServer.ts"
import { until } from "./utils/until.ts"
import { Visited } from "./utils/Visited.ts"
import * as VisitedServer from "./utils/VisitedServer.ts"

const hello = `[{"_tag":"Hello","version":1}]`
const ping = `[{"_tag":"Ping"}]`
const open = (session: number) =>
  JSON.stringify([{
    _tag: "Open",
    channel: 1,
    session: `${session}`.padStart(32, "f"),
    contract: "Visited",
    key: `k${session % 4}`,
    params: { name: "ann" },
    events: ["added"],
    opening: 1,
    settledBelow: 1,
    sentBelow: 1,
    pending: []
  }])

/** How a stranger begins: not at all, with a greeting, or with a connection. */
const beginnings = [[], [hello], [hello], ...Array.from({ length: 4 }, (_, i) => [hello, open(i)])]

/** Says all of it, on as many links as it takes, and ends some of them in the middle, without a word. */
class Stranger {
  links = 0
  /** Messages that the server has answered, with a frame or with the end of the link. */
  answered = 0
  private socket: WebSocket | undefined
  private onEvent: () => void = () => {}

  constructor(private readonly port: number, private readonly number: number) {}

  async say(message: Garbage.Message): Promise<void> {
    const socket = await this.link()
    socket.send(message, { binary: typeof message !== "string" })
    socket.send(ping)
    await new Promise<void>((resolve) => {
      this.onEvent = resolve
      if (socket.readyState !== WebSocket.OPEN) resolve()
    })
    this.answered++
    if (this.answered % 50 === 49) this.vanish()
  }

  vanish(): void {
    this.socket?.terminate()
    this.socket = undefined
  }

  private async link(): Promise<WebSocket> {
    if (this.socket?.readyState === WebSocket.OPEN) return this.socket
    this.socket?.terminate()
    const socket = this.socket = new WebSocket(`ws://127.0.0.1:${this.port}/actors`)
    const beginning = beginnings[(this.number + this.links++) % beginnings.length]!
    await new Promise<void>((resolve, reject) => {
      socket.on("open", resolve)
      socket.on("error", reject)
    })
    socket.on("error", () => {})
    socket.on("close", () => this.onEvent())
    socket.on("message", (data: Buffer) => data.includes("\"Pong\"") && this.onEvent())
    for (const text of beginning) socket.send(text)
    return socket
  }
}

const strangers = 8

/** Every message is said by one of several strangers at a time. */
const sayAll = (port: number, messages: ReadonlyArray<Garbage.Message>) =>
  Effect.promise(async () => {
    const all = Array.from({ length: strangers }, (_, i) => new Stranger(port, i))
    await Promise.all(all.map(async (stranger, i) => {
      for (let at = i; at < messages.length; at += strangers) await stranger.say(messages[at]!)
      stranger.vanish()
    }))
    return {
      answered: all.reduce((sum, { answered }) => sum + answered, 0),
      links: all.reduce((sum, { links }) => sum + links, 0)
    }
  })

const upgrade = [
  "GET /actors HTTP/1.1",
  "Host: 127.0.0.1",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "\r\n"
].join("\r\n")

/** Bytes that are no messages, behind an upgrade or in the place of one. It is over when the server, or we, have closed. */
const makeNoise = (port: number, all: ReadonlyArray<Buffer>) =>
  Effect.forEach(
    all,
    (bytes, i) =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          const socket = Net.connect(port, "127.0.0.1", () => {
            if (i % 4 > 0) socket.write(upgrade)
            socket.write(bytes)
            // what is the beginning of a frame, or of a request, waits for the rest
            setTimeout(() => socket.destroy(), 20)
          })
          socket.on("error", () => {})
          socket.on("data", () => {})
          socket.on("close", () => resolve())
        })
      ),
    { concurrency: 16, discard: true }
  )

const parsers = [RpcSerialization.json, RpcSerialization.ndjson, RpcSerialization.msgPack]

const bodies = fc.tuple(
  fc.constantFrom(...parsers),
  fc.oneof(
    Garbage.messages.map((message) => () => Buffer.from(message as string)),
    Garbage.calls.map((calls) => (parser: RpcSerialization.Parser) => Buffer.from(parser.encode(calls) as string))
  ),
  fc.constantFrom(`{"name":"ann"}`, `{"name":"mallory"}`, "", "{", `{"name":""}`, `{"__proto__":1}`)
)

type Body = typeof bodies extends fc.Arbitrary<infer A> ? A : never

/** Posts bodies, and returns how many were answered with which status. */
const postAll = (port: number, all: ReadonlyArray<Body>) =>
  Effect.promise(async () => {
    const agent = new Http.Agent({ keepAlive: true, maxSockets: strangers })
    const statuses: Record<number, number> = {}
    const post = ([serialization, write, params]: Body, i: number) =>
      new Promise<void>((resolve, reject) => {
        const request = Http.request({
          port,
          agent,
          method: "POST",
          path: `/actors/Visited/k${i % 4}/rpc`,
          headers: { "content-type": serialization.contentType, "troupe-params": params }
        }, (response) => {
          statuses[response.statusCode!] = (statuses[response.statusCode!] ?? 0) + 1
          response.resume().on("end", resolve)
        })
        request.on("error", reject)
        request.end(write(serialization.unsafeMake()))
      })
    await Promise.all(Array.from({ length: strangers }, async (_, first) => {
      for (let i = first; i < all.length; i += strangers) await post(all[i]!, i)
    }))
    agent.destroy()
    return statuses
  })

/** A client that counts, and is told of everything in order, on one connection. */
const healthy = (port: number) =>
  Effect.gen(function*() {
    const { connect } = yield* client(port)
    const { events, rpc, status } = yield* connect(Visited, "healthy", { params: { name: "bob" } })
    const statuses: Array<ConnectionStatus.ConnectionStatus["_tag"]> = []
    const heard: Array<number> = []
    yield* Effect.forkScoped(Stream.runForEach(status.changes, ({ _tag }) => Effect.sync(() => statuses.push(_tag))))
    yield* Effect.forkScoped(Stream.runForEach(yield* events("added"), (count) =>
      Effect.sync(() => {
        assert.isFalse(Gap.isGap(count))
        heard.push(count as number)
      })))
    let calls = 0
    const add = Effect.tap(rpc.Add({ text: "x" }), () => Effect.sync(() => calls++))
    const calling = yield* Effect.forkScoped(Effect.forever(Effect.zipRight(add, Effect.sleep("5 millis"))))
    return { calling, calls: () => calls, heard, rpc, statuses }
  })

const firstRound = 2_000
const secondRound = 8_000

it.scopedLive("X3 10 000 messages of garbage: the server lives, forgets them, and its clients notice nothing", () =>
  Effect.gen(function*() {
    const server = yield* VisitedServer.serve({
      host: { resumeWindow: 200, idleTimeout: 200 },
      gateway: { openTimeout: 1000, refusalsPerSecond: 1e6 },
      http: { requestTimeout: 100, collectedBytesMax: 64 * 1024 },
      store: { retention: 500, sweepInterval: 100 }
    })
    const clients = yield* Effect.forEach([1, 2, 3], () => healthy(server.port))
    const seed = Date.now()
    const of = <A>(arbitrary: fc.Arbitrary<A>, numRuns: number, shift: number) =>
      fc.sample(arbitrary, { numRuns, seed: seed + shift })
    yield* Effect.addFinalizer((exit) => exit._tag === "Failure" ? Effect.log(`the seed was ${seed}`) : Effect.void)

    const round = (count: number, shift: number) =>
      Effect.gen(function*() {
        const said = yield* sayAll(server.port, of(Garbage.messages, count, shift))
        yield* makeNoise(server.port, of(Garbage.noise, count / 20, shift + 1))
        const statuses = yield* postAll(server.port, of(bodies, count / 10, shift + 2))
        assert.strictEqual(said.answered, count)
        for (const status of Object.keys(statuses)) assert.include(["200", "400", "413"], status)
        const held = yield* server.restsAt({
          fibers: Infinity,
          timers: Infinity,
          sockets: 4,
          connections: 3,
          activations: 1
        })
        return { held, links: said.links, statuses }
      })

    const first = yield* round(firstRound, 0)
    const second = yield* round(secondRound, 10)
    // equal timeouts share a fiber, and a timer, which are there for as long as there are any
    const { fibers, timers } = first.held
    const held = yield* server.restsAt({
      fibers: fibers + 4,
      timers: timers + 4,
      sockets: 3,
      connections: 3,
      activations: 1
    })
    for (const { calling, heard, statuses } of clients) {
      assert.deepStrictEqual(statuses, ["Connected"])
      yield* Fiber.interrupt(calling)
      assert.deepStrictEqual(heard.slice(1).map((count, i) => count - heard[i]!).filter((step) => step !== 1), [])
    }
    const [{ rpc }] = clients as [typeof clients[0]]
    const calls = clients.reduce((sum, { calls }) => sum + calls(), 0)
    assert.isAbove(calls, 300)
    // one of each may have been interrupted on its way
    const count = yield* rpc.Count()
    assert.isTrue(count >= calls && count <= calls + clients.length, `${count} of ${calls}`)
    assert.strictEqual(server.program.errors(), "")
    const grown = (held.bytes - first.held.bytes) / secondRound
    console.log(
      `garbage: ${firstRound + secondRound} messages on ${first.links + second.links} links, ${
        JSON.stringify(second.statuses)
      }, ${calls} calls beside them; ${grown.toFixed(1)} bytes a message; ${JSON.stringify(held)}`
    )
    assert.isAtMost(grown, 50)
    yield* until(() => server.program.lines.every((line) => !/unhandled/i.test(line)))
  }))
