/**
 * Opens a store and commits actors with the durabilities that each argument names, as one transaction for each argument:
 * `commit,fsync` is two actors. Says after each how often the log of the store has been synced for it, by the file
 * `SYNC_LOG`.
 */
import * as Address from "@troupe/contract/Address"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorStore from "@troupe/server/ActorStore"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"

const [, , filename, ...transactions] = process.argv

const synced = () => readFileSync(process.env.SYNC_LOG!, "utf8").split(`${filename}-wal\n`).length - 1

const commit = (durabilities: string) =>
  Effect.gen(function*() {
    const store = yield* ActorStore.ActorStore
    const batch = yield* Effect.forEach(durabilities.split(","), (durability, i) => {
      const address = Address.make("Lab", `${i}`)
      return Effect.map(store.claim(address), ({ epoch, version }): ActorStore.Commit => ({
        address,
        epoch,
        version,
        state: "1",
        replies: [],
        settledSegments: [],
        fsync: durability === "fsync"
      }))
    })
    const before = synced()
    const results = yield* store.commit(batch)
    // counted at once: what is synced later was not synced before the answer
    console.log(`${durabilities}: ${synced() - before}, ${results.map(({ _tag }) => _tag).join()}`)
  })

await Effect.runPromise(
  Effect.zipRight(
    Effect.forEach(transactions, commit, { discard: true }),
    Effect.sync(() => console.log("done"))
  ).pipe(Effect.provide(SqliteStore.layer({ filename: filename! })))
)
