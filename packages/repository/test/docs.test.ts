/** Code in the docs compiles. */
import { assert, describe, it } from "@effect/vitest"
import * as Compiler from "./support/Compiler.ts"
import * as Fence from "./support/Fence.ts"
import * as Repository from "./support/Repository.ts"

/** Two documents that are not in the repository: one whose errors must be found, so that silence means something. */
const broken = Fence.parse(
  "broken.md",
  [
    "Text, then a list:",
    "- an item",
    "  ```ts",
    "  // file: two.ts",
    "  export const two = 2",
    "  ```",
    "```ts",
    "import * as Effect from \"effect/Effect\"",
    "import { two } from \"./two.ts\"",
    "",
    "export const three: Effect.Effect<number> = Effect.succeed(two).text",
    "```",
    "```ts",
    "export const four: = 4",
    "```",
    "```json",
    "{ \"not\": \"checked\" }",
    "```"
  ].join("\n")
)
const commented = Fence.parse(
  "commented.ts",
  ["/**", " * A sentence.", " *", " * ```ts", " * const one = 1", " *", " * one()", " * ```", " */"].join("\n")
)

const documents = Repository.files(
  /^[^/]*\.md$|^docs\/.*\.md$|^(packages|examples)\/[^/]*\/README\.md$|^packages\/[^/]*\/src\/.*\.ts$/
)

describe("docs", () => {
  it("every ts fence compiles, and a broken one is reported where it stands", () => {
    const fences = documents.flatMap((document) => Fence.parse(document, Repository.read(document)))
    const problems = Compiler.problems([...fences, ...broken, ...commented])
    const own = new Set(["broken.md", "commented.ts"])
    const isOwn = (problem: string) => own.has(problem.slice(0, problem.indexOf(":")))
    assert.deepStrictEqual(problems.filter(isOwn).map((problem) => problem.split("\n")[0]), [
      "broken.md:11: Property 'text' does not exist on type 'Effect<number, never, never>'.",
      "broken.md:14: Type expected.",
      "commented.ts:7: This expression is not callable."
    ])
    assert.deepStrictEqual(problems.filter((problem) => !isOwn(problem)), [])
  }, 60_000)

  it("two fences of one document cannot have one name", () => {
    const fence = "```ts\n// file: a.ts\n```\n"
    assert.throws(
      () => Fence.parse("twice.md", fence + fence),
      "twice.md:5: another fence of this document is named a.ts"
    )
  })

  it("a fence without an end is reported", () => {
    assert.throws(() => Fence.parse("open.md", "\n```ts\nconst a = 1\n"), "open.md:2: this fence has no end")
  })
})
