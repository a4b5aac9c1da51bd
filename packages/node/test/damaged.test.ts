/** A server process whose store file is damaged does not start, says why, and leaves the file as it is. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"

/** A page of SQLite; the first one tells of the tables. */
const pageBytes = 4096

/** What happens to files, and what is said of them. */
const damages: Record<string, { readonly of: (bytes: Buffer) => Buffer; readonly why: RegExp }> = {
  "its first bytes are gone": { of: (bytes) => Buffer.from(bytes).fill(0, 0, 16), why: /it is not a SQLite database/ },
  "its first page is noise": {
    of: (bytes) => Buffer.from(bytes).fill(0xa5, 100, pageBytes),
    why: /the database is damaged, restore it from a backup/
  },
  "it was copied by halves": {
    of: (bytes) => bytes.subarray(0, pageBytes + 100),
    why: /the database is damaged, restore it from a backup/
  }
}

it.scopedLive(
  "a server process on a damaged file ends with an error that names it, and overwrites nothing",
  () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const directory = yield* Directory.temporary
      const filename = `${directory}/store.db`
      const start = Program.start("serve-work", [`${port}`, filename, "1000", "1000", "free"])
      const entries = Effect.scoped(Effect.flatMap(LogServer.connect(port), ({ rpc }) => rpc.Entries()))

      const first = yield* start
      yield* first.said("open")
      yield* Effect.scoped(Effect.flatMap(LogServer.connect(port), ({ rpc }) => rpc.Append({ entry: "kept" })))
      yield* first.kill("SIGTERM")
      assert.strictEqual(yield* first.ended, 0)
      const bytes = Fs.readFileSync(filename)
      const left = Fs.readdirSync(directory)

      for (const [what, { of, why }] of Object.entries(damages)) {
        const damaged = of(bytes)
        Fs.writeFileSync(filename, damaged)
        // nobody who starts it again makes it worse
        for (const _ of [1, 2]) {
          const server = yield* start
          assert.strictEqual(yield* server.endedIn("30 seconds"), 1, what)
          const said = server.lines.join("\n") + server.errors()
          assert.include(said, `the store ${filename} cannot be opened`)
          assert.match(said, why)
          assert.notInclude(server.lines, "open")
          assert.isTrue(Fs.readFileSync(filename).equals(damaged), what)
          assert.deepStrictEqual(Fs.readdirSync(directory), left)
        }
      }

      // the backup
      Fs.writeFileSync(filename, bytes)
      yield* Effect.flatMap(start, ({ said }) => said("open"))
      assert.deepStrictEqual(yield* entries, ["kept"])
    }),
  300_000
)
