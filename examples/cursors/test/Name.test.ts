/** What the address says a visitor is called. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Name from "../src/page/Name.ts"

it.effect("a name that is too long is cut behind a whole character", () =>
  Effect.gen(function*() {
    const most = "x".repeat(31)
    assert.strictEqual(yield* Name.ofPage(`?name=${most}yz`), `${most}y`)
    assert.strictEqual(yield* Name.ofPage(`?name=${most}${encodeURIComponent("😀")}`), most)
    assert.notStrictEqual(yield* Name.ofPage("?name=%20"), "")
  }))
