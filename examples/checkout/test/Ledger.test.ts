/** The books of the bank, which a crash may end in the middle of a line. */
import { FileSystem } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Ledger from "../src/bank/Ledger.ts"

const payment = { cents: 250, card: "full" }

it.scopedLive("what a crash has cut off was not asked for; what stands before it was, and what follows is kept", () =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const filename = `${yield* fs.makeTempDirectoryScoped()}/ledger`
    const live = <A>(use: (ledger: typeof Ledger.Ledger.Service) => Effect.Effect<A>) =>
      Effect.provide(Effect.flatMap(Ledger.Ledger, use), Ledger.layer(filename))
    yield* live(({ charge }) => charge("one", payment))
    const first = yield* live(({ entries }) => entries)
    const text = yield* fs.readFileString(filename)
    for (let length = 1; length < text.length; length++) {
      yield* fs.writeFileString(filename, text + text.slice(0, length))
      assert.deepStrictEqual(yield* live(({ entries }) => entries), first)
      yield* live(({ charge }) => charge("two", payment))
      assert.deepStrictEqual((yield* live(({ entries }) => entries)).map(({ key }) => key), ["one", "two"])
    }
  }).pipe(Effect.provide(NodeFileSystem.layer)))
