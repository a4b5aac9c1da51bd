/** A real server process that is told to stop, as at a new version: SIGTERM, and the next one on the same port and file. */
import { assert, it } from "@effect/vitest"
import type { ActorClient, Connection, ConnectionStatus } from "@troupe/client"
import { Effect, Fiber, Stream } from "effect"
import * as Net from "node:net"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import { Log } from "./utils/Log.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"
import { Book, Work } from "./utils/Work.ts"

/** A process takes seconds to start where others run too. */
const testMax = 300_000

interface Options {
  readonly drain?: number
  readonly shutdown?: number
  readonly stuck?: boolean
}

/** Servers on one port and one file, one after another. */
const makeServers = Effect.gen(function*() {
  const port = yield* freePort
  const filename = `${yield* Directory.temporary}/store.db`
  const start = ({ drain = 15_000, shutdown = 15_000, stuck = false }: Options = {}) =>
    Effect.tap(
      Program.start("serve-work", [`${port}`, filename, `${drain}`, `${shutdown}`, stuck ? "stuck" : "free"]),
      ({ said }) => said("open")
    )
  return { port, start }
})

/** Tells a server to stop, and returns how it ended and after how many milliseconds. */
const stop = (server: Program.Program) =>
  Effect.gen(function*() {
    const began = Date.now()
    yield* server.kill("SIGTERM")
    const code = yield* server.ended
    assert.strictEqual(server.errors(), "")
    return { code, millis: Date.now() - began }
  })

/** What a server answers to somebody who wants a link: a status, or that the connection is refused. */
const upgrade = (port: number) =>
  Effect.async<string>((resume) => {
    const socket = Net.connect(port, "127.0.0.1", () =>
      socket.write([
        "GET /actors HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dHJvdXBlIHRyb3VwZSBvbg==",
        "\r\n"
      ].join("\r\n")))
    socket.once("data", (chunk) => {
      resume(Effect.succeed(chunk.toString().split(" ")[1]!))
      socket.destroy()
    })
    socket.once("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? error.message)))
    socket.once("close", () => resume(Effect.succeed("closed")))
  })

type HasStatus = Pick<Connection.Connection<(typeof Log)["definition"]>, "status">

const waitingFor = (cause: ConnectionStatus.WaitingCause["_tag"]) => ({ status }: HasStatus) =>
  Stream.runHead(Stream.filter(status.changes, (now) => now._tag === "Waiting" && now.cause._tag === cause))

const goneAway = waitingFor("GoAway")

it.scopedLive(
  "L5 SIGTERM: no new links, what runs ends, clients are told to go, all is committed, and the process ends with 0",
  () =>
    Effect.gen(function*() {
      const { port, start } = yield* makeServers
      let server = yield* start()
      const expected: Array<string> = []
      const client = yield* LogServer.client(port)
      const idle = yield* (yield* LogServer.client(port)).connect(Work, "a")
      for (const round of ["x", "y"]) {
        const work = yield* client.connect(Work, "a")
        const calls = [
          yield* Effect.fork(work.rpc.Hold({ entry: `${round} 1` })),
          yield* Effect.fork(work.rpc.Append({ entry: `${round} 2` }))
        ]
        yield* server.said(`holds ${round} 1`)
        const stopping = yield* Effect.fork(stop(server))
        yield* goneAway(idle)
        // while what was begun goes on, nothing new comes in
        assert.strictEqual(yield* upgrade(port), "503")
        assert.strictEqual((yield* work.status.get)._tag, "Connected")
        assert.isTrue(calls.every((call) => call.unsafePoll() === null))
        yield* server.kill("SIGUSR2")
        const place = expected.length
        // the answers come from the server that goes: the next is not there yet
        assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), [place + 1, place + 2])
        yield* goneAway(work)
        assert.strictEqual((yield* Fiber.join(stopping)).code, 0)
        assert.strictEqual(yield* upgrade(port), "ECONNREFUSED")
        server = yield* start()
        expected.push(`${round} 1`, `${round} 2`)
        assert.deepStrictEqual(yield* work.rpc.Entries(), expected)
      }
    }),
  testMax
)

