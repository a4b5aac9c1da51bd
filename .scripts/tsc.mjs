/** `tsc`, but the native one with Effect's diagnostics in it: it lies in the package of this platform. */
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

const effectTsgo = createRequire(import.meta.url).resolve("@effect/tsgo/package.json")
const binaries = createRequire(effectTsgo).resolve(`@effect/tsgo-${process.platform}-${process.arch}/package.json`)
const tsc = join(dirname(binaries), "lib", process.platform === "win32" ? "tsc.exe" : "tsc")

const { error, status } = spawnSync(tsc, process.argv.slice(2), { stdio: "inherit" })
if (error) throw error
process.exitCode = status ?? 1
