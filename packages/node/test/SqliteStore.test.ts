/** The store in a SQLite file: the laws of stores, and what concerns the file. */
import { assert, describe, it } from "@effect/vitest"
import { Address } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import * as StoreLaws from "@troupe/testing/StoreLaws"
import { Context, Duration, Effect, Exit, Fiber, Layer, Option, Scope, TestClock } from "effect"
import Database from "libsql"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import type { Worker } from "node:worker_threads"
import * as Directory from "./utils/Directory.ts"
import * as Program from "./utils/Program.ts"

const file = Effect.map(Directory.temporary, (directory) => `${directory}/store.db`)

StoreLaws.register("SqliteStore.layer", {
  make: Effect.map(file, (filename) => SqliteStore.layer({ filename })),
  reopens: true,
  expiring: Effect.map(file, (filename) => SqliteStore.layer({ filename, retention: "100 millis" }))
})

const alice = Address.make("Lab", "alice")
const bob = Address.make("Lab", "bob")

const commitOf = (claim: ActorStore.Claim, rest: Partial<ActorStore.Commit> = {}): ActorStore.Commit => ({
  address: alice,
  epoch: claim.epoch,
  version: claim.version,
  state: "\"state\"",
  replies: [],
  settledSegments: [],
  fsync: false,
  ...rest
})

const openIn = (scope: Scope.Scope, filename: string, options: Omit<SqliteStore.Options, "filename"> = {}) =>
  Effect.map(
    Layer.buildWithScope(SqliteStore.layer({ filename, ...options }), scope),
    Context.get(ActorStore.ActorStore)
  )

/** Opens a store until the test ends. */
const open = (filename: string) => Effect.flatMap(Effect.scope, (scope) => openIn(scope, filename))

/** Opens a store, uses it, and closes it. */
const using = <A, E>(
  filename: string,
  use: (store: typeof ActorStore.ActorStore.Service) => Effect.Effect<A, E>,
  options?: Omit<SqliteStore.Options, "filename">
) => Effect.scoped(Effect.flatMap(Effect.scope, (scope) => Effect.flatMap(openIn(scope, filename, options), use)))

/** Creates a store with one actor. */
const filled = Effect.tap(
  file,
  (filename) =>
    using(
      filename,
      (store) =>
        Effect.flatMap(store.claim(alice), (claim) =>
          store.commit([commitOf(claim, { replies: [{ session: "s", call: 1, exit: "{}" }] })]))
    )
)

/** Why a store cannot be opened. */
const refusal = (filename: string) =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(using(filename, () => Effect.void))
    assert.instanceOf(error, SqliteStore.SqliteOpenError)
    assert.include(error.message, filename)
    return (error as SqliteStore.SqliteOpenError).reason
  })

/** Expects that a file is refused for a reason, and that neither it nor its directory has changed. */
const refusedUnchanged = (filename: string, reason: RegExp) =>
  Effect.gen(function*() {
    const entries = Fs.readdirSync(Path.dirname(filename))
    const bytes = Fs.readFileSync(filename)
    assert.match(yield* refusal(filename), reason)
    assert.isTrue(Fs.readFileSync(filename).equals(bytes), "the file has changed")
    assert.deepStrictEqual(Fs.readdirSync(Path.dirname(filename)), entries)
  })

/** How many rows a table has, as another program sees it. */
const rows = (filename: string, table: string): number => {
  const db = new Database(filename)
  const { count } = db.prepare(`SELECT count(*) AS count FROM ${table}`).get() as { readonly count: number }
  db.close()
  return count
}

/** How many actors a file has, read beside the store. */
const countActors = (filename: string) =>
  Effect.sync(() => {
    const db = new Database(filename, { readonly: true })
    const [row] = db.prepare("SELECT count(*) AS count FROM actor").all() as [{ readonly count: number }]
    db.close()
    return row.count
  })

/** What another program does with a database. */
const sql = (filename: string, text: string) =>
  Effect.sync(() => {
    const db = new Database(filename)
    db.exec(text)
    db.close()
  })

/** What the first release of the store wrote: a file of version 1 with one actor. */
const version1 = `
  CREATE TABLE epoch(reserved INTEGER NOT NULL);
  INSERT INTO epoch VALUES(1024);
  CREATE TABLE actor(name TEXT NOT NULL, key TEXT NOT NULL, incarnation INTEGER NOT NULL, epoch INTEGER NOT NULL,
    version INTEGER NOT NULL, state TEXT, PRIMARY KEY(name, key)) WITHOUT ROWID;
  CREATE TABLE reply(name TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY(name, key, seq));
  INSERT INTO actor VALUES('Lab', 'alice', 0, 17, 3, '"kept"');
  INSERT INTO reply VALUES('Lab', 'alice', 3, 0, '[["s",1,"{}"]]');
  PRAGMA application_id = ${0x54727065};
  PRAGMA user_version = 1`

