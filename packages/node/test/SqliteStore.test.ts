/** The store in a SQLite file: the laws of stores, and what concerns the file. */
import { SqliteStore } from "@troupe/node"
import * as StoreLaws from "@troupe/testing/StoreLaws"
import { Effect } from "effect"
import * as Directory from "./utils/Directory.ts"

StoreLaws.register("SqliteStore.layer", {
  make: Effect.map(Directory.temporary, (directory) => SqliteStore.layer({ filename: `${directory}/store.db` })),
  reopens: true
})
