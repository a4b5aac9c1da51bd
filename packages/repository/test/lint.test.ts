/** The lint rules forbid what they are there to forbid: each is run on a small copy of the repository that breaks it. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Repository from "./support/Repository.ts"

const copy = mkdtempSync(join(tmpdir(), "troupe-lint-"))
afterAll(() => rmSync(copy, { recursive: true }))

const write = (path: string, text: string) => {
  mkdirSync(dirname(join(copy, path)), { recursive: true })
  writeFileSync(join(copy, path), text)
}

/** The names of the rules that are broken, file by file. */
const lint = (sources: Record<string, string>): Record<string, ReadonlyArray<string>> => {
  write(".oxlintrc.json", Repository.read(".oxlintrc.json").replace(/^ {2}"\$schema".*\n/m, ""))
  for (const [path, text] of Object.entries(sources)) write(path, text)
  const oxlint = join(Repository.root, "node_modules/.bin/oxlint")
  const { stdout } = spawnSync(oxlint, ["--format", "json", ...Object.keys(sources)], { cwd: copy, encoding: "utf8" })
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Array<{ code: string; filename: string }> }
  return Object.fromEntries(
    Object.keys(sources).map((path) => {
      const broken = diagnostics.filter(({ filename }) => filename === path).map(({ code }) =>
        /\((.*)\)/.exec(code)![1]!
      )
      return [path, [...new Set(broken)].sort()]
    })
  )
}

const imports = (name: string) => `import * as Imported from "${name}"\nexport const used = Imported\n`

describe("lint", () => {
  it("client -> contract <- server <- node, and testing -> client, server", () => {
    const allowed: Record<string, ReadonlyArray<string>> = {
      contract: [],
      client: ["contract"],
      server: ["contract"],
      node: ["contract", "server", "node:fs"],
      testing: ["contract", "client", "server"]
    }
    const targets = ["contract", "client", "server", "node", "testing", "node:fs"]
    const sources: Record<string, string> = {}
    for (const from of Object.keys(allowed)) {
      for (const to of targets) {
        const name = to.includes(":") ? to : `@troupe/${to}/Module`
        sources[`packages/${from}/src/${to.replace(":", "_")}.ts`] = imports(name)
      }
    }
    const legal = Object.entries(lint(sources)).filter(([, broken]) => broken.length === 0).map(([path]) => path).sort()
    const expected = Object.entries(allowed).flatMap(([from, all]) =>
      all.map((to) => `packages/${from}/src/${to.replace(":", "_")}.ts`)
    )
    assert.deepStrictEqual(legal, expected.sort())
  })

  it("only what is for Node in the test kit imports Node, and nothing else of what the kit may not", () => {
    const names = ["node:net", "@troupe/node/Module", "@troupe/server/Module", "effect"]
    const folders = ["", "node/", "internal/", "internal/node/"]
    const path = (folder: string, i: number) => `packages/testing/src/${folder}Import${i}.ts`
    const sources = folders.flatMap((folder) => names.map((name, i) => [path(folder, i), imports(name)] as const))
    const results = lint(Object.fromEntries(sources))
    const legal = folders.map((folder) => names.filter((_, i) => results[path(folder, i)]!.length === 0))
    const server = "@troupe/server/Module"
    assert.deepStrictEqual(legal, [[server], ["node:net", server], [server], ["node:net", server]])
  })

  it("sources import modules: no barrel, not the own index, no .js", () => {
    const names = [
      "effect",
      "@effect/platform",
      "@effect/rpc",
      "@troupe/contract",
      "./index.ts",
      "../index.ts",
      "./A.js"
    ]
    const results = lint(
      Object.fromEntries(names.map((name, i) => [`packages/server/src/a/Bad${i}.ts`, imports(name)]))
    )
    assert.deepStrictEqual(Object.values(results), names.map(() => ["no-restricted-imports"]))
    const good = lint({ "packages/server/src/Good.ts": imports("effect/Effect") + "export * from \"./Other.ts\"\n" })
    assert.deepStrictEqual(good["packages/server/src/Good.ts"], [])
  })

  it("time, chance and output come from services, except in live layers", () => {
    const uses = [
      "Date.now()",
      "new Date()",
      "performance.now()",
      "setTimeout(() => {}, 1)",
      "globalThis.setInterval(() => {}, 1)",
      "setImmediate(() => {})",
      "Math.random()",
      "crypto.randomUUID()",
      "process.env.HOME",
      "console.log(1)"
    ]
    for (const name of ["contract", "client", "server"]) {
      const path = (i: number) => `packages/${name}/src/Use${i}.ts`
      const results = lint(Object.fromEntries(uses.map((use, i) => [path(i), `export const used = ${use}\n`])))
      assert.deepStrictEqual(uses.filter((_, i) => results[path(i)]!.length === 0), [])
    }
    const live = "packages/client/src/live/ClockLive.ts"
    assert.deepStrictEqual(lint({ [live]: "export const now = () => Date.now()\n" })[live], [])
  })

  it("no import cycles, of types neither", () => {
    const results = lint({
      "packages/contract/src/Left.ts": "import type { Right } from \"./Right.ts\"\nexport type Left = Right | 1\n",
      "packages/contract/src/Right.ts": "import type { Left } from \"./Left.ts\"\nexport type Right = Left | 2\n"
    })
    assert.deepStrictEqual(Object.values(results), [["no-cycle"], ["no-cycle"]])
  })
})
