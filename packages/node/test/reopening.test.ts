/**
 * A client whose links go silent while it opens its session anew, over real sockets, with a server process on a file: its
 * older connections live on at the server, which does not know, and none of its calls runs a second time.
 */
import { assert, it } from "@effect/vitest"
import type { Connection } from "@troupe/client"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Fiber, Stream } from "effect"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import * as Gates from "./utils/Gates.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"

/** How long it may take until somebody notices, where others run too. */
const silenceMax = "30 seconds"

const makeWorld = Effect.gen(function*() {
  const port = yield* freePort
  const filename = `${yield* Directory.temporary}/store.db`
  const server = yield* Program.start("serve-gates", [`${port}`, filename])
  yield* server.said("open")
  const proxy = yield* TcpProxy.make({ target: port })
  const { connect } = yield* LogServer.client(proxy.port)
  const count = (line: string) => server.lines.filter((said) => said === line).length
  return {
    port,
    proxy,
    connect: connect(Gates.Gates, "a"),
    count,
    /** Does something, and waits until the server has said a line once more. */
    next: (line: string, cause: Effect.Effect<unknown>) =>
      Effect.suspend(() => {
        const before = count(line)
        return Effect.zipRight(cause, until(() => count(line) > before, `the server says ${line}`, silenceMax))
      }),
    open: (entry: string) => Gates.open(port, entry)
  }
})

type World = Effect.Effect.Success<typeof makeWorld>
type Gated = Connection.Connection<(typeof Gates.Gates)["definition"]>

/** Counts how often a connection has been resumed. */
const countResumes = ({ status }: Gated) =>
  Effect.gen(function*() {
    const seen = { resumes: 0 }
    yield* Effect.forkScoped(Stream.runForEach(status.changes, (now) =>
      Effect.sync(() => {
        if (now._tag === "Connected" && now.resumed) seen.resumes++
      })))
    return seen
  })

/** Loses the link for longer than the server waits, so that the client opens its session anew. */
const reopen = ({ count, proxy }: World, seen: { readonly resumes: number }) =>
  Effect.gen(function*() {
    const asked = count("asked")
    // a busy server may notice too late, and let the client resume
    while (count("asked") === asked) {
      const { resumes } = seen
      yield* proxy.setRefusing(true)
      yield* proxy.cut
      yield* Effect.sleep("300 millis")
      yield* proxy.setRefusing(false)
      yield* until(() => count("asked") > asked || seen.resumes > resumes, "the client is back", silenceMax)
    }
  })

it.scopedLive(
  "C14 C7 a server process: a session that is opened anew over silent links, while its older ones live, runs no call twice",
  () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const { count, next, open, proxy } = world
      const gates = yield* world.connect
      const seen = yield* countResumes(gates)
      const expected: Array<string> = []
      let lived = 0
      for (const round of ["x", "y"]) {
        const entries = [1, 2, 3, 4].map((n) => `${round}${n}`)
        const [first, second, third] = entries as [string, string, string, string]
        const calls = yield* Effect.forEach(entries, (entry) => Effect.fork(gates.rpc.Append({ entry })))
        const place = (call: number) => Fiber.join(calls[call - 1]!)
        yield* until(() => count(`run ${first}`) === 1)

        // the call runs on when its connection has ended; what the session opens next has to wait for it
        yield* reopen(world, seen)
        const stands = count("stands")
        // the links on which it waits go silent, one after the other
        for (const _ of [1, 2]) {
          yield* next("asked", proxy.blackHole())
          // unless the server has noticed before its client
          if ((yield* proxy.connections) > 1) lived++
        }
        assert.strictEqual(count("stands"), stands)
        yield* next(`run ${second}`, open(first))
        assert.strictEqual(yield* place(1), expected.length + 1)

        // the next connection stands, and lives on, but the client does not hear of it
        yield* reopen(world, seen)
        const superseded = count("ended Superseded")
        yield* proxy.blackHole("toClient")
        yield* next("stands", open(second))
        yield* until(() => count("ended Superseded") > superseded, "another takes over", silenceMax)
        assert.strictEqual(yield* place(2), expected.length + 2)

        // the link of a connection that stands goes silent: it is resumed on another, or opened anew if the server has
        // noticed that long before its client
        yield* until(() => count(`run ${third}`) === 1)
        const { resumes } = seen
        const asked = count("asked")
        yield* proxy.blackHole()
        yield* until(() => seen.resumes > resumes || count("asked") > asked, "the client is back", silenceMax)
        yield* Effect.forEach(entries, open)
        assert.deepStrictEqual(yield* Effect.forEach([3, 4], place), [expected.length + 3, expected.length + 4])
        expected.push(...entries)
        assert.deepStrictEqual(expected.map((entry) => count(`run ${entry}`)), expected.map(() => 1))
        assert.deepStrictEqual(yield* gates.rpc.Entries(), expected)
      }
      assert.isAtLeast(lived, 1, "an older link lives on while the next one is opened")
    }),
  300_000
)
