/**
 * Makes JavaScript of all programs of `test/programs`, once for everybody: they start in a tenth of the time that their
 * sources take, and share what they have in common. Vitest runs it before the tests of this package.
 */
import * as Esbuild from "esbuild"
import { mkdtemp, rm } from "node:fs/promises"
import { fileURLToPath } from "node:url"

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/** Tells the processes of the tests where they are. */
const variable = "TROUPE_TEST_PROGRAMS"

/** The file that runs a program. */
export const file = (name: string): string => {
  const directory = process.env[variable]
  if (!directory) throw new Error("the programs are not built: Programs.ts has to be a global set-up")
  return `${directory}/${name}.mjs`
}

/** Builds them among the installed modules, where they find native ones. Returns what removes them. */
export const build = async (): Promise<() => Promise<void>> => {
  const outdir = await mkdtemp(path("../../node_modules/.programs-"))
  await Esbuild.build({
    // with the thread of the store beside them
    entryPoints: [path("../programs/*.ts"), path("../../src/internal/sqlite-worker.mjs")],
    entryNames: "[name]",
    tsconfig: path("../../../../tsconfig.json"),
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    outdir,
    outExtension: { ".js": ".mjs" },
    external: ["libsql"],
    // for CommonJS modules inside
    banner: {
      js: "import { createRequire as require_ } from 'node:module'; const require = require_(import.meta.url);"
    },
    logLevel: "warning"
  })
  process.env[variable] = outdir
  return () => rm(outdir, { recursive: true, force: true })
}

export default build
