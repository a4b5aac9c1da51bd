/** The server as a process of its own, which can be killed and started again. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const example = fileURLToPath(new URL("..", import.meta.url))

const sources = ["--import", "tsx", "src/server/main.ts"]

/** Starts the server, from its sources or another program, and waits until it says where it listens. It ends with the scope, if not before. */
export const start = Effect.fn("start")(
  function*(env: Record<string, string>, program: ReadonlyArray<string> = sources) {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, program, {
          cwd: example,
          env: { ...process.env, ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let output = ""
    let ended = false
    const listeners = new Set<() => void>()
    const tell = () => listeners.forEach((listener) => listener())
    const onOutput = (chunk: Buffer) => {
      output += chunk
      tell()
    }
    child.stdout.on("data", onOutput)
    child.stderr.on("data", onOutput)
    child.on("close", () => {
      ended = true
      tell()
    })

    const wait = <A>(find: () => A | undefined | false) =>
      Effect.async<A>((resume) => {
        const look = () => {
          const found = find()
          if (found) resume(Effect.succeed(found))
          else if (ended) resume(Effect.dieMessage(`the server has ended: ${output}`))
          else return
          listeners.delete(look)
        }
        listeners.add(look)
        look()
        return Effect.sync(() => listeners.delete(look))
      })

    const port = yield* wait(() => /open: http:\/\/[^\s]*:(\d+)/.exec(output)?.[1])
    return {
      port,
      /** Waits until it has written this. */
      said: (text: string) => wait(() => output.includes(text)),
      /** Ends it at once, with no chance to finish anything. */
      kill: Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), wait(() => ended))
    }
  }
)
