/**
 * Runs a program of this folder as users run theirs: as compiled code in one file. What is compiled on loading keeps the
 * names of all functions, and takes up to twice the time.
 */
import * as Esbuild from "esbuild"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

const [, , name = "", ...args] = process.argv

// among the installed modules, so that the native one is found
const outdir = Fs.mkdtempSync(pathOf("../node_modules/.bench-"))
try {
  Esbuild.buildSync({
    entryPoints: { program: pathOf(`./${name}.ts`), "sqlite-worker": pathOf("../src/internal/sqlite-worker.mjs") },
    tsconfig: pathOf("../../../tsconfig.json"),
    bundle: true,
    platform: "node",
    format: "esm",
    outdir,
    outExtension: { ".js": ".mjs" },
    external: ["libsql"],
    logLevel: "warning"
  })
  const { status } = spawnSync(process.execPath, [`${outdir}/program.mjs`, ...args], { stdio: "inherit" })
  process.exitCode = status ?? 1
} finally {
  Fs.rmSync(outdir, { recursive: true })
}
