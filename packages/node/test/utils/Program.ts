/** Programs of `test/programs` as real processes, which can be killed. */
import { type Duration, Effect, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Programs from "./Programs.ts"
import { until } from "./until.ts"

const root = fileURLToPath(new URL("../../../../", import.meta.url))

/** A program takes seconds to start where others run too, and many on a machine that is busy. */
const startMax = "2 minutes"

export interface Program {
  readonly pid: number
  /** What it has written to its output so far, in lines. */
  readonly lines: ReadonlyArray<string>
  /** What it has written to its error output so far. */
  readonly errors: () => string
  /** Waits until it has written a line; a defect if it ends, or is silent, instead. */
  readonly said: (line: string) => Effect.Effect<void>
  /** Waits until it has written anything. */
  readonly speaks: Effect.Effect<void>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits for its end, and returns the code or the signal. */
  readonly ended: Effect.Effect<number | string>
  /** The same for what takes longer to end. */
  readonly endedIn: (duration: Duration.DurationInput) => Effect.Effect<number | string>
}

export interface Options {
  /** What is put in front of the command. It has to replace itself by the command, so that signals reach that. */
  readonly wrapper?: ReadonlyArray<string>
  /** Options of Node. */
  readonly flags?: ReadonlyArray<string>
  /** What is added to the environment. */
  readonly env?: Record<string, string>
}

/** Starts `test/programs/<name>.ts`. What is still running when the scope closes is killed. */
export const start = (
  name: string,
  args: ReadonlyArray<string> = [],
  { env = {}, flags = [], wrapper = [] }: Options = {}
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.gen(function*() {
    const [command, ...rest] = [...wrapper, process.execPath, ...flags, Programs.file(name), ...args]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        ChildProcess.spawn(command!, rest, {
          cwd: root,
          env: { ...process.env, ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const lines: Array<string> = []
    let line = ""
    let errors = ""
    child.stdout.on("data", (chunk: Buffer) => {
      const parts = (line + chunk.toString()).split("\n")
      line = parts.pop()!
      lines.push(...parts)
    })
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()))
    let end: number | string | undefined
    child.on("close", (code, signal) => (end = code ?? signal ?? "unknown"))
    const endedIn = (duration: Duration.DurationInput) =>
      Effect.map(until(() => end !== undefined, `${name} ends`, duration), () => end!)
    return {
      pid: child.pid!,
      lines,
      errors: () => errors,
      said: (line) =>
        until(() => lines.includes(line) || end !== undefined, `${name} says ${line}`, startMax).pipe(
          Effect.zipRight(Effect.suspend(() =>
            lines.includes(line)
              ? Effect.void
              : Effect.dieMessage(`${name} ended with ${end}: ${lines.join("\n")}${errors}`)
          ))
        ),
      speaks: until(() => lines.length > 0, `${name} says something`, startMax),
      kill: (signal) => Effect.sync(() => void child.kill(signal)),
      ended: endedIn("1 minute"),
      endedIn
    }
  })