const restarts = 6
const clients = 2
const sessionsEach = 3
const callsAtOnce = 4

it.scopedLive(
  "L5 restart after restart under load: every call is answered, executed once, in its session's order",
  () =>
    Effect.gen(function*() {
      const { port, start } = yield* makeServers
      let server = yield* start()
      let stopped = false
      let answered = 0
      const causes = new Set<string>()

      /** Calls until it is told to stop, several at a time; returns what it was answered. */
      const session = (name: string, client: ActorClient.ActorClient["Type"]) =>
        Effect.gen(function*() {
          const log = yield* client.connect(Log, "a")
          yield* Effect.forkScoped(Stream.runForEach(log.status.changes, (status) =>
            Effect.sync(() => void (status._tag === "Waiting" && causes.add(status.cause._tag)))))
          const answers: Array<number> = []
          for (let i = 0; !stopped; i += callsAtOnce) {
            const calls = Array.from({ length: callsAtOnce }, (_, n) =>
              log.rpc.Append({ entry: `${name}.${i + n}` }))
            const places = yield* Effect.all(calls, { concurrency: "unbounded" })
            answers.push(...places)
            answered += places.length
          }
          return [name, answers] as const
        })

      const running: Array<Fiber.Fiber<readonly [string, ReadonlyArray<number>], unknown>> = []
      for (let c = 0; c < clients; c++) {
        const client = yield* LogServer.client(port)
        for (let s = 0; s < sessionsEach; s++)
          running.push(yield* Effect.fork(session(`${c}-${s}`, client)))
      }
      const moreAnswers = Effect.suspend(() => {
        const enough = answered + 100
        return until(() =>
          answered >= enough, "calls are answered")
      })
      for (let restart = 0; restart < restarts; restart++) {
        yield* moreAnswers
        const { code, millis } = yield* stop(server)
        assert.strictEqual(code, 0)
        assert.isBelow(millis, 8000)
        server = yield* start()
      }
      yield* moreAnswers
      stopped = true
      const answers = yield* Effect.forEach(running, Fiber.join)
      const entries = yield* Effect.flatMap(LogServer.connect(port), (log) => log.rpc.Entries())
      console.log(`restart run: ${restarts} restarts, ${answered} calls, ${entries.length} executed`)
      assert.isAtLeast(answered, 100 * (restarts + 1))
      // each once: as many as there were answers, all different, each in the place its answer named
      assert.lengthOf(entries, answered)
      assert.lengthOf(new Set(entries), answered)
      for (const [name, places] of answers) {
        const mine = places.map((place) => entries[place - 1]).join()
        assert.isTrue(mine === places.map((_, i) => `${name}.${i}`).join(), `the calls of ${name}`)
        assert.isTrue(places.every((place, i) => i === 0 || place > places[i - 1]!), `the order of ${name}`)
      }
      // nobody was cut off: all were asked to go
      assert.deepStrictEqual(Array.from(causes).sort(), ["DialFailed", "GoAway"])
    }),
  testMax
)

it.scopedLive(
  "L5 what does not end in time is cut off, the process ends, and the calls take effect once in the next",
  () =>
    Effect.gen(function*() {
      const { port, start } = yield* makeServers
      const tight = { drain: 300, shutdown: 300, stuck: true }
      let server = yield* start(tight)
      const client = yield* LogServer.client(port)
      const stuck = yield* client.connect(Work, "stuck")
      const held = yield* client.connect(Work, "held")
      for (const round of [1, 2]) {
        const calls = yield* Effect.forEach([
          stuck.rpc.Stick({ entry: `${round} a` }),
          stuck.rpc.Append({ entry: `${round} b` }),
          held.rpc.Hold({ entry: `${round} a` }),
          held.rpc.Append({ entry: `${round} b` })
        ], (call) => Effect.fork(call))
        yield* server.said(`sticks ${round} a`)
        yield* server.said(`holds ${round} a`)
        const { code, millis } = yield* stop(server)
        assert.strictEqual(code, 0)
        // the gateway's bound, and the turns' four fifths of the host's, less what clocks disagree by
        assert.isAtLeast(millis, 520)
        assert.isBelow(millis, 8000)
        assert.isTrue(calls.every((call) => call.unsafePoll() === null))
        server = yield* start()
        yield* server.said(`holds ${round} a`)
        yield* server.kill("SIGUSR2")
        const first = 2 * round - 1
        assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), [first, first + 1, first, first + 1])
        const expected = [1, 2].slice(0, round).flatMap((round) => [`${round} a`, `${round} b`])
        for (const work of [stuck, held]) assert.deepStrictEqual(yield* work.rpc.Entries(), expected)
        if (round === 2) continue
        assert.strictEqual((yield* stop(server)).code, 0)
        server = yield* start(tight)
      }
    }),
  testMax
)

