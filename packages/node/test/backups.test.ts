/** Backups of a store, as the documentation says they are made and put back: real files, and programs of others. */
import { assert, it } from "@effect/vitest"
import { Address } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Context, Effect, Fiber, Layer, Ref } from "effect"
import * as Fs from "node:fs"
import * as Directory from "./utils/Directory.ts"
import * as OtherProgram from "./utils/OtherProgram.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"

const alice = Address.make("Lab", "alice")

const open = (filename: string) =>
  Effect.map(Layer.build(SqliteStore.layer({ filename })), Context.get(ActorStore.ActorStore))

/** The version of the actor that a file has. */
const versionIn = (filename: string) =>
  Effect.scoped(Effect.flatMap(open(filename), (store) => Effect.map(store.claim(alice), ({ version }) => version)))

it.scopedLive("real files: a backup of a store that works is a store, as it was at some moment", () =>
  Effect.gen(function*() {
    const directory = yield* Directory.temporary
    const store = yield* open(`${directory}/store.db`)
    const { epoch } = yield* store.claim(alice)
    const answered = yield* Ref.make(0)
    const commit = Effect.flatMap(Ref.get(answered), (version) =>
      store.commit([{
        address: alice,
        epoch,
        version,
        state: JSON.stringify("x".repeat(10_000)),
        replies: [],
        settledSegments: [],
        fsync: false
      }])).pipe(
        Effect.tap((results) => Effect.sync(() => assert.deepStrictEqual(results, [{ _tag: "committed" }]))),
        Effect.zipRight(Ref.update(answered, (version) => version + 1))
      )
    yield* Effect.repeatN(commit, 20)
    const working = yield* Effect.fork(Effect.forever(commit))
    for (const name of ["one", "two"]) {
      const before = yield* Ref.get(answered)
      yield* OtherProgram.sql(`${directory}/store.db`, `VACUUM INTO '${directory}/${name}.db'`)
      const after = yield* Ref.get(answered)
      const version = yield* versionIn(`${directory}/${name}.db`)
      assert.isTrue(before <= version && version <= after + 1, `${before} <= ${version} <= ${after + 1}`)
    }
    const last = yield* Ref.get(answered)
    yield* until(() => Effect.runSync(Ref.get(answered)) > last + 10, "it goes on")
    yield* Fiber.interrupt(working)
  }))

it.scopedLive("real processes: a backup that is put back holds, whatever a server that was killed has left", () =>
  Effect.gen(function*() {
    const directory = yield* Directory.temporary
    const filename = `${directory}/store.db`
    const serving = Effect.tap(Program.start("keep-store", [filename]), ({ said }) => said("open"))
    const killed = (server: Program.Program) => Effect.zipRight(server.kill("SIGKILL"), server.ended)
    const first = yield* serving
    yield* OtherProgram.sql(filename, `VACUUM INTO '${directory}/backup.db'`)
    yield* killed(first)
    yield* Effect.flatMap(serving, killed)
    assert.isAbove(Fs.statSync(`${filename}-wal`).size, 0)
    for (const suffix of ["-wal", "-shm", "-lock"]) Fs.rmSync(`${filename}${suffix}`)
    Fs.copyFileSync(`${directory}/backup.db`, filename)
    assert.strictEqual(yield* versionIn(filename), 1)
  }))
