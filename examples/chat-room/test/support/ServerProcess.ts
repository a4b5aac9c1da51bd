/** The server as a process of its own, which can be stopped and started again like in real life. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

const example = fileURLToPath(new URL("../..", import.meta.url))

export interface ServerProcess {
  readonly port: number
  /** Asks it to stop, and waits until it has: with the exit code. */
  readonly stop: () => Promise<number | null>
}

/** What a server process has printed and how it has ended, if it did so before it listened. */
export class StartFailed extends Error {
  constructor(readonly code: number | null, readonly output: string) {
    super(`the server ended with the code ${code}: ${output}`)
  }
}

/** Starts the server; port 0 takes a free one. */
export const start = async (options: { readonly port: number; readonly filename: string }): Promise<ServerProcess> => {
  const child = spawn(process.execPath, ["--import", "tsx", "src/server/main.ts"], {
    cwd: example,
    env: { ...process.env, PORT: String(options.port), TROUPE_DB: options.filename },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const port = await listening(child)
  return {
    port,
    stop: async () => {
      const ended = once(child, "exit")
      child.kill("SIGTERM")
      const [code] = await ended
      return code
    }
  }
}

const listening = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    let output = ""
    const onOutput = (chunk: Buffer) => {
      output += chunk
      const port = /http:\/\/localhost:(\d+)/.exec(output)?.[1]
      if (port !== undefined) resolve(Number(port))
    }
    child.stdout?.on("data", onOutput)
    child.stderr?.on("data", onOutput)
    child.on("close", (code) => reject(new StartFailed(code, output)))
  })
