/** A file that the first version of the shop has written, and the version of today. */
import { assert, it } from "@effect/vitest"
import { ConnectionError } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Cause, Effect, Either, Logger } from "effect"
import { copyFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { Cart } from "../src/contract.ts"
import { eventually, folder, openBank, openBrowser, serve } from "./support/World.ts"

/** A copy, which may be written. */
const oldFile = Effect.gen(function*() {
  const filename = `${yield* folder}/shop.db`
  yield* Effect.promise(() => copyFile(fileURLToPath(new URL("fixtures/carts-v1.sqlite", import.meta.url)), filename))
  return filename
})

const address = (key: string) => ({ contract: "Cart", key })

/** What is stored of a cart. Nobody else may have the file open. */
const stored = (filename: string, key: string) =>
  Effect.flatMap(ActorStore.ActorStore, (store) => store.claim(address(key))).pipe(
    Effect.provide(SqliteStore.layer({ filename }))
  )

it.scopedLive("T5 L3 carts of the first version have their content, its alarms fire, and what changes is stored in the new form", () =>
  Effect.gen(function*() {
    const filename = yield* oldFile
    const bank = yield* openBank
    assert.include((yield* stored(filename, "ada")).state, "\"items\":[\"apple\",\"pear\",\"apple\"]")
    const before = yield* stored(filename, "bob")
    const { state: carols } = yield* stored(filename, "carol")

    for (const quantity of [0, 1]) {
      yield* Effect.scoped(Effect.gen(function*() {
        const browser = yield* openBrowser(yield* serve({ filename, bank: bank.url }))
        const ada = yield* browser.connect(Cart, "ada")
        const bob = yield* browser.connect(Cart, "bob")
        assert.deepStrictEqual((yield* ada.rpc.Contents()).lines, [
          { product: "apple", quantity: 2 },
          { product: "pear", quantity: 1 },
          ...quantity > 0 ? [{ product: "quince", quantity }] : []
        ])
        assert.strictEqual((yield* bob.rpc.Contents()).order?.cents, 240)
        // Carol's alarm was due long ago: it closes her cart, which nobody has bought
        const carol = Effect.flatMap(browser.connect(Cart, "carol"), ({ rpc }) => rpc.Contents())
        yield* eventually(
          Effect.either(Effect.scoped(carol)),
          (contents) => Either.isRight(contents) && contents.right.lines.length === 0
        )
        const [closing] = yield* bank.entries
        assert.strictEqual(closing?.request, "cancel")
        assert.include(carols, closing?.key.split("-")[0])
        yield* ada.rpc.Put({ product: "quince" })
      }))
    }
    assert.lengthOf(yield* bank.entries, 1)
    const ada = yield* stored(filename, "ada")
    const { version, lines } = JSON.parse(ada.state ?? "")
    assert.strictEqual(version, 2)
    assert.deepStrictEqual(lines.at(-1), { product: "quince", quantity: 2 })
    assert.notInclude(ada.state, "items")
    assert.strictEqual((yield* stored(filename, "carol")).state, undefined)
    // nothing has changed in it, so nothing was written
    assert.strictEqual((yield* stored(filename, "bob")).state, before.state)
  }))

it.scopedLive("T5 a cart of a later version stops alone, with a line in the log, and is left as it is", () =>
  Effect.gen(function*() {
    const filename = yield* oldFile
    const bank = yield* openBank
    // somebody has deployed version 3, and taken it back
    const state = "{\"version\":3,\"baskets\":[{\"secret\":1}]}"
    yield* Effect.gen(function*() {
      const store = yield* ActorStore.ActorStore
      const { epoch, version } = yield* store.claim(address("ada"))
      const commit = { address: address("ada"), epoch, version, state, replies: [], settledSegments: [], fsync: false }
      assert.deepStrictEqual(yield* store.commit([commit]), [{ _tag: "committed" }])
    }).pipe(Effect.provide(SqliteStore.layer({ filename })))

    for (const _ of [1, 2]) {
      const log: Array<string> = []
      const logger = Logger.make(({ annotations, cause, message }) => {
        log.push([message, Cause.pretty(cause), JSON.stringify([...annotations])].join(" "))
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const browser = yield* openBrowser(yield* serve({ filename, bank: bank.url }))
        const error = yield* Effect.flip(browser.connect(Cart, "ada"))
        assert.instanceOf(error, ConnectionError.ConnectionClosed)
        assert.strictEqual(error.reason._tag, "Unavailable")
        const [line, ...others] = log.filter((line) => line.includes("Cart/ada"))
        assert.lengthOf(others, 0)
        assert.include(line, "the stored state does not decode with the schema of Cart: version")
        assert.notInclude(line, "secret")
        // the others are there
        const bob = yield* browser.connect(Cart, "bob")
        assert.strictEqual((yield* bob.rpc.Contents()).order?.cents, 240)
      })).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      assert.strictEqual((yield* stored(filename, "ada")).state, state)
    }
  }))
