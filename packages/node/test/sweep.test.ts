/**
 * A link is cut at every byte: of the way to a connection that stands, of one call, and of the way back to a connection
 * that has lost its link. Over real sockets: a server on a file, the client, and between them a proxy that cuts after
 * exactly so many bytes of one direction, at each byte twice in a row, with a reset and with an end.
 */
import { assert, it } from "@effect/vitest"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Schedule } from "effect"
import * as Directory from "./utils/Directory.ts"
import { Log } from "./utils/Log.ts"
import * as LogServer from "./utils/LogServer.ts"

/** So many positions at a time. */
const atATime = 16

/** What settles at all has settled by then, also on a busy machine. */
const settledIn = "20 seconds"

const directions: ReadonlyArray<TcpProxy.Direction> = ["toServer", "toClient"]

/** Numbers of one run may have a few digits more than those of another. */
const digits = 8

interface Position {
  readonly direction: TcpProxy.Direction
  readonly bytes: number
}

/** A client behind a proxy of its own. Keys have one length, so that frames have. */
const makeRun = (port: number, number: number) =>
  Effect.gen(function*() {
    const proxy = yield* TcpProxy.make({ target: port })
    const { connect } = yield* LogServer.client(proxy.port, { schedule: Schedule.spaced("1 millis") })
    /** The next two links are cut there. */
    const plan = (position: Position) =>
      Effect.forEach(["reset", "close"] as const, (by) => proxy.cutNextAfter({ ...position, by }))
    return { connect: connect(Log, `log ${10_000 + number}`), plan, proxy }
  })

type Run = Effect.Effect.Success<ReturnType<typeof makeRun>>
type Connected = Effect.Effect.Success<Run["connect"]>

/** What a client has to say on an answer leaves before its next call: some turns of the event loop, as it has to arrive. */
const acknowledged = Effect.repeatN(Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))), 5)

/** Makes two calls, and finds that each call so far took effect once. Returns what the first of them has cost. */
const callTwice = ({ rpc }: Connected, { proxy }: Run, before: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const count = before.length
    assert.strictEqual(yield* rpc.Append({ entry: "first" }), count + 1)
    yield* acknowledged
    const bytes = yield* proxy.bytes
    // what the cut has spared meets it now
    assert.strictEqual(yield* rpc.Append({ entry: "second" }), count + 2)
    assert.deepStrictEqual(yield* rpc.Entries(), [...before, "first", "second"])
    return bytes
  })

/** Opens a connection, and makes calls. */
const open = (run: Run, position: Position | undefined) =>
  Effect.gen(function*() {
    if (position) yield* run.plan(position)
    const log = yield* run.connect
    return yield* callTwice(log, run, [])
  })

/** Loses the link, and makes calls meanwhile. */
const comeBack = (run: Run, position: Position | undefined) =>
  Effect.gen(function*() {
    const log = yield* run.connect
    const { id } = yield* log.rpc.WhoAmI()
    yield* acknowledged
    if (position) yield* run.plan(position)
    const before = yield* run.proxy.bytes
    assert.strictEqual(yield* run.proxy.reset, 1)
    const after = yield* callTwice(log, run, [])
    assert.deepStrictEqual(yield* log.rpc.WhoAmI(), { id }, "it is the same connection")
    return { toServer: after.toServer - before.toServer, toClient: after.toClient - before.toClient }
  })

/** Does something once in peace, to see how many bytes it takes, and then once for each of them, cut there. */
const sweep = (what: string, story: typeof open) =>
  Effect.gen(function*() {
    const began = performance.now()
    const filename = `${yield* Directory.temporary}/store.db`
    const port = yield* LogServer.serve({ filename })
    const bytes = yield* Effect.scoped(Effect.flatMap(makeRun(port, 0), (run) => story(run, undefined)))
    const positions = directions.flatMap((direction) =>
      Array.from({ length: bytes[direction] + 1 + digits }, (_, bytes): Position => ({ direction, bytes }))
    )
    const cutAt = (position: Position, i: number) =>
      Effect.gen(function*() {
        const run = yield* makeRun(port, i + 1)
        yield* story(run, position)
        return yield* run.proxy.cuts
      }).pipe(
        Effect.scoped,
        // what hangs may also hang when it is to end
        Effect.disconnect,
        Effect.timeoutFail({ duration: settledIn, onTimeout: () => new Error("it has not settled") }),
        Effect.mapError((error) => new Error(`cut after ${position.bytes} bytes ${position.direction}: ${error}`)),
        Effect.orDie
      )
    const cuts = yield* Effect.forEach(positions, cutAt, { concurrency: atATime })
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    const total = cuts.reduce((sum, count) => sum + count, 0)
    console.log(
      `sweep of ${what}: ${bytes.toServer} bytes to the server and ${bytes.toClient} to the client,`
        + ` ${positions.length} positions, ${total} cuts, ${seconds} s`
    )
    return { bytes, cuts, positions }
  })

it.scopedLive(
  "S5 over sockets, links are cut at every byte of the handshake and of a call: it settles, and ran once",
  () =>
    Effect.gen(function*() {
      const { bytes, cuts, positions } = yield* sweep("opening", open)
      // a request for an upgrade alone has more than this
      assert.isAbove(Math.min(bytes.toServer, bytes.toClient), 400)
      assert.deepStrictEqual(positions.filter((_, i) => cuts[i] === 0), [])
    }),
  300_000
)

it.scopedLive(
  "S5 over sockets, links are cut at every byte of a resume and of a call that waited for it",
  () =>
    Effect.gen(function*() {
      const { bytes, cuts, positions } = yield* sweep("coming back", comeBack)
      assert.isAbove(Math.min(bytes.toServer, bytes.toClient), 300)
      // the first of them is the loss of the link that was to come back
      assert.deepStrictEqual(positions.filter((_, i) => cuts[i]! < 2), [])
    }),
  300_000
)
