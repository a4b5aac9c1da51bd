/** Watches which files a process has synced to the disk, by a library that is preloaded into it. */
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"
import * as Directory from "./Directory.ts"

const source = fileURLToPath(new URL("./sync-log.c", import.meta.url))

const compile = (library: string) =>
  ChildProcess.spawnSync("cc", ["-shared", "-fPIC", "-o", library, source, "-ldl"], { encoding: "utf8" })

/** Why it cannot be done here, if it cannot. */
export const impossible = (): string | undefined => {
  if (process.platform !== "linux") return `no library can be preloaded on ${process.platform}`
  const { error } = ChildProcess.spawnSync("cc", ["--version"])
  return error ? "there is no C compiler" : undefined
}

/** The log of one process, whose environment has to have `env`. */
export const make = Effect.gen(function*() {
  const directory = yield* Directory.temporary
  const library = `${directory}/sync-log.so`
  const { status, stderr } = compile(library)
  if (status !== 0) return yield* Effect.dieMessage(`the library does not compile: ${stderr}`)
  const log = `${directory}/log`
  Fs.writeFileSync(log, "")
  return {
    env: { LD_PRELOAD: library, SYNC_LOG: log },
    /** How often a file was synced so far. */
    count: (filename: string) => Fs.readFileSync(log, "utf8").split("\n").filter((name) => name === filename).length
  }
})
