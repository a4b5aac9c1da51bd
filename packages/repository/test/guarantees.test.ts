/** `docs/guarantees.md` and the tests agree on what is proven and where. */
import { assert, describe, it } from "@effect/vitest"
import * as Guarantee from "./support/Guarantee.ts"
import * as Repository from "./support/Repository.ts"

const table = Guarantee.parse(Repository.read("docs/guarantees.md"))
/** Tests, and the suites that `@troupe/testing` exports for others to run. */
const proofs = Repository.files(/^(packages|examples)\/(?!repository\/)[^/]*\/(.*\.test\.tsx?|src\/.*\.ts)$/)
  .map((file) => ({ file, ids: Guarantee.titles(Repository.read(file)) }))
  .filter(({ ids }) => ids.length > 0)

describe("guarantees", () => {
  it("the table has every line once", () => {
    const ids = table.map((row) => row.id)
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.isAtLeast(ids.length, 70)
  })

  it("each file named in a row has a test whose title begins with the row's id", () => {
    const missing = table.flatMap((row) =>
      row.files
        .filter((file) => !proofs.some((proof) => proof.file === file && proof.ids.includes(row.id)))
        .map((file) => `${row.id}: no test of that name in ${file}`)
    )
    assert.deepStrictEqual(missing, [])
  })

  it("each id in a test's title stands in the table, in a row that names the file", () => {
    const unnamed = proofs.flatMap(({ file, ids }) =>
      ids
        .filter((id) => !table.some((row) => row.id === id && row.files.includes(file)))
        .map((id) => `${id} is tested in ${file}, which its row does not name`)
    )
    assert.deepStrictEqual(unnamed, [])
  })

  it("rows and titles are read as they are written", () => {
    const rows = Guarantee.parse(
      "| A1 ¤ | A `sentence` | `packages/a/test/a.test.ts`, `b.ts` |\n| T2 | Another | planned |\n"
    )
    assert.deepStrictEqual(rows, [
      { id: "A1", files: ["packages/a/test/a.test.ts", "b.ts"] },
      { id: "T2", files: [] }
    ])
    assert.throws(() => Guarantee.parse("| A1 | A sentence | soon |"), "A1: neither a file nor \"planned\"")
    const titles = Guarantee.titles(`
      it.effect("C4 a call", () => {})
      describe(\`S1 within\`, () => {})
      it.scoped.each(values)("T1 a failure", () => {})
      it.effect("B1, B3 and order", () => {})
      it.effect("Any other", () => {})
      it.effect(
        "E2 a short drop",
      )
      const cases = {
        "E4 L1 the end of the last subscription": Effect.void,
        notATitle: "A1 a value"
      }
    `)
    assert.deepStrictEqual(titles, ["B1", "B3", "C4", "E2", "E4", "L1", "S1", "T1"])
  })
})
