/** The server as a process of its own, which can be killed and started again like in real life. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { fileOf } from "./bundle.ts"

const example = fileURLToPath(new URL("../..", import.meta.url))

export interface ServerProcess {
  readonly port: number
  /** Ends it at once, so that it finishes nothing, and waits until it is gone: with the signal that has ended it. */
  readonly kill: () => Promise<NodeJS.Signals | null>
}

/** What runs, with its end. Also those that are not listening yet. */
const running = new Map<ChildProcess, Promise<NodeJS.Signals | null>>()

/** Ends all that have been started here. To be called when the tests of a file have ended, however they have. */
export const killAll = async (): Promise<void> => {
  for (const child of running.keys()) child.kill("SIGKILL")
  await Promise.all(running.values())
}

/** Starts the server; port 0 takes a free one. */
export const start = async (options: { readonly port: number }): Promise<ServerProcess> => {
  const child = spawn(process.execPath, [fileOf("main")], {
    cwd: example,
    env: { ...process.env, PORT: String(options.port) },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once("exit", (_, signal) => {
      running.delete(child)
      resolve(signal)
    })
  })
  running.set(child, ended)
  const port = await listening(child)
  return {
    port,
    kill: () => {
      child.kill("SIGKILL")
      return ended
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
    child.on("close", (code) => reject(new Error(`the server ended with the code ${code}: ${output}`)))
  })
