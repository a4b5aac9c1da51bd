/** All that is checked before the tests, side by side. Every problem is shown, not only the first. */
import { spawn } from "node:child_process"

/** What it prints comes when it has ended, in one piece. */
const run = (command) =>
  new Promise((resolve) => {
    const child = spawn(command, { shell: true, stdio: ["ignore", "pipe", "pipe"] })
    const output = []
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.push(chunk))
    child.on("error", (error) => output.push(Buffer.from(String(error))))
    child.on("close", (code) => {
      console.log(`> ${command}\n${Buffer.concat(output)}`)
      resolve(code === 0)
    })
  })

const results = await Promise.all(["npm run build", "npm run lint", "dprint check"].map(run))
process.exitCode = results.every((good) => good) ? 0 : 1
