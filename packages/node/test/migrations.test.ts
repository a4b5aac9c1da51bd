/** A file of an earlier release that cannot be brought up to date at once, because the disk is full for a moment. */
import { assert, it } from "@effect/vitest"
import { SqliteStore } from "@troupe/node"
import { Effect } from "effect"
import Database from "libsql"
import { fileURLToPath } from "node:url"
import * as Directory from "./utils/Directory.ts"
import * as Program from "./utils/Program.ts"

/** What the first release has written, with many answers. */
const version1 = `
  CREATE TABLE epoch(reserved INTEGER NOT NULL);
  INSERT INTO epoch VALUES(1024);
  CREATE TABLE actor(name TEXT NOT NULL, key TEXT NOT NULL, incarnation INTEGER NOT NULL, epoch INTEGER NOT NULL,
    version INTEGER NOT NULL, state TEXT, PRIMARY KEY(name, key)) WITHOUT ROWID;
  CREATE TABLE reply(name TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY(name, key, seq));
  WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 1000)
    INSERT INTO reply SELECT 'Lab', 'alice', seq, 0, hex(zeroblob(500)) FROM n;
  PRAGMA application_id = ${0x54727065};
  PRAGMA user_version = 1`

/** Opens a file in a process in which there is no room for its tables so many times, and returns what it says. */
const open = (filename: string, times: number) =>
  Effect.gen(function*() {
    const env = {
      NODE_OPTIONS: `--require ${fileURLToPath(new URL("utils/full.cjs", import.meta.url))}`,
      FULL: `${times}`
    }
    const program = yield* Program.start("keep-store", [filename], { env })
    yield* program.speaks
    yield* program.kill("SIGKILL")
    yield* program.ended
    return program.lines[0]
  })

const { retriesMax } = SqliteStore.defaults

for (const times of [1, 2, retriesMax + 1]) {
  it.scopedLive(`a file is brought up to date when its disk has been full ${times} times meanwhile, and nothing is lost`, () =>
    Effect.gen(function*() {
      const filename = `${yield* Directory.temporary}/store.db`
      const db = new Database(filename)
      db.exec(version1)
      db.close()
      if (times > retriesMax) assert.match((yield* open(filename, times)) ?? "", /database or disk is full/)
      assert.strictEqual(yield* open(filename, times % (retriesMax + 1)), "open")
      const after = yield* Effect.acquireRelease(
        Effect.sync(() => new Database(filename, { readonly: true })),
        (db) => Effect.sync(() => db.close())
      )
      assert.deepStrictEqual(after.prepare("SELECT count(*) AS count FROM segment").all(), [{ count: 1000 }])
    }))
}