/** What the third version of the tables had, with a row of each kind. */
const version3 = `
  CREATE TABLE epoch(reserved INTEGER NOT NULL);
  INSERT INTO epoch VALUES(1024);
  CREATE TABLE actor(name TEXT NOT NULL, key TEXT NOT NULL, incarnation INTEGER NOT NULL, epoch INTEGER NOT NULL,
    version INTEGER NOT NULL, state TEXT, destroyed INTEGER, reply_seq INTEGER, reply_at INTEGER, reply_body TEXT,
    PRIMARY KEY(name, key)) WITHOUT ROWID;
  CREATE TABLE alarm(name TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, due INTEGER, tag TEXT NOT NULL, payload TEXT,
    attempt INTEGER NOT NULL, firing TEXT NOT NULL, PRIMARY KEY(name, key, id)) WITHOUT ROWID;
  CREATE INDEX alarm_due ON alarm(name, due, key) WHERE due IS NOT NULL;
  CREATE INDEX actor_destroyed ON actor(destroyed) WHERE destroyed IS NOT NULL;
  CREATE INDEX actor_reply_at ON actor(reply_at) WHERE reply_at IS NOT NULL;
  CREATE TABLE reply(name TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY(name, key, seq)) WITHOUT ROWID;
  CREATE INDEX reply_at ON reply(at);
  CREATE VIEW segment AS SELECT name, key, seq, at, body FROM reply
    UNION ALL SELECT name, key, reply_seq, reply_at, reply_body FROM actor WHERE reply_seq IS NOT NULL;
  INSERT INTO actor VALUES('Lab', 'alice', 2, 17, 4, '"kept"', NULL, 4, 40, '[["s",2,"{}"]]');
  INSERT INTO actor VALUES('Lab', 'bob', 5, 18, 7, NULL, 30, NULL, NULL, NULL);
  INSERT INTO reply VALUES('Lab', 'alice', 3, 30, '[["s",1,"{}"]]');
  INSERT INTO alarm VALUES('Lab', 'alice', 'a', 9, 'Ring', '{"loud":true}', 1, '17.1');
  INSERT INTO alarm VALUES('Lab', 'alice', 'b', NULL, 'Ring', NULL, 11, '17.2');
  PRAGMA application_id = ${0x54727065};
  PRAGMA user_version = 3`

it.scoped("no table of it is WITHOUT ROWID: a key that is looked up beside long rows would cost as much as they are long", () =>
  Effect.gen(function*() {
    const filename = yield* file
    yield* sql(filename, version1)
    yield* using(filename, (store) => store.claim(alice))
    const db = new Database(filename)
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'")
      .all()
    db.close()
    assert.deepStrictEqual(tables, [])
  }))

describe("a file of an earlier release", () => {
  it.scoped("of the third version is brought up to date, with a row of each kind", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* sql(filename, version3)
      for (const _ of [1, 2]) {
        yield* using(filename, (store) =>
          Effect.gen(function*() {
            const claim = yield* store.claim(alice)
            assert.deepInclude(claim, { version: 4, state: "\"kept\"", incarnation: 2 })
            assert.sameDeepMembers([...claim.alarms], [
              { id: "a", due: 9, tag: "Ring", payload: "{\"loud\":true}", attempt: 1, firing: "17.1" },
              { id: "b", due: undefined, tag: "Ring", payload: undefined, attempt: 11, firing: "17.2" }
            ])
            assert.deepStrictEqual(yield* store.replies(alice), [
              { seq: 3, replies: [{ session: "s", call: 1, exit: "{}" }] },
              { seq: 4, replies: [{ session: "s", call: 2, exit: "{}" }] }
            ])
            assert.deepStrictEqual(yield* store.alarms({ contract: "Lab", after: undefined, max: 9 }), [
              { due: 9, key: "alice" }
            ])
            assert.deepInclude(yield* store.claim(bob), { version: 7, state: undefined, incarnation: 5 })
          }))
      }
    }))

  it.scoped("is brought up to date, with everything that is in it", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* sql(filename, version1)
      for (const version of [3, 4]) {
        yield* using(filename, (store) =>
          Effect.gen(function*() {
            const claim = yield* store.claim(alice)
            assert.deepInclude(claim, { version, state: "\"kept\"", incarnation: 0 })
            assert.lengthOf(claim.alarms, version - 3)
            assert.isAbove(claim.epoch, 1024)
            assert.deepStrictEqual(yield* store.replies(alice), [
              { seq: 3, replies: [{ session: "s", call: 1, exit: "{}" }] }
            ])
            const due = { id: "a", due: 1, tag: "Ring", payload: undefined, attempt: 0, firing: "1.1" }
            yield* store.commit([commitOf(claim, { state: undefined, alarms: [{ id: "a", alarm: due }] })])
          }))
      }
    }))
})

