/** What the three durabilities promise, by real processes: what is written, what is synced, and what a SIGKILL leaves. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import Database from "libsql"
import * as Fs from "node:fs"
import * as Counters from "./utils/Counters.ts"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"
import * as SyncLog from "./utils/SyncLog.ts"

/** A store file, a server process on it that can be started again, and a client. */
const make = Effect.gen(function*() {
  const filename = `${yield* Directory.temporary}/store.db`
  const port = yield* freePort
  const start = (env: Record<string, string> = {}) =>
    Effect.tap(Program.start("serve-counters", [`${port}`, filename], { env }), ({ said }) => said("open"))
  const client = yield* LogServer.client(port)
  return { ...client, filename, start }
})

/** What is in the file and in its log. */
const content = (filename: string) =>
  ["", "-wal"].map((suffix) => Fs.readFileSync(filename + suffix).toString("base64"))

const rows = (filename: string, table: string): number => {
  const db = new Database(filename, { readonly: true })
  const { count } = db.prepare(`SELECT count(*) AS count FROM ${table}`).get() as { readonly count: number }
  db.close()
  return count
}

/** Ends a process as nothing else does. */
const kill = (program: Program.Program) => Effect.zipRight(program.kill("SIGKILL"), program.ended)

/** Few enough that SQLite makes no checkpoint, at 1000 pages of its log: that syncs too. */
const calls = 25

describe("memory", () => {
  it.scopedLive("T8 memory writes nothing, lives through the sleep of the actor, and ends with the process", () =>
    Effect.gen(function*() {
      const { connect, filename, start } = yield* make
      let server = yield* start()
      const add = Effect.scoped(Effect.flatMap(connect(Counters.Memory, "a"), ({ rpc }) => rpc.Add()))
      for (const _ of [1, 2]) {
        const before = content(filename)
        let expected = 0
        const one = Effect.tap(add, ({ count }) => Effect.sync(() => assert.strictEqual(count, ++expected)))
        for (const builds of [1, 2]) {
          yield* one
          // without connections, until it has slept
          yield* Effect.repeat(one, {
            schedule: Schedule.spaced("150 millis"),
            until: (counted) => counted.builds > builds
          })
        }
        const memory = yield* Effect.scoped(
          Effect.flatMap(
            connect(Counters.Memory, "a"),
            ({ rpc }) => Effect.forEach(Array.from({ length: calls }), () => rpc.Add(), { concurrency: 16 })
          )
        )
        assert.strictEqual(memory.at(-1)!.count, expected + calls)
        assert.isTrue(content(filename).join() === before.join(), "the file has changed")
        assert.deepStrictEqual([rows(filename, "actor"), rows(filename, "segment")], [0, 0])
        yield* kill(server)
        server = yield* start()
      }
    }))
})

describe("commit and fsync", () => {
  it.scopedLive("T8 what was answered survives SIGKILL", () =>
    Effect.gen(function*() {
      const { connect, filename, start } = yield* make
      let server = yield* start()
      const [commit, fsync] = [yield* connect(Counters.Commit, "a"), yield* connect(Counters.Fsync, "a")]
      for (let count = 1; count <= 15; count++) {
        const counted = yield* Effect.all([commit.rpc.Add(), fsync.rpc.Add()], { concurrency: "unbounded" })
        assert.deepStrictEqual(counted.map(({ count }) => count), [count, count])
        if (count % 5 > 0 || count === 15) continue
        yield* kill(server)
        server = yield* start()
      }
      assert.strictEqual(rows(filename, "actor"), 2)
    }))

  const reason = SyncLog.impossible()
  if (reason) console.log(`syncs to the disk are not tested here: ${reason}`)

  it.scopedLive.skipIf(reason !== undefined)(
    "T8 fsync: the log is synced before each answer; commit: it is not",
    () =>
      Effect.gen(function*() {
        const { connect, filename, start } = yield* make
        const log = yield* SyncLog.make
        const synced = () => log.count(`${filename}-wal`)
        yield* start(log.env)
        for (const round of [1, 2]) {
          for (const [contract, syncs] of [[Counters.Fsync, 1], [Counters.Commit, 0], [Counters.Memory, 0]] as const) {
            const actor = yield* connect(contract as typeof Counters.Commit, `${round}`)
            yield* actor.rpc.Add()
            for (let call = 0; call < calls; call++) {
              const before = synced()
              yield* actor.rpc.Add()
              assert.strictEqual(synced() - before, syncs, `${contract.contract} ${round}: ${call}`)
            }
          }
        }
      })
  )

  it.scopedLive.skipIf(reason !== undefined)(
    "T8 a transaction is synced if one of its actors asks for it, and once",
    () =>
      Effect.gen(function*() {
        const filename = `${yield* Directory.temporary}/store.db`
        const log = yield* SyncLog.make
        const transactions = ["commit", "fsync", "commit", "commit,fsync,commit", "commit,commit", "fsync,fsync"]
        const program = yield* Program.start("sync-commits", [filename, ...transactions], { env: log.env })
        yield* program.said("done")
        assert.deepStrictEqual(program.lines, [
          "commit: 0, committed",
          "fsync: 1, committed",
          "commit: 0, committed",
          "commit,fsync,commit: 1, committed,committed,committed",
          "commit,commit: 0, committed,committed",
          "fsync,fsync: 1, committed,committed",
          "done"
        ])
      })
  )
})
