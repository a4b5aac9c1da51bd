/**
 * Runs the chat room's own `start` script and passes Ctrl-C on to it, once.
 *
 * Why not `pnpm --filter chat-room start`: a package manager in between reports an interrupted script as a failure, and
 * a terminal's Ctrl-C would reach the server twice (from the terminal and from npm), which means "do not drain, stop
 * now". So the server gets a process group of its own, and this script is the only one that signals it.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { constants } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const example = join(root, "examples", "chat-room")
const { scripts } = JSON.parse(readFileSync(join(example, "package.json"), "utf8"))

const bins = [example, root].map((folder) => join(folder, "node_modules", ".bin"))
const child = spawn(scripts.start, {
  cwd: example,
  env: { ...process.env, PATH: [...bins, process.env.PATH].join(delimiter) },
  stdio: "inherit",
  shell: true,
  detached: true
})

/** npm repeats the terminal's signal: what follows this soon is an echo, not a second Ctrl-C. */
const echoMillis = 500
let signalledAt = -Infinity

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    const now = performance.now()
    if (now - signalledAt < echoMillis) return
    signalledAt = now
    try {
      process.kill(-child.pid, signal)
    } catch {
      // The group has just ended by itself; "exit" below is on its way.
    }
  })
}

child.on("exit", (code, signal) => {
  process.exitCode = signal === null ? code : 128 + constants.signals[signal]
})