describe("actors that were destroyed", () => {
  it.scoped("are remembered for as long as replies are kept, and then leave nothing", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const options = { retention: "1 hour", sweepInterval: "1 minute" } as const
      const store = yield* Effect.flatMap(Effect.scope, (scope) => openIn(scope, filename, options))
      for (const address of [alice, bob]) {
        yield* store.commit([commitOf(yield* store.claim(address), { address, destroy: true })])
      }
      // bob lives again
      const reborn = yield* store.claim(bob)
      yield* store.commit([commitOf(reborn, { address: bob })])
      const rows = countActors(filename)
      yield* TestClock.adjust("59 minutes")
      yield* store.nextEpoch
      assert.strictEqual(yield* rows, 2)
      yield* TestClock.adjust("3 minutes")
      yield* store.nextEpoch
      assert.strictEqual(yield* rows, 1)
      assert.deepInclude(yield* store.claim(bob), { incarnation: 1, state: "\"state\"" })
    }))

  it.scoped("L4 stay when their next life is claimed, and has not been stored yet", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* openIn(yield* Effect.scope, filename, { retention: "1 hour", sweepInterval: "1 minute" })
      yield* store.commit([commitOf(yield* store.claim(alice), { address: alice, destroy: true })])
      for (const incarnation of [1, 2]) {
        yield* TestClock.adjust("59 minutes")
        const claim = yield* store.claim(alice)
        assert.deepInclude(claim, { incarnation, state: undefined })
        yield* TestClock.adjust("30 minutes")
        yield* store.nextEpoch
        const [result] = yield* store.commit([commitOf(claim, { address: alice, destroy: true })])
        assert.deepStrictEqual(result, { _tag: "committed" })
      }
    }))

  it.scoped("L4 their next life can be stored however late it is, and is the next one", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* openIn(yield* Effect.scope, filename, { retention: "1 hour", sweepInterval: "1 minute" })
      const destroy = (claim: ActorStore.Claim) =>
        store.commit([commitOf(claim, { replies: [{ session: "s", call: 1, exit: "{}" }], destroy: true })])
      yield* destroy(yield* store.claim(alice))
      const late = (rest: Partial<ActorStore.Commit>) =>
        Effect.gen(function*() {
          const claim = yield* store.claim(alice)
          for (const time of ["2 hours", "2 minutes"] as const) {
            yield* TestClock.adjust(time)
            yield* store.nextEpoch
          }
          assert.strictEqual(rows(filename, "actor"), 0)
          assert.deepStrictEqual(yield* store.commit([commitOf(claim, rest)]), [{ _tag: "committed" }])
          // once
          assert.deepStrictEqual(yield* store.commit([commitOf(claim, rest)]), [{ _tag: "superseded" }])
          return claim
        })
      assert.deepInclude(yield* late({ destroy: true }), { incarnation: 1 })
      const { version } = yield* late({ replies: [{ session: "s", call: 2, exit: "{}" }] })
      const claim = yield* store.claim(alice)
      assert.deepInclude(claim, { incarnation: 2, state: "\"state\"", version: version + 1 })
      assert.deepStrictEqual(yield* store.replies(alice), [
        { seq: version + 1, replies: [{ session: "s", call: 2, exit: "{}" }] }
      ])
      const next = { ...commitOf(claim), state: "\"next\"" }
      assert.deepStrictEqual(yield* store.commit([next]), [{ _tag: "committed" }])
    }))

  it.scoped("T7 leave nothing, however many they are: one sweep takes all that have expired", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* openIn(yield* Effect.scope, filename, { retention: "1 hour", sweepInterval: "1 day" })
      const destroy = (address: Address.Address) =>
        Effect.flatMap(store.claim(address), (claim) => store.commit([commitOf(claim, { address, destroy: true })]))
      const addresses = Array.from({ length: 2500 }, (_, i) => Address.make("Lab", `${i}`))
      yield* Effect.forEach(addresses, destroy, { concurrency: "unbounded", discard: true })
      const count = () => rows(filename, "actor")
      assert.strictEqual(count(), 2500)
      yield* TestClock.adjust("1 day")
      // the clock stands still, so there is no other sweep
      yield* Effect.repeat(store.nextEpoch, { until: () => count() === 0, times: 1000 })
      assert.strictEqual(count(), 0)
    }))
})

