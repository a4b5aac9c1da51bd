/** Odd options and names of the SQLite store: links, undefined, and the character NUL. */
import { assert, it } from "@effect/vitest"
import { Address } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Cause, Context, Effect, Exit, Layer, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Directory from "./utils/Directory.ts"

const openIn = (scope: Scope.Scope, options: SqliteStore.Options) =>
  Effect.map(Layer.buildWithScope(SqliteStore.layer(options), scope), Context.get(ActorStore.ActorStore))

const commitOf = (
  address: Address.Address,
  claim: ActorStore.Claim,
  alarms: ReadonlyArray<ActorStore.AlarmChange>
): ActorStore.Commit => ({
  address,
  epoch: claim.epoch,
  version: claim.version,
  state: "\"state\"",
  replies: [],
  settledSegments: [],
  fsync: false,
  alarms
})

it.scopedLive("options that are there, and undefined", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const options = {
      filename,
      retention: undefined,
      retriesMax: undefined,
      retryDelay: undefined,
      sweepInterval: undefined
    }
    const exit = yield* Effect.exit(openIn(yield* Effect.scope, options as never))
    assert.isTrue(Exit.isSuccess(exit), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
  }))

it.scopedLive("a link to a file that is not there yet is no second name of it", () =>
  Effect.gen(function*() {
    const directory = yield* Directory.temporary
    Fs.symlinkSync(`${directory}/store.db`, `${directory}/link.db`)
    const scope = yield* Effect.scope
    yield* Effect.asVoid(openIn(scope, { filename: `${directory}/link.db` }))
    const second = yield* Effect.exit(openIn(scope, { filename: `${directory}/store.db` }))
    assert.isTrue(Exit.isFailure(second), "two stores have the same file")
  }))

for (const key of ["a\u0000b", "\u0000", "\ufeff", "a".repeat(5000), "/", "%00", "\uffff"]) {
  it.scopedLive(`alarms of the key, the id and the tag ${JSON.stringify(key.slice(0, 20))}`, () =>
    Effect.gen(function*() {
      const filename = `${yield* Directory.temporary}/store.db`
      const store = yield* openIn(yield* Effect.scope, { filename })
      const address = Address.make("La\u0000b", key)
      const claim = yield* store.claim(address)
      const alarm = {
        id: key,
        due: Number.MAX_SAFE_INTEGER,
        tag: key,
        payload: JSON.stringify(key),
        attempt: 0,
        firing: "1.1"
      }
      yield* store.commit([commitOf(address, claim, [{ id: key, alarm }])])
      assert.deepStrictEqual(yield* store.alarms({ contract: "La\u0000b", after: undefined, max: 10 }), [{
        due: Number.MAX_SAFE_INTEGER,
        key
      }])
      assert.deepStrictEqual((yield* store.claim(address)).alarms, [alarm])
    }))
}
