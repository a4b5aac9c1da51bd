/** A store whose files are deleted, moved or replaced while it is open, for real: it does not say that it stores anything. */
import { assert, it } from "@effect/vitest"
import { Address } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import Database from "libsql"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Directory from "./utils/Directory.ts"
import * as OtherProgram from "./utils/OtherProgram.ts"

const alice = Address.make("Lab", "alice")

/** A store that can be closed. */
const open = (filename: string) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const context = yield* Layer.buildWithScope(SqliteStore.layer({ filename }), scope)
    return { close: Scope.close(scope, Exit.void), store: Context.get(context, ActorStore.ActorStore) }
  })

const commitOf = ({ epoch, version }: ActorStore.Claim, fsync: boolean): ActorStore.Commit => ({
  address: alice,
  epoch,
  version,
  state: `${version + 1}`,
  replies: [],
  settledSegments: [],
  fsync
})

const integrity = (filename: string) => {
  const db = new Database(filename)
  const [row] = db.prepare("PRAGMA integrity_check").all()
  db.close()
  return row
}

/** What there is in a directory. To read the files would drop the locks that stores of this process have on them. */
const files = (directory: string) =>
  Fs.readdirSync(directory).map((name) => {
    const { ino, mtimeMs, size } = Fs.statSync(`${directory}/${name}`)
    return { name, ino, mtimeMs, size }
  })

/** What happens to the files of a store, which of them is missed, and the version that is found in its place afterwards. */
const events: ReadonlyArray<{
  readonly what: string
  readonly happens: (filename: string) => Effect.Effect<unknown, never, Scope.Scope>
  readonly missed: RegExp
  readonly left: ReadonlyArray<number>
}> = [
  {
    what: "this process has read its file, so that the next program which reads it deletes the log",
    happens: (filename) =>
      Effect.zipRight(
        Effect.sync(() => Fs.readFileSync(filename)),
        OtherProgram.sql(filename, "SELECT * FROM actor")
      ),
    missed: /store\.db-wal was deleted/,
    // what was not answered may be there
    left: [1, 2]
  },
  {
    what: "the log is deleted",
    happens: (filename) => Effect.sync(() => Fs.unlinkSync(`${filename}-wal`)),
    missed: /store\.db-wal was deleted/,
    left: [1, 2]
  },
  {
    what: "another program has the file, with a log of its own",
    happens: (filename) =>
      Effect.sync(() => Fs.readFileSync(filename)).pipe(
        Effect.zipRight(OtherProgram.sql(filename, "SELECT * FROM actor")),
        Effect.zipRight(
          OtherProgram.holding(filename, "UPDATE actor SET version = 7; PRAGMA wal_checkpoint(TRUNCATE)")
        )
      ),
    missed: /store\.db-wal was deleted, moved or replaced/,
    left: [7]
  },
  {
    what: "all files are deleted",
    happens: (filename) =>
      Effect.sync(() => {
        for (const name of Fs.readdirSync(Path.dirname(filename))) Fs.unlinkSync(`${Path.dirname(filename)}/${name}`)
      }),
    missed: /store\.db was deleted/,
    left: [0]
  },
  {
    what: "the file is replaced",
    happens: (filename) =>
      Effect.gen(function*() {
        const copy = `${Path.dirname(filename)}/copy.db`
        yield* OtherProgram.sql(filename, `VACUUM INTO '${copy}'`)
        yield* OtherProgram.sql(copy, "UPDATE actor SET version = 7")
        Fs.renameSync(copy, filename)
      }),
    missed: /store\.db was deleted, moved or replaced/,
    left: [7]
  }
]

for (const { happens, left, missed, what } of events) {
  for (const fsync of [false, true]) {
    it.scopedLive(`real files: nothing is answered as committed when ${what}${fsync ? ", with fsync" : ""}`, () =>
      Effect.gen(function*() {
        const filename = `${yield* Directory.temporary}/store.db`
        const { close, store } = yield* open(filename)
        const claim = yield* store.claim(alice)
        assert.deepStrictEqual(yield* store.commit([commitOf(claim, fsync)]), [{ _tag: "committed" }])
        const others = yield* Scope.make()
        yield* Scope.extend(happens(filename), others)
        // without fsync it looks now and then
        if (!fsync) yield* Effect.sleep("60 millis")
        for (const asked of [store.commit([commitOf({ ...claim, version: 1 }, fsync)]), store.claim(alice)]) {
          const error = yield* Effect.flip(asked as Effect.Effect<unknown, ActorStore.StoreError>)
          assert.instanceOf(error, ActorStore.StoreError)
          assert.match(error.message, missed)
        }
        yield* close
        yield* Scope.close(others, Exit.void)
        const next = yield* open(filename)
        assert.include(left, (yield* next.store.claim(alice)).version)
        yield* next.close
        assert.deepStrictEqual(integrity(filename), { integrity_check: "ok" })
      }))
  }
}

it.scopedLive("real files: a store that was moved goes on to say so, and the one that has its name now is left alone", () =>
  Effect.gen(function*() {
    const directory = yield* Directory.temporary
    Fs.mkdirSync(`${directory}/data`)
    const filename = `${directory}/data/store.db`
    const moved = yield* open(filename)
    const claim = yield* moved.store.claim(alice)
    yield* moved.store.commit([commitOf(claim, false)])
    Fs.renameSync(`${directory}/data`, `${directory}/old`)
    yield* Effect.sleep("60 millis")
    assert.match((yield* Effect.flip(moved.store.nextEpoch)).message, /store\.db was deleted, moved or replaced/)
    Fs.mkdirSync(`${directory}/data`)
    const next = yield* open(filename)
    yield* next.store.commit([commitOf(yield* next.store.claim(alice), false)])
    const before = files(`${directory}/data`)
    yield* moved.close
    assert.deepStrictEqual(files(`${directory}/data`), before)
    const again = yield* next.store.claim(alice)
    assert.strictEqual(again.version, 1)
    assert.deepStrictEqual(yield* next.store.commit([commitOf(again, false)]), [{ _tag: "committed" }])
    yield* next.close
    // what was moved has what was answered
    assert.strictEqual(
      (yield* Effect.flatMap(open(`${directory}/old/store.db`), ({ store }) => store.claim(alice))).version,
      1
    )
  }))