describe("the lock", () => {
  it.scoped("L8 a second store of the same process is refused, whatever it calls the file", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open(filename)
      const link = `${Path.dirname(filename)}/link.db`
      Fs.symlinkSync(filename, link)
      const hard = `${Path.dirname(filename)}/hard.db`
      Fs.linkSync(filename, hard)
      for (const name of [filename, link, hard]) assert.match(yield* refusal(name), /in use by another/)
      // the first is not disturbed
      const claim = yield* store.claim(alice)
      assert.deepStrictEqual(yield* store.commit([commitOf(claim)]), [{ _tag: "committed" }])
    }))

  it.scoped("closing a store releases the file, and leaves nothing beside it", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(filename)), ["store.db"])
      const copy = `${Path.dirname(filename)}/copy.db`
      Fs.copyFileSync(filename, copy)
      const { state } = yield* using(copy, (store) => store.claim(alice))
      assert.strictEqual(state, "\"state\"")
      assert.strictEqual((yield* using(filename, (store) => store.claim(alice))).version, 1)
    }))

  it.scoped("a store that could not be opened holds nothing", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      yield* sql(filename, "PRAGMA user_version = 99")
      yield* refusal(filename)
      yield* sql(filename, "PRAGMA user_version = 3")
      assert.strictEqual((yield* using(filename, (store) => store.claim(alice))).version, 1)
    }))

  it.scoped("L8 a store whose files were deleted leaves the lock of the next one alone when it closes", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      const directory = Path.dirname(filename)
      const scope = yield* Scope.make()
      yield* openIn(scope, filename)
      for (const name of Fs.readdirSync(directory)) Fs.unlinkSync(`${directory}/${name}`)
      const next = yield* open(filename)
      yield* Scope.close(scope, Exit.void)
      assert.include(Fs.readdirSync(directory), "store.db-lock")
      assert.match(yield* refusal(filename), /in use by another/)
      assert.deepStrictEqual(yield* next.commit([commitOf(yield* next.claim(alice))]), [{ _tag: "committed" }])
    }))

  it.scopedLive(
    "L8 two processes: the second is refused while the first lives, and opens after its SIGKILL",
    () =>
      Effect.gen(function*() {
        const filename = yield* file
        const first = yield* Program.start("keep-store", [filename])
        yield* first.said("open")
        assert.match(yield* refusal(filename), /in use by another process/)
        const second = yield* Program.start("keep-store", [filename])
        yield* second.ended
        assert.include(second.lines[0], `the store ${filename} cannot be opened: it is in use`)
        yield* first.kill("SIGKILL")
        assert.strictEqual(yield* first.ended, "SIGKILL")
        const third = yield* Program.start("keep-store", [filename])
        yield* third.said("open")
        yield* third.kill("SIGKILL")
        yield* third.ended
        assert.strictEqual((yield* using(filename, (store) => store.claim(alice))).version, 2)
      }),
    300_000
  )
})

describe("a file that cannot be opened", () => {
  it.scoped("is in a directory that does not exist", () =>
    Effect.gen(function*() {
      const directory = yield* Directory.temporary
      assert.strictEqual(yield* refusal(`${directory}/no/store.db`), `its directory ${directory}/no does not exist`)
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }))

  it.scoped("is a directory", () =>
    Effect.gen(function*() {
      const directory = yield* Directory.temporary
      assert.strictEqual(yield* refusal(directory), "it is a directory")
    }))

  it.scopedLive("is a socket", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Effect.acquireRelease(
        Effect.async<Net.Server>((resume) => {
          const server = Net.createServer()
          server.listen(filename, () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      assert.strictEqual(yield* refusal(filename), "it is no ordinary file")
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(filename)), ["store.db"])
    }))

  it.scoped("has a lock file that somebody has written to, which is named", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      for (const content of ["x".repeat(2000), Buffer.from(Fs.readFileSync(filename)).fill(0xa5, 100, 4096)]) {
        Fs.writeFileSync(`${filename}-lock`, content)
        yield* refusedUnchanged(filename, /^something has written to its lock file store\.db-lock: delete that/)
      }
      Fs.unlinkSync(`${filename}-lock`)
      assert.strictEqual((yield* using(filename, (store) => store.claim(alice))).version, 1)
    }))

  it.scoped("is missing or empty beside a log that is not", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      const reason = /^it is missing or empty, and its log store\.db-wal is not: put the file back, or delete the log/
      const bytes = Fs.readFileSync(filename)
      Fs.writeFileSync(`${filename}-wal`, "all that was stored")
      Fs.writeFileSync(filename, "")
      yield* refusedUnchanged(filename, reason)
      Fs.unlinkSync(filename)
      assert.match(yield* refusal(filename), reason)
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(filename)), ["store.db-wal"])
      assert.strictEqual(Fs.readFileSync(`${filename}-wal`, "utf8"), "all that was stored")
      // SQLite does not believe this log, and a file that is put back is opened
      Fs.writeFileSync(filename, bytes)
      assert.strictEqual((yield* using(filename, (store) => store.claim(alice))).version, 1)
    }))

  it.effect("is no file at all", () =>
    Effect.gen(function*() {
      assert.match(yield* refusal(""), /no file/)
      assert.match(yield* refusal(":memory:"), /no file.*layerMemory/)
    }))

  it.scoped("may not be written", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      const bytes = Fs.readFileSync(filename)
      yield* Effect.acquireRelease(
        Effect.sync(() => Fs.chmodSync(filename, 0o444)),
        () => Effect.sync(() => Fs.chmodSync(filename, 0o644))
      )
      // root may write every file, but not in there
      const readonly = process.getuid?.() === 0 ? "/proc/store.db" : filename
      assert.match(yield* refusal(readonly), /^it cannot be written/)
      assert.isTrue(Fs.readFileSync(filename).equals(bytes))
    }))

  it.scoped("is not a database", () =>
    Effect.gen(function*() {
      const filename = yield* file
      for (const content of ["x", "hello ".repeat(5000), "{}\n", "\u0000".repeat(8192)]) {
        Fs.writeFileSync(filename, content)
        yield* refusedUnchanged(filename, /it is not a SQLite database/)
      }
    }))

  it.scoped("is a database of something else", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* sql(filename, "CREATE TABLE actor(name TEXT); INSERT INTO actor VALUES('Sean Connery')")
      yield* refusedUnchanged(filename, /it is a database of something else/)
      yield* sql(filename, "PRAGMA journal_mode = WAL; PRAGMA user_version = 1")
      yield* refusedUnchanged(filename, /it is a database of something else/)
    }))

  it.scoped("was written by a newer release", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      yield* sql(filename, "PRAGMA user_version = 99")
      yield* refusedUnchanged(filename, /it has version 99, and this release .* knows 4 at most/)
    }))

  it.scoped("is damaged", () =>
    Effect.gen(function*() {
      const filename = yield* filled
      const bytes = Fs.readFileSync(filename)
      const damaged = (from: number, to: number) => Buffer.from(bytes).fill(0xa5, from, to)
      for (
        const [content, reason] of [
          [damaged(0, 16), /not a SQLite database/],
          [damaged(16, 32), /not a SQLite database/],
          [damaged(100, 200), /damaged/],
          [damaged(100, 4096), /damaged/],
          [bytes.subarray(0, 5000), /damaged/],
          [bytes.subarray(0, 4096), /damaged/]
        ] as const
      ) {
        Fs.writeFileSync(filename, content)
        yield* refusedUnchanged(filename, reason)
      }
    }))
})