it.scopedLive(
  "L5 L3 an alarm that is due while no server is there fires once in the next",
  () =>
    Effect.gen(function*() {
      const { port, start } = yield* makeServers
      let server = yield* start()
      const { rpc } = yield* (yield* LogServer.client(port)).connect(Work, "a")
      for (const round of [1, 2]) {
        yield* rpc.Later({ entry: `${round}`, millis: 3000 })
        const due = Date.now() + 3000
        assert.strictEqual((yield* stop(server)).code, 0)
        assert.notInclude(server.lines, `fires ${round}`)
        yield* until(() => Date.now() > due)
        server = yield* start()
        yield* server.said(`fires ${round}`)
        assert.deepStrictEqual(yield* rpc.Entries(), ["1", "2"].slice(0, round))
      }
      yield* stop(server)
      assert.deepStrictEqual(server.lines.filter((line) => line.startsWith("fires")), ["fires 2"])
    }),
  testMax
)

it.scopedLive(
  "L5 L3 calls between actors at SIGTERM end, or are made again by the next process, and take effect once in both",
  () =>
    Effect.gen(function*() {
      const { port, start } = yield* makeServers
      let server = yield* start()
      const client = yield* LogServer.client(port)
      const idle = yield* (yield* LogServer.client(port)).connect(Work, "idle")
      // one begins with a call of the client, the other with an alarm
      const actors = yield* Effect.forEach(["call", "alarm"], (key) =>
        Effect.all({ work: client.connect(Work, key), book: client.connect(Book, key) }))
      const begin = (entry: string) =>
        Effect.gen(function*() {
          yield* actors[1]!.work.rpc.BothLater({ entry: `${entry} by alarm` })
          const call = yield* Effect.fork(actors[0]!.work.rpc.Both({ entry: `${entry} by call` }))
          yield* entered(entry)
          return call
        })
      const entered = (entry: string) =>
        Effect.zipRight(server.said(`enters ${entry} by alarm`), server.said(`enters ${entry} by call`))
      const expected: Array<string> = []
      const check = Effect.forEach(["call", "alarm"], (by, i) =>
        Effect.gen(function*() {
          const { book, work } = actors[i]!
          const entries = expected.map((entry) =>
            `${entry} by ${by}`
          )
          assert.deepStrictEqual(yield* book.rpc.Entries(), entries)
          assert.deepStrictEqual(yield* work.rpc.Entries(), entries)
        }))
      for (const round of [1, 2]) {
        const inTime = yield* begin(`${round} a`)
        const stopping = yield* Effect.fork(stop(server))
        yield* goneAway(idle)
        yield* server.kill("SIGUSR2")
        assert.strictEqual((yield* Fiber.join(stopping)).code, 0)
        expected.push(`${round} a`)
        assert.strictEqual(yield* Fiber.join(inTime), expected.length)
        server = yield* start({ drain: 300, shutdown: 300 })
        yield* check
        const late = yield* begin(`${round} b`)
        assert.strictEqual((yield* stop(server)).code, 0)
        server = yield* start()
        yield* entered(`${round} b`)
        yield* server.kill("SIGUSR2")
        expected.push(`${round} b`)
        assert.strictEqual(yield* Fiber.join(late), expected.length)
        yield* check
        if (round === 1) {
          // SIGUSR2 has opened what holds in this one
          yield* stop(server)
          server = yield* start()
        }
      }
    }),
  testMax
)
