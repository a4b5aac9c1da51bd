/** How much of the store file recorded replies take, as another program sees it, while real clients call and vanish. */
import { assert, it } from "@effect/vitest"
import type { SqliteStore } from "@troupe/node"
import type { HostOptions } from "@troupe/server"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Exit, Layer, Schedule, Scope } from "effect"
import Database from "libsql"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as Counters from "./utils/Counters.ts"
import * as Directory from "./utils/Directory.ts"
import * as LogServer from "./utils/LogServer.ts"
import { until } from "./utils/until.ts"

/** A server on a store file, whose actors go to sleep soon, and an eye on the file. */
const serve = (store: Omit<SqliteStore.Options, "filename">, host: HostOptions.Options = {}) =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const server = Http.createServer()
    yield* Layer.build(
      Counters.layerServer(server, 0, { filename, ...store }, { idleTimeout: "100 millis", ...host })
    )
    const db = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(filename, { readonly: true })),
      (db) => Effect.sync(() => db.close())
    )
    const number = (sql: string) => {
      const statement = db.prepare(sql)
      return () => (statement.get() as { readonly value: number }).value
    }
    return {
      port: (server.address() as Net.AddressInfo).port,
      /** The segments of recorded replies. */
      replies: number("SELECT count(*) AS value FROM segment"),
      actors: number("SELECT count(*) AS value FROM actor"),
      /** What all actors have counted, together. */
      counted: number("SELECT coalesce(sum(state), 0) AS value FROM actor"),
      /** Grows when an actor wakes. */
      epoch: (key: string) => number(`SELECT epoch AS value FROM actor WHERE key = '${key}'`)(),
      pages: number("SELECT page_count AS value FROM pragma_page_count")
    }
  })

const clients = 6
const keys = 3
const inFlight = 16
const callsOfEach = 1000

it.scopedLive("T7 thousands of calls of real clients: few recorded replies at any time, and none when the actors sleep", () =>
  Effect.gen(function*() {
    const store = yield* serve({})
    let rowsMax = 0
    let samples = 0
    const sample = Effect.sync(() => {
      rowsMax = Math.max(rowsMax, store.replies())
      samples++
    })
    let pages = 0
    let calls = 0
    for (const round of [1, 2]) {
      const scope = yield* Scope.make()
      const actors = yield* Effect.forEach(
        Array.from({ length: clients }, (_, client) => `${client % keys}`),
        (key) => Effect.flatMap(LogServer.client(store.port), ({ connect }) => connect(Counters.Commit, key))
      ).pipe(Scope.extend(scope))
      const sampling = yield* Effect.fork(Effect.repeat(sample, Schedule.spaced("2 millis")))
      yield* Effect.forEach(
        actors,
        ({ rpc }) => Effect.forEach(Array.from({ length: callsOfEach }), () => rpc.Add(), { concurrency: inFlight }),
        { concurrency: "unbounded" }
      )
      yield* sampling.interruptAsFork(sampling.id())
      // the clients have all answers: with the next commit after they have said so, each actor has deleted them
      const next = Effect.forEach(actors.slice(0, keys), ({ rpc }) => Effect.tap(rpc.Add(), () => void calls++))
      calls += clients * callsOfEach
      yield* Effect.repeat(next, {
        until: () => store.replies() <= keys,
        schedule: Schedule.spaced("50 millis"),
        times: 40
      })
      assert.isAtMost(store.replies(), keys)
      yield* Scope.close(scope, Exit.void)
      yield* until(() => store.replies() === 0, "no replies are recorded")
      assert.strictEqual(store.counted(), calls)
      assert.strictEqual(store.actors(), keys)
      // the second run finds the room that the first one has left
      if (round === 2) assert.isAtMost(store.pages(), pages * 1.5)
      pages = store.pages()
    }
    console.log(`replies: ${store.counted()} calls, at most ${rowsMax} rows in ${samples} samples, ${pages} pages`)
    // a fast machine is through in half a second
    assert.isAbove(samples, 50)
    // a row holds at least one answer that its client does not have yet
    assert.isAtMost(rowsMax, 2 * clients * inFlight)
  }))

/** A client that makes calls, and is gone before it has heard that they were answered. */
const vanish = (port: number, key: string, calls: number, counted: () => number) =>
  Effect.scoped(Effect.gen(function*() {
    const proxy = yield* TcpProxy.make({ target: port })
    const { connect } = yield* LogServer.client(proxy.port)
    const { rpc } = yield* connect(Counters.Commit, key)
    const before = counted()
    yield* proxy.blackHole("toClient")
    yield* Effect.forEach(Array.from({ length: calls }), () => Effect.fork(rpc.Add()))
    yield* until(() => counted() >= before + calls, "the calls have been executed")
    // it cannot even say goodbye
    yield* proxy.setRefusing(true)
    yield* proxy.cut
  }))

it.scopedLive("T7 what clients that vanished never took is deleted after the retention, of sleeping actors too", () =>
  Effect.gen(function*() {
    const retention = 3000
    const store = yield* serve({ retention, sweepInterval: "100 millis" }, { resumeWindow: "50 millis" })
    const { connect } = yield* LogServer.client(store.port)
    const busy = yield* connect(Counters.Commit, "busy")
    let calls = 0
    for (const round of [1, 2]) {
      let last = 0
      for (let i = 0; i < 5; i++) {
        last = Date.now()
        yield* vanish(store.port, "asleep", 20, store.counted)
        yield* vanish(store.port, "busy", 20, store.counted)
        calls += 40
      }
      const epoch = store.epoch("asleep")
      assert.isAtLeast(store.replies(), 2)
      // somebody else goes on there all the time
      yield* Effect.repeat(Effect.tap(busy.rpc.Add(), () => calls++), {
        schedule: Schedule.spaced("10 millis"),
        until: () => store.replies() <= 1
      }).pipe(Effect.timeout("10 seconds"))
      assert.isAtLeast(Date.now() - last, retention)
      assert.strictEqual(store.counted(), calls)
      // the one whose clients have all vanished was not woken for it, and does sleep
      assert.strictEqual(store.epoch("asleep"), epoch)
      yield* Effect.scoped(connect(Counters.Commit, "asleep"))
      assert.isAbove(store.epoch("asleep"), epoch, `${round}`)
    }
  }))
