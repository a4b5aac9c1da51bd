/** The server as a process of its own, which can be stopped, killed and started again like in real life. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { fileOf } from "./bundle.ts"

const example = fileURLToPath(new URL("../..", import.meta.url))

export interface ServerProcess {
  readonly port: number
  /** Asks it to stop, and waits until it has: with the exit code. */
  readonly stop: () => Promise<number | null>
  /** Lets it do nothing more; its connections stay open. Only `kill` ends it then. */
  readonly freeze: () => void
  /** Ends it at once, so that it finishes nothing, and waits until it is gone: with the signal that has ended it. */
  readonly kill: () => Promise<NodeJS.Signals | null>
}

interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What runs, with its end. Also those that are not listening yet. */
const running = new Map<ChildProcess, Promise<End>>()

/** Ends all that have been started here. To be called when the tests of a file have ended, however they have. */
export const killAll = async (): Promise<void> => {
  for (const child of running.keys()) child.kill("SIGKILL")
  await Promise.all(running.values())
}

/** What a server process has printed and how it has ended, if it did so before it listened. */
export class StartFailed extends Error {
  constructor(readonly code: number | null, readonly output: string) {
    super(`the server ended with the code ${code}: ${output}`)
  }
}

/** Starts the server; port 0 takes a free one. */
export const start = async (options: {
  readonly port: number
  readonly filename: string
  /** How long the model takes for a word, such as `25 millis`. */
  readonly wordTime?: string
}): Promise<ServerProcess> => {
  const child = spawn(process.execPath, [fileOf("main")], {
    cwd: example,
    env: {
      ...process.env,
      PORT: String(options.port),
      TROUPE_DB: options.filename,
      ...(options.wordTime !== undefined && { WORD_TIME: options.wordTime })
    },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const ended = new Promise<End>((resolve) => {
    child.once("exit", (code, signal) => {
      running.delete(child)
      resolve({ code, signal })
    })
  })
  running.set(child, ended)
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return ended
  }
  const port = await listening(child)
  return {
    port,
    stop: async () => (await end("SIGTERM")).code,
    freeze: () => {
      child.kill("SIGSTOP")
    },
    kill: async () => (await end("SIGKILL")).signal
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
