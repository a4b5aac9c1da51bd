/** All that is checked before the tests, side by side. Every problem is shown, not only the first. */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

/** The native compiler with Effect's diagnostics in it: it lies in the package of this platform. */
const compiler = () => {
  const effectTsgo = createRequire(import.meta.url).resolve("@effect/tsgo/package.json")
  const binaries = createRequire(effectTsgo).resolve(`@effect/tsgo-${process.platform}-${process.arch}/package.json`)
  return join(dirname(binaries), "lib", process.platform === "win32" ? "tsc.exe" : "tsc")
}

/** What it prints comes when it has ended, in one piece. */
const run = (name, command, ...args) =>
  new Promise((resolve) => {
    const child = spawn(command, args, { shell: process.platform === "win32", stdio: ["ignore", "pipe", "pipe"] })
    const output = []
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.push(chunk))
    child.on("error", (error) => output.push(Buffer.from(String(error))))
    child.on("close", (code) => {
      console.log(`> ${name}\n${Buffer.concat(output)}`)
      resolve(code === 0)
    })
  })

const results = await Promise.all([
  run("tsc -b", compiler(), "-b"),
  run("npm run lint", "npm", "run", "lint"),
  run("dprint check", "dprint", "check")
])
process.exitCode = results.every((good) => good) ? 0 : 1
