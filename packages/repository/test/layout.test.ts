/** The shape of the repository: what lies where, and that the lists which name it are complete. */
import { assert, describe, it } from "@effect/vitest"
import ts from "typescript"
import * as Repository from "./support/Repository.ts"

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly dependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
  readonly devDependencies?: Record<string, string>
}

const manifests = Repository.files(/^(packages\/[^/]*\/|examples\/[^/]*\/)?package\.json$/)
  .map((path) => ({ path, manifest: JSON.parse(Repository.read(path)) as Manifest }))

const dependencies = ({ dependencies, devDependencies, peerDependencies }: Manifest) =>
  Object.entries({ ...peerDependencies, ...devDependencies, ...dependencies })

const workspace = Repository.read("pnpm-workspace.yaml")
const catalog = new Map(
  [...workspace.slice(workspace.indexOf("\ncatalog:")).matchAll(/^ {2}"?([^\s":]+)"?: (\S+)$/gm)]
    .map(([, name, version]) => [name!, version!])
)

describe("layout", () => {
  it("the top level holds what it should, and dotfiles", () => {
    const visible = Repository.list("").map((entry) => entry.name).filter((name) => !name.startsWith("."))
    const allowed = new Set([
      "packages",
      "examples",
      "docs",
      "package.json",
      "pnpm-workspace.yaml",
      "pnpm-lock.yaml",
      "vitest.workspace.ts",
      "tsconfig.json",
      "README.md",
      "LICENSE"
    ])
    // A database or a log that a run left behind is git-ignored.
    const foreign = visible.filter((name) => !allowed.has(name) && !/\.(db|db-shm|db-wal|log)$/.test(name))
    assert.deepStrictEqual(foreign, [])
  })

  it("every TypeScript project is part of the solution", () => {
    const solution = Repository.read("tsconfig.json")
    const missing = Repository.files(/^(packages|examples)\/.*\/tsconfig\.json$/)
      .map((path) => path.slice(0, -"/tsconfig.json".length))
      .filter((path) => !solution.includes(`{ "path": "${path}" }`))
    assert.deepStrictEqual(missing, [])
  })

  it("an example names every package that it imports", () => {
    const examples = manifests.filter(({ path }) => path.startsWith("examples/"))
    assert.isAtLeast(examples.length, 5)
    for (const { manifest, path } of examples) {
      const folder = path.slice(0, -"package.json".length)
      const imported = Repository.files(/\.ts$/).filter((file) => file.startsWith(folder)).flatMap((file) =>
        ts.preProcessFile(Repository.read(file)).importedFiles.map(({ fileName }) => fileName)
      )
      const names = imported.filter((name) => !/^(\.|node:)/.test(name))
        .map((name) => name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/"))
      const named = new Set(dependencies(manifest).map(([name]) => name))
      assert.isAbove(names.length, 5, folder)
      assert.deepStrictEqual([...new Set(names)].filter((name) => !named.has(name)), [], folder)
    }
  })

  it("the catalog is exact, and what examples name is what it pins", () => {
    assert.isAtLeast(catalog.size, 15)
    assert.deepStrictEqual([...catalog].filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)), [])
    const versions = new Map([
      ...catalog,
      ...manifests.map(({ manifest }) => [manifest.name, manifest.version] as const)
    ])
    const wrong = manifests.filter(({ path }) => path.startsWith("examples/")).flatMap(({ manifest, path }) =>
      dependencies(manifest)
        .filter(([name, range]) => range.replace(/^\^/, "") !== versions.get(name))
        .map(([name, range]) => `${path}: ${name} ${range}, but the catalog has ${versions.get(name)}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("every dependency has its reason in docs/dependencies.md", () => {
    const reasons = Repository.read("docs/dependencies.md")
    const names = new Set(manifests.flatMap(({ manifest }) => dependencies(manifest).map(([name]) => name)))
    const missing = [...names].filter((name) => !name.startsWith("@troupe/") && !reasons.includes(`\`${name}\``))
    assert.deepStrictEqual(missing, [])
  })
})
