/** Another program that uses a database: in a process of its own, because SQLite knows of all connections within one. */
import { Effect, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import { fileURLToPath } from "node:url"

/** Where `libsql` is found. */
const cwd = fileURLToPath(new URL("../..", import.meta.url))

const open = "const Database = require('libsql'); const db = new Database(process.argv[1]); db.exec(process.argv[2]);"

const run = (program: string, filename: string, sql: string) =>
  ChildProcess.spawn(process.execPath, ["-e", program, filename, sql], { cwd, stdio: ["pipe", "pipe", "inherit"] })

/** Opens a database, does something with it, and closes it. */
export const sql = (filename: string, sql: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    run(`${open} db.close()`, filename, sql).on(
      "close",
      (code) => resume(code === 0 ? Effect.void : Effect.dieMessage(`it ended with ${code}: ${sql}`))
    )
  })

/** The same, but keeps it open until the scope closes, and is killed then. */
export const holding = (filename: string, sql: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<ChildProcess.ChildProcess>((resume) => {
      const child = run(`${open} console.log('open'); process.stdin.resume()`, filename, sql)
      child.stdout.once("data", () => resume(Effect.succeed(child)))
      child.once("close", (code) => resume(Effect.dieMessage(`it ended with ${code}: ${sql}`)))
    }),
    (child) =>
      Effect.async<void>((resume) => {
        child.once("close", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