describe("damage in the middle of the file", () => {
  const large = JSON.stringify("x".repeat(100_000))

  /** A store with commits of bob, one of them large, of which the links between its pages are damaged. */
  const damaged = (...commits: ReadonlyArray<Partial<ActorStore.Commit>>) =>
    Effect.tap(filled, (filename) =>
      Effect.gen(function*() {
        const commit = (rest: Partial<ActorStore.Commit>) =>
          using(filename, (store) =>
            Effect.flatMap(store.claim(bob), (claim) =>
              store.commit([commitOf(claim, { address: bob, ...rest })])))
        yield* Effect.forEach(commits, commit)
        const bytes = Fs.readFileSync(filename)
        for (let page = 0; page < bytes.length; page += 4096) {
          if (bytes.toString("latin1", page + 4, page + 8) === "xxxx")
            bytes.fill(0xa5, page, page + 4)
        }
        Fs.writeFileSync(filename, bytes)
      }))

  it.scoped("fails the claim that meets it, and no other of its transaction", () =>
    Effect.gen(function*() {
      const filename = yield* damaged({ state: large })
      const store = yield* open(filename)
      for (let i = 0; i < 2; i++) {
        const [failed, claim] = yield* Effect.all([Effect.flip(store.claim(bob)), store.claim(alice)], {
          concurrency: "unbounded"
        })
        assert.instanceOf(failed, ActorStore.StoreError)
        assert.include(failed.message, filename)
        assert.include(failed.message, "damaged")
        assert.strictEqual(claim.state, "\"state\"")
      }
    }))

  it.scoped("fails the commit that meets it, and no other of its transaction", () =>
    Effect.gen(function*() {
      // replies that the next commit does not settle move out of the actor's row, so that the row is sound
      const replies = [large, "{}"].map((exit, i) => ({ replies: [{ session: "s", call: 1 + i, exit }] }))
      const store = yield* open(yield* damaged(...replies))
      const [his, hers] = [yield* store.claim(bob), yield* store.claim(alice)]
      for (let i = 0; i < 2; i++) {
        const results = yield* store.commit([
          commitOf(his, { address: bob, settledSegments: [1] }),
          commitOf({ ...hers, version: hers.version + i }, { state: "1" })
        ])
        assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["failed", "committed"])
        assert.include(results[0]?._tag === "failed" ? results[0].message : "", "damaged")
      }
      // nothing of it was applied
      assert.strictEqual((yield* store.claim(bob)).version, his.version)
    }))
})

