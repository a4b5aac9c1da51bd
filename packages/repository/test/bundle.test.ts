/** What the packages cost a browser, and that nothing of the server gets there. */
import { assert, describe, it } from "@effect/vitest"
import * as Bundle from "./support/Bundle.ts"

const KiB = 1024

const assertFits = (bundle: Bundle.Bundle, budgetKiB: number) =>
  assert.isAtMost(bundle.gzipBytes, budgetKiB * KiB, `${(bundle.gzipBytes / KiB).toFixed(1)} of ${budgetKiB} KiB gzip`)

describe("bundle", () => {
  it("a minimal client holds nothing of Node or of the server, and at most 105 KiB", async () => {
    const bundle = await Bundle.make("minimal-client.ts")
    const foreign = bundle.inputs.filter((input) =>
      /^node:|packages\/(server|node|testing)\/|platform-node/.test(input)
    )
    assert.deepStrictEqual(foreign, [])
    assert.isTrue(bundle.inputs.some((input) => input.startsWith("packages/client/src/")))
    assertFits(bundle, 105)
  })

  it("our own code in it, on top of an app that has effect, is at most 24 KiB", async () => {
    assertFits(await Bundle.make("minimal-client.ts", { external: ["effect/*", "@effect/*"] }), 24)
  })

  it("a contract alone is at most 65 KiB", async () => {
    const bundle = await Bundle.make("contract-only.ts")
    assert.deepStrictEqual(bundle.inputs.filter((input) => /packages\/(client|server|node|testing)\//.test(input)), [])
    assertFits(bundle, 65)
  })

  it("a `node:` import would be found", async () => {
    const bundle = await Bundle.make("foreign.mjs")
    assert.include(bundle.inputs, "node:fs")
  })
})
