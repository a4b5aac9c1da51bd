/** The tests in the docs are run: every fence that is called `*.test.ts`, with the files it imports. */
import { assert, describe, it } from "@effect/vitest"
import * as Fence from "./support/Fence.ts"
import * as Repository from "./support/Repository.ts"
import * as Runner from "./support/Runner.ts"

/** A document that is not in the repository. Its failures must be found, so that silence means something. */
const broken = Fence.parse(
  "broken.md",
  [
    "```ts",
    "// file: two.ts",
    "export const two = 2",
    "```",
    "```ts",
    "// file: numbers.test.ts",
    "import { assert, it } from \"@effect/vitest\"",
    "import { two } from \"./two.ts\"",
    "",
    "it(\"is two\", () => assert.strictEqual(two, 2))",
    "it(\"is three\", () => assert.strictEqual(two, 3))",
    "```",
    "```ts",
    "// file: missing.test.ts",
    "import { four } from \"./four.ts\"",
    "",
    "it(\"is four\", () => assert.strictEqual(four, 4))",
    "```"
  ].join("\n")
)

const fences = Repository.files(/^docs\/.*\.md$/).flatMap((document) =>
  Fence.parse(document, Repository.read(document))
)

describe("docs", () => {
  it("every test passes, and one that does not is reported", async () => {
    const results = await Runner.run([...fences, ...broken])
    const isOwn = ({ document }: Runner.Result) => document === "broken.md"
    const own = results.filter(isOwn).map(({ message, name, passed, title }) =>
      `${name}: ${title} ${passed ? "passed" : `failed: ${message.split("\n")[0]}`}`
    )
    assert.lengthOf(own, 3)
    assert.include(own, "numbers.test.ts: is two passed")
    assert.include(own, "numbers.test.ts: is three failed: AssertionError: expected 2 to equal 3")
    assert.include(own.find((line) => line.startsWith("missing.test.ts:  failed:")) ?? "", "four.ts")
    const failed = results.filter((result) => !result.passed && !isOwn(result))
    assert.deepStrictEqual(failed.map((result) => `${result.document} ${result.name}: ${result.message}`), [])

    const run = new Set(results.map(({ document, name }) => `${document} ${name}`))
    const tests = fences.filter(({ name }) => name.endsWith(".test.ts"))
    assert.isAtLeast(tests.length, 12)
    assert.deepStrictEqual(tests.filter(({ document, name }) => !run.has(`${document} ${name}`)), [])
  }, 120_000)
})
