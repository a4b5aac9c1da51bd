/** Opens a store, commits one actor, says so, and waits to be killed. Says why if it cannot. */
import * as Address from "@troupe/contract/Address"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorStore from "@troupe/server/ActorStore"
import * as Effect from "effect/Effect"

const address = Address.make("Lab", "alice")

const program = Effect.gen(function*() {
  const store = yield* ActorStore.ActorStore
  const { epoch, version } = yield* store.claim(address)
  const state = `"${process.pid}"`
  yield* store.commit([{ address, epoch, version, state, replies: [], settledSegments: [], fsync: false }])
  console.log("open")
  yield* Effect.never
})

await Effect.runPromise(program.pipe(
  Effect.provide(SqliteStore.layer({ filename: process.argv[2]! })),
  Effect.catchAll((error) => Effect.sync(() => console.log(error.message)))
))
