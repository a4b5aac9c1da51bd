/**
 * A session's second connection while its first still lives, over real sockets and with a server process: what the client
 * asks for again joins what is there.
 */
import { assert, it } from "@effect/vitest"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect } from "effect"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"
import * as RawClient from "./utils/RawClient.ts"
import { until } from "./utils/until.ts"
import { Work } from "./utils/Work.ts"

const session = "0123456789abcdef0123456789abcdef"

let openings = 0

const open = (pending: ReadonlyArray<number>) =>
  Frame.encode({
    _tag: "Open",
    channel: 1,
    session,
    contract: "Work",
    key: "a",
    params: {},
    events: [],
    opening: ++openings,
    settledBelow: 1,
    sentBelow: Number.MAX_SAFE_INTEGER,
    pending
  })

/** A call as message `seq` of its connection. */
const call = (seq: number, number: number, tag: string, entry: string) =>
  Frame.encodeMessage(1, seq, Frame.encodeRequest(number, tag, { entry }))

/** The older link speaks on, or carries nothing any more, of which the server knows nothing. */
for (const older of ["speaks on", "is frozen"] as const) {
  it.scopedLive(
    `C14 a server process: calls that run, wait and are recorded are joined while the older link ${older}`,
    () =>
      Effect.gen(function*() {
        const port = yield* freePort
        const filename = `${yield* Directory.temporary}/store.db`
        const proxy = yield* TcpProxy.make({ target: port })
        const start = Effect.tap(
          Program.start("serve-work", [`${port}`, filename, "1000", "1000", "free"]),
          ({ said }) => said("open")
        )
        let server = yield* start
        const reader = yield* (yield* LogServer.client(port)).connect(Work, "a")
        let entries: Array<string> = []
        for (const round of [1, 2]) {
          const [recorded, runs, waits] = [1, 2, 3].map((n) => 10 * round + n) as [number, number, number]
          const calls = (seq: number) => [
            call(seq, recorded, "Append", `${recorded}`),
            call(seq + 1, runs, "Hold", `${runs}`),
            call(seq + 2, waits, "Append", `${waits}`)
          ]
          const old = yield* RawClient.dial(older === "is frozen" ? proxy.port : port)
          yield* old.say(open([]))
          yield* old.heard("Opened")
          yield* old.say(...calls(1))
          yield* until(() => old.answers().length === 1, "the first is answered")
          yield* server.said(`holds ${runs}`)
          if (older === "is frozen") assert.isAtLeast(yield* proxy.blackHole(), 1)
          const next = yield* RawClient.dial(port)
          yield* next.say(open([recorded, runs, waits]))
          yield* next.pong
          if (older === "speaks on") {
            yield* old.heard("Close")
            yield* old.say(call(4, waits + 1, "Append", "from the older one"), call(5, runs, "Hold", "again"))
            yield* old.pong
          }
          yield* server.kill("SIGUSR2")
          yield* next.heard("Opened")
          yield* next.say(...calls(1))
          entries = [...entries, `${recorded}`, `${runs}`, `${waits}`]
          const place = entries.length
          yield* until(() => next.answers().length >= 3, "all are answered")
          yield* next.pong
          // each once; the recorded one comes when it is asked for, the others as soon as they are there
          assert.deepStrictEqual(next.answers(), [[runs, place - 1], [waits, place], [recorded, place - 2]])
          assert.deepStrictEqual(old.answers(), [[recorded, place - 2]])
          assert.deepStrictEqual(yield* reader.rpc.Entries(), entries)
          assert.lengthOf(server.lines.filter((line) => line.startsWith("holds")), 1)
          if (round === 1) {
            yield* server.kill("SIGTERM")
            assert.strictEqual(yield* server.ended, 0)
            server = yield* start
          }
        }
      }),
    300_000
  )
}