it.scoped("an empty file, and a name with every kind of character, are stores like others", () =>
  Effect.gen(function*() {
    const directory = yield* Directory.temporary
    const names = ["empty.db", "a b?c#d%20é'\"😀.db", "file:x", "libsql:x", "14", "locked malformed"]
    Fs.writeFileSync(`${directory}/empty.db`, "")
    for (const name of names) {
      const claim = yield* using(`${directory}/${name}`, (store) => store.claim(alice))
      assert.strictEqual(claim.version, 0)
    }
    assert.deepStrictEqual(Fs.readdirSync(directory).sort(), [...names].sort())
  }))

it.scopedLive("a file that another program has to itself for a moment is opened when that has passed", () =>
  Effect.gen(function*() {
    const filename = yield* file
    yield* using(filename, (store) => store.claim(alice))
    const other = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(filename)),
      (db) => Effect.sync(() => db.close())
    )
    const read = "BEGIN; SELECT count(*) FROM actor; COMMIT"
    other.exec(`${read}; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT`)
    // it tries for 5 seconds; the other one is done sooner, also on a busy machine
    const opening = yield* Effect.fork(using(filename, (store) => store.claim(alice), { retriesMax: 9 }))
    yield* Effect.sleep("100 millis")
    assert.isTrue(Option.isNone(yield* Fiber.poll(opening)))
    other.exec(`PRAGMA locking_mode = NORMAL; ${read}`)
    assert.strictEqual((yield* opening).version, 0)
  }))

// --- the thread ------------------------------------------------------------------------------------------------------

/** The worker of the next store. */
const nextWorker = Effect.sync(() => {
  const found: { worker: Worker | undefined } = { worker: undefined }
  process.once("worker", (worker) => (found.worker = worker))
  return found
})

it.scopedLive("a thread that dies fails what is pending and what follows, and nothing hangs", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const found = yield* nextWorker
    const store = yield* open(filename)
    const claim = yield* store.claim(alice)
    const large = JSON.stringify("x".repeat(1_000_000))
    const pending = yield* Effect.fork(Effect.forEach(
      Array.from({ length: 20 }, (_, version) => commitOf({ ...claim, version }, { state: large })),
      (commit) => Effect.exit(store.commit([commit])),
      { concurrency: "unbounded" }
    ))
    yield* Effect.yieldNow()
    yield* Effect.promise(() => found.worker!.terminate())
    const exits = yield* pending
    const committed = exits.filter(Exit.isSuccess).length
    assert.isBelow(committed, 20)
    const error = yield* Effect.flip(store.claim(bob))
    assert.instanceOf(error, ActorStore.StoreError)
    assert.match(error.message, /store\.db: its thread has ended with code 1/)
    for (const operation of [store.nextEpoch, store.replies(alice), store.commit([])]) {
      assert.instanceOf(
        yield* Effect.flip(operation as Effect.Effect<unknown, ActorStore.StoreError>),
        ActorStore.StoreError
      )
    }
    // what was answered is there
    const { version } = yield* using(filename, (store) => store.claim(alice))
    assert.isAtLeast(version, committed)
  }).pipe(Effect.timeout(Duration.seconds(10))))

it.scopedLive("closing waits for what has been asked", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const scope = yield* Scope.make()
    const store = yield* openIn(scope, filename)
    const claim = yield* store.claim(alice)
    const fibers = yield* Effect.forEach(
      Array.from({ length: 50 }, (_, version) => commitOf({ ...claim, version })),
      (commit) => Effect.fork(store.commit([commit]))
    )
    yield* Effect.yieldNow()
    yield* Scope.close(scope, Exit.void)
    for (const fiber of fibers) assert.deepStrictEqual(yield* fiber, [{ _tag: "committed" }])
    assert.strictEqual((yield* using(filename, (store) => store.claim(alice))).version, 50)
    assert.instanceOf(yield* Effect.flip(store.claim(alice)), ActorStore.StoreError)
  }))

it.scopedLive("interrupting the opening leaves no lock and no thread behind", () =>
  Effect.gen(function*() {
    const filename = yield* file
    for (let i = 0; i < 5; i++) {
      const opening = yield* Effect.fork(using(filename, () => Effect.never))
      for (let j = 0; j < i; j++) yield* Effect.yieldNow()
      yield* opening.interruptAsFork(opening.id())
      yield* opening.await
    }
    assert.strictEqual((yield* using(filename, (store) => store.claim(alice))).version, 0)
  }))

// --- what grows ------------------------------------------------------------------------------------------------------

it.scopedLive("replies older than the retention are not returned, and reading deletes nothing", () =>
  Effect.gen(function*() {
    const filename = yield* filled
    yield* using(
      filename,
      (store) => Effect.repeat(store.replies(alice), { until: (all) => all.length === 0 }),
      {
        retention: "1 millis"
      }
    )
    assert.strictEqual((yield* using(filename, (store) => store.replies(alice))).length, 1)
  }))

