/**
 * What a user gets: the packages as they are published, and the examples as templates that are installed from them, with
 * npm, in a folder that knows nothing of this repository.
 */
import * as Attw from "@arethetypeswrong/core"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Tarballs from "./support/Tarballs.ts"
import * as Template from "./support/Template.ts"

const minutes = 60_000

let folder: string
let tarballs: ReadonlyMap<string, string>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "troupe-packages-"))
  tarballs = await Tarballs.pack(folder)
}, 3 * minutes)

afterAll(() => rm(folder, { recursive: true, force: true }), minutes)

/** Our packages are ES modules with `exports`: what knows only CommonJS, or no `exports`, is not served. */
const isServed = (resolution: string | undefined) => resolution !== "node10" && resolution !== "node16-cjs"

describe.each([...Tarballs.packages.keys()])("%s, packed", (name) => {
  const read = async () => new Uint8Array(await readFile(tarballs.get(name)!))

  it("is what publint expects of a package", async () => {
    const { messages, pkg } = await publint({ pack: { tarball: (await read()).buffer }, strict: true })
    assert.strictEqual(pkg?.["name"], name)
    assert.deepStrictEqual(messages.map((message) => formatMessage(message, pkg, { color: false })), [])
  })

  it("has types that resolve as its code does, for each of its modules", async () => {
    const packed = Attw.createPackageFromTarballData(await read())
    const modules = packed.listFiles()
      .map((path) => /\/dist\/(.+)\.d\.ts$/.exec(path)?.[1])
      .filter((path) => path !== undefined && path !== "index" && !path.startsWith("internal/"))
    const checked = await Attw.checkPackage(packed, { entrypoints: [".", ...modules.map((path) => `./${path}`)] })
    if (!checked.types) return assert.fail("it has no types")
    assert.isAtLeast(Object.keys(checked.entrypoints).length, modules.length + 1)
    const served = checked.problems.filter((problem) =>
      isServed("resolutionKind" in problem ? problem.resolutionKind : undefined)
      && problem.kind !== "CJSResolvesToESM"
    )
    assert.deepStrictEqual(served.map((problem) => JSON.stringify(problem).slice(0, 300)), [])
  })
})

/** A test of each example that makes calls over real sockets. */
const calls: Readonly<Record<string, string>> = {
  "ai-agent": "test/sockets.test.ts",
  "chat-room": "test/chat-room.test.ts",
  "checkout": "test/crashes.test.ts",
  "counter": "test/main.test.ts",
  "cursors": "test/cursors.test.ts"
}

let installed: Template.Installed

it("the examples, copied, install with npm from the packed packages", async () => {
  installed = await Template.installAll(join(folder, "examples"), tarballs)
  assert.isAtLeast(installed.templates.size, 5)
}, 5 * minutes)

it("the examples, copied, are what their check expects", () => installed.check(), 5 * minutes)

describe.concurrent.each(Template.names)("the example %s, copied", (name) => {
  // the tests of an example build its page first, if it has one
  it("builds and makes its calls", async () => {
    const { run } = installed.templates.get(name)!
    assert.isDefined(calls[name], `packages.test.ts has to know which test of ${name} makes calls`)
    assert.match(await run("npx", "vitest", "run", calls[name]!), /Tests +\d+ passed \(\d+\)/)
  }, 5 * minutes)
})

// no loader, no compiler: the packages as Node itself finds them
it("the example counter, compiled to JavaScript, runs in plain Node", async () => {
  const { run } = installed.templates.get("counter")!
  const options = [
    // what it imports is not read
    "--noCheck",
    "--noResolve",
    "--noEmit",
    "false",
    "--allowImportingTsExtensions",
    "false",
    "--rewriteRelativeImportExtensions"
  ]
  await run("npx", "tsc", ...options, "--outDir", "compiled")
  assert.include(await run(process.execPath, "compiled/src/main.js"), "a call answers: 1")
}, 2 * minutes)