it.scoped("a thread deletes replies that have expired, also of actors that never wake again", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const replies = [{ session: "s", call: 1, exit: "{}" }]
    const store = yield* openIn(yield* Effect.scope, filename, { retention: "1 hour", sweepInterval: "10 minutes" })
    const commit = (address: Address.Address) =>
      Effect.flatMap(store.claim(address), (claim) =>
        // the second does not settle what the first has recorded
        store.commit([0, 1].map((version) => commitOf({ ...claim, version }, { address, replies }))))
    const addresses = Array.from({ length: 2500 }, (_, i) => Address.make("Lab", `${i}`))
    yield* Effect.forEach(addresses, commit, { concurrency: "unbounded", discard: true })
    yield* TestClock.adjust("30 minutes")
    yield* commit(alice)
    const count = () => rows(filename, "segment")
    // the thread works beside the clock, so the clock goes on while we wait
    const swept = (left: number) =>
      Effect.repeat(Effect.zipRight(TestClock.adjust("10 seconds"), store.nextEpoch), { until: () => count() === left })
    assert.strictEqual(count(), 5002)
    yield* TestClock.adjust("31 minutes")
    yield* swept(2)
    assert.strictEqual((yield* store.replies(alice)).length, 2)
    yield* TestClock.adjust("31 minutes")
    yield* swept(0)
    assert.strictEqual((yield* store.claim(Address.make("Lab", "1"))).version, 2)
  }))

it.scoped("an actor that was only looked at leaves no row", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const store = yield* open(filename)
    for (let i = 0; i < 100; i++) yield* store.claim(Address.make("Lab", `${i}`))
    yield* store.commit([commitOf(yield* store.claim(alice))])
    assert.strictEqual(rows(filename, "actor"), 1)
  }))

it.scoped(
  "however many others are looked at, who has claimed an actor that was never stored can store it, and only one of them",
  () =>
    Effect.gen(function*() {
      const store = yield* open(yield* file)
      const [hers, stale, his] = [yield* store.claim(alice), yield* store.claim(bob), yield* store.claim(bob)]
      yield* Effect.forEach(
        Array.from({ length: 100_001 }, (_, i) => Address.make("Lab", `${i}`)),
        (address) => store.claim(address),
        { concurrency: 1000, discard: true }
      )
      assert.deepStrictEqual(yield* store.commit([commitOf(hers)]), [{ _tag: "committed" }])
      // once
      assert.deepStrictEqual(yield* store.commit([commitOf(hers)]), [{ _tag: "superseded" }])
      assert.deepStrictEqual(yield* store.commit([commitOf({ ...hers, version: 1 })]), [{ _tag: "committed" }])
      const results = yield* store.commit([his, stale].map((claim) => commitOf(claim, { address: bob })))
      assert.deepStrictEqual(results, [{ _tag: "committed" }, { _tag: "superseded" }])
      // an owner that is remembered keeps out those that were forgotten
      const carol = Address.make("Lab", "0")
      const late = yield* store.claim(carol)
      assert.deepStrictEqual(yield* store.commit([commitOf({ ...late, epoch: hers.epoch }, { address: carol })]), [
        { _tag: "superseded" }
      ])
      assert.deepStrictEqual(yield* store.commit([commitOf(late, { address: carol })]), [{ _tag: "committed" }])
    }),
  60_000
)

it.scoped("the log shrinks again when a program has gone that was reading all the time", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const store = yield* open(filename)
    const claim = yield* store.claim(alice)
    const megabytes = () => Fs.statSync(`${filename}-wal`).size / 1024 / 1024
    let version = 0
    const commit = (times: number) =>
      Effect.repeatN(
        Effect.suspend(() => {
          const state = JSON.stringify(`${version % 10}`.repeat(1024 * 1024))
          return store.commit([commitOf({ ...claim, version: version++ }, { state })])
        }),
        times
      )
    yield* commit(1)
    const other = new Database(filename)
    other.exec("BEGIN")
    other.prepare("SELECT count(*) FROM actor").all()
    yield* commit(80)
    assert.isAbove(megabytes(), 80)
    other.exec("COMMIT")
    other.close()
    yield* commit(20)
    assert.isAtMost(megabytes(), 64)
  }))

// --- other programs, and failures ------------------------------------------------------------------------------------

it.scoped("other programs can read the file while the store is open", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const store = yield* open(filename)
    const claim = yield* store.claim(alice)
    for (let version = 0; version < 3; version++) {
      yield* store.commit([commitOf({ ...claim, version }, { state: `${version}` })])
      const db = new Database(filename)
      assert.deepInclude(db.prepare("SELECT name, key, version, state FROM actor").get(), {
        name: "Lab",
        key: "alice",
        version: version + 1,
        state: `${version}`
      })
      db.close()
    }
  }))

it.scoped("a commit waits a bounded time for another program that writes, and then fails without a trace", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const store = yield* openIn(yield* Effect.scope, filename, { retriesMax: 3, retryDelay: "5 millis" })
    const claim = yield* store.claim(alice)
    const other = new Database(filename)
    other.exec("BEGIN IMMEDIATE")
    const error = yield* Effect.flip(store.commit([commitOf(claim)]))
    assert.instanceOf(error, ActorStore.StoreError)
    assert.match(error.message, /store\.db: it is in use/)
    other.exec("ROLLBACK")
    other.close()
    assert.deepStrictEqual(yield* store.commit([commitOf(claim)]), [{ _tag: "committed" }])
  }))

it.scopedLive("a commit goes through when another program has finished in time", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const store = yield* openIn(yield* Effect.scope, filename, { retriesMax: 10, retryDelay: "5 millis" })
    const claim = yield* store.claim(alice)
    const other = new Database(filename)
    other.exec("BEGIN IMMEDIATE")
    const committing = yield* Effect.fork(store.commit([commitOf(claim)]))
    yield* Effect.sleep("30 millis")
    other.exec("ROLLBACK")
    other.close()
    assert.deepStrictEqual(yield* committing, [{ _tag: "committed" }])
  }))

for (
  const options of [
    { retriesMax: Infinity },
    { retriesMax: Infinity, retryDelay: 0 },
    { retriesMax: Infinity, retryDelay: "100 days" }
  ] as const
) {
  it.scopedLive(
    `a store closes beside another program that has its file: ${JSON.stringify(options)}`,
    () =>
      Effect.gen(function*() {
        const filename = yield* file
        const scope = yield* Scope.make()
        const store = yield* openIn(scope, filename, options)
        const claim = yield* store.claim(alice)
        const other = yield* Effect.acquireRelease(
          Effect.sync(() => new Database(filename)),
          (db) => Effect.sync(() => db.close())
        )
        other.exec("BEGIN IMMEDIATE")
        const committing = yield* Effect.fork(Effect.flip(store.commit([commitOf(claim)])))
        yield* Effect.sleep("100 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(committing)))
        const [time] = yield* Effect.timed(Scope.close(scope, Exit.void))
        assert.isBelow(Duration.toMillis(time), 5000)
        assert.match((yield* committing).message, /it is in use/)
      }),
    20_000
  )
}

it.scopedLive("a long delay is a second, and a number of retries that is none is 0", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const other = () => {
      const db = new Database(filename)
      db.exec("BEGIN IMMEDIATE")
      return Effect.sync(() => {
        db.exec("ROLLBACK")
        db.close()
      })
    }
    yield* using(filename, (store) =>
      Effect.gen(function*() {
        const claim = yield* store.claim(alice)
        const end = other()
        const committing = yield* Effect.fork(store.commit([commitOf(claim)]))
        yield* Effect.sleep("100 millis")
        yield* end
        assert.deepStrictEqual(yield* committing, [{ _tag: "committed" }])
      }), { retryDelay: Duration.infinity })
    yield* using(filename, (store) =>
      Effect.gen(function*() {
        const claim = yield* store.claim(alice)
        const end = other()
        assert.match((yield* Effect.flip(store.commit([commitOf(claim)]))).message, /it is in use/)
        yield* end
      }), { retriesMax: NaN })
  }), 20_000)

it.scoped("what one actor fails at is undone, and the others of its transaction stand", () =>
  Effect.gen(function*() {
    const filename = yield* filled
    yield* sql(
      filename,
      `CREATE TRIGGER refuse BEFORE INSERT ON actor WHEN NEW.key = 'bob' AND NEW.reply_body IS NOT NULL
       BEGIN SELECT RAISE(ABORT, 'not bob'); END`
    )
    const store = yield* open(filename)
    const replies = [{ session: "s", call: 2, exit: "{}" }]
    const claims = yield* Effect.forEach([alice, bob], (address) => store.claim(address))
    for (let i = 0; i < 2; i++) {
      const [hers, his] = yield* store.commit([
        commitOf({ ...claims[0]!, version: 1 + i }, { state: `${i}` }),
        commitOf(claims[1]!, { address: bob, state: "\"his\"", replies })
      ])
      assert.deepStrictEqual(hers, { _tag: "committed" })
      assert.deepStrictEqual(his, { _tag: "failed", message: "not bob" })
    }
    // he still owns it
    assert.deepStrictEqual(yield* store.commit([commitOf(claims[1]!, { address: bob })]), [{ _tag: "committed" }])
    assert.deepInclude(yield* store.claim(alice), { version: 3, state: "1" })
  }))

it.scoped("keys that SQLite could not tell apart are refused", () =>
  Effect.gen(function*() {
    const store = yield* open(yield* file)
    for (const key of ["\ud800", "a\udfff"]) {
      const error = yield* Effect.flip(store.claim(Address.make("Lab", key)))
      assert.match(error.message, /not well-formed/)
    }
  }))
