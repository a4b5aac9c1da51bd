/** A store that cannot write, for real: locked by another program, on a full disk, without its thread. Over sockets. */
import { assert, it } from "@effect/vitest"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Cause, Effect, Exit, Logger, Scope } from "effect"
import Database from "libsql"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import { fileURLToPath } from "node:url"
import type { Worker } from "node:worker_threads"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"
import { connect, hasReason, survives } from "./utils/Survival.ts"
import { until } from "./utils/until.ts"

/** Collects what is logged while an effect, and what it leaves running, runs. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const texts: Array<string> = []
  const logger = Logger.make<unknown, void>(({ cause, message }) =>
    void texts.push(`${message} ${Cause.pretty(cause)}`)
  )
  return Effect.map(Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)), (value) => ({ texts, value }))
}

it.scopedLive("T4 over sockets, a store locked for longer than the retries answers nothing until it is free", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const serving = yield* logged(LogServer.serve({ filename, retriesMax: 2, retryDelay: "5 millis" }))
    const other = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(filename)),
      (db) => Effect.sync(() => db.close())
    )
    const { lost } = yield* survives(serving.value, {
      begin: Effect.sync(() => other.exec("BEGIN IMMEDIATE")),
      end: Effect.sync(() => other.exec("ROLLBACK"))
    })
    assert.isTrue(lost)
    assert.lengthOf(serving.texts.filter((text) => /commit failed.*database is locked/.test(text)), 2)
  }))

/** Whether a tool of the system does what is asked; says so if not. */
const isPossible = (what: string, command: string, ...args: ReadonlyArray<string>): boolean => {
  const { status } = ChildProcess.spawnSync(command, args, { stdio: "ignore" })
  if (status !== 0) console.log(`${what}: not possible here, so not tested (${command} ${args.join(" ")})`)
  return status === 0
}

/** Limits the size of the files a process may write; its hard limit stays. */
const limitFiles = (pid: number, bytes: number | "unlimited") =>
  Effect.sync(() => ChildProcess.execFileSync("prlimit", ["--pid", `${pid}`, `--fsize=${bytes}:`]))

/** Starts a server process on a store file, and returns it with its port. */
const start = (filename: string, options: Program.Options = {}, listenOn?: number) =>
  Effect.gen(function*() {
    const port = listenOn ?? (yield* freePort)
    const program = yield* Program.start("serve-log", [`${port}`, filename], options)
    yield* program.said("open")
    return { port, program }
  })

/** Expects that a process was told by the system what it was to be told, and nobody noticed anything else. */
const assertFailed = ({ lines }: Program.Program, why: RegExp) => {
  const failures = lines.filter((line) => line.includes("commit failed"))
  assert.lengthOf(failures, 2)
  for (const failure of failures) assert.match(failure, why)
}

it.scopedLive.skipIf(!isPossible("a limit on the size of files", "prlimit", "--fsize"))(
  "T4 over sockets, a process whose files may not grow answers nothing until they may, also if it is killed meanwhile",
  () =>
    Effect.gen(function*() {
      const filename = `${yield* Directory.temporary}/store.db`
      const { port, program } = yield* start(filename)
      const { entries, lost } = yield* survives(port, {
        begin: limitFiles(program.pid, 4096),
        end: limitFiles(program.pid, "unlimited")
      })
      assert.isTrue(lost)
      assertFailed(program, /disk I\/O error/)
      // nobody lifts the limit of the process, and another one is started without it
      const client = yield* connect(port)
      const before = yield* client.append("last")
      yield* limitFiles(program.pid, 4096)
      const call = yield* Effect.fork(client.append("after"))
      yield* until(() => client.statuses.some(hasReason("Unavailable")))
      yield* program.kill("SIGKILL")
      yield* program.ended
      assert.isNull(call.unsafePoll())
      yield* start(filename, {}, port)
      assert.strictEqual(yield* call, before + 1)
      assert.deepStrictEqual(yield* client.entries, [...entries, "last", "after"])
    })
)

/** Runs a command with a small disk of its own, which only it sees, in a directory. */
const onSmallDisk = (directory: string, bytes: number) => [
  "unshare",
  "--user",
  "--map-root-user",
  "--mount",
  "sh",
  "-c",
  `mount -t tmpfs -o size=${bytes} tmpfs '${directory}' && exec "$0" "$@"`
]

/** Writes a file until the disk is full. */
const fill = (filename: string): void => {
  const file = Fs.openSync(filename, "w")
  try {
    for (;;) Fs.writeSync(file, Buffer.alloc(4096))
  } catch (error) {
    assert.include(`${error}`, "ENOSPC")
  } finally {
    Fs.closeSync(file)
  }
}

const [unshare, ...unshareArgs] = onSmallDisk(Os.tmpdir(), 4096)

it.scopedLive.skipIf(!isPossible("a small disk", unshare!, ...unshareArgs, "true"))(
  "T4 over sockets, a server on a full disk answers nothing until there is room",
  () =>
    Effect.gen(function*() {
      const directory = yield* Directory.temporary
      const { port, program } = yield* start(`${directory}/store.db`, {
        wrapper: onSmallDisk(directory, 8 * 1024 * 1024)
      })
      // the way into what only the process sees
      const ballast = `/proc/${program.pid}/root${directory}/ballast`
      yield* survives(port, {
        begin: Effect.sync(() => fill(ballast)),
        end: Effect.sync(() => Fs.unlinkSync(ballast))
      })
      assertFailed(program, /database or disk is full/)
    })
)

/** What happens to a store that is told so before each of its transactions. */
const pragmas = {
  "a database that may not grow": {
    // it is never less than it has
    begin: "max_page_count = 1",
    end: "max_page_count = 4294967294",
    // more than what is free in it
    calls: 4,
    length: 90_000,
    wakes: true,
    why: /database or disk is full/
  },
  "a database that may only be read": {
    begin: "query_only = 1",
    end: "query_only = 0",
    calls: 20,
    length: 0,
    wakes: false,
    why: /it cannot be written \(attempt to write a readonly database\)/
  }
} as const

for (const [what, { begin, calls, end, length, wakes, why }] of Object.entries(pragmas)) {
  it.scopedLive(`T4 over sockets, ${what} answers nothing, and all calls when it may again`, () =>
    Effect.gen(function*() {
      const directory = yield* Directory.temporary
      const told = `${directory}/pragmas`
      const tell = (pragma: string) => Effect.sync(() => Fs.writeFileSync(told, pragma))
      yield* tell(end)
      const env = {
        NODE_OPTIONS: `--require ${fileURLToPath(new URL("utils/pragmas.cjs", import.meta.url))}`,
        PRAGMAS: told
      }
      const { port, program } = yield* start(`${directory}/store.db`, { env })
      const { entries, lost } = yield* survives(port, { begin: tell(begin), end: tell(end), calls, length, wakes })
      assert.isTrue(lost)
      const failures = program.lines.filter((line) => line.includes("commit failed"))
      assert.isAtLeast(failures.length, 2)
      for (const failure of failures) assert.match(failure, why)
      // what was answered is in the file, once
      yield* program.kill("SIGKILL")
      yield* program.ended
      const next = yield* start(`${directory}/store.db`)
      assert.deepStrictEqual(yield* (yield* connect(next.port)).entries, entries)
    }))
}

it.scopedLive("T4 over sockets, a store without its thread answers nothing until it is opened anew", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    let port = 0
    let worker: Worker | undefined
    let scope: Scope.CloseableScope
    const start = Effect.gen(function*() {
      process.once("worker", (it) => (worker = it))
      scope = yield* Scope.make()
      port = yield* Scope.extend(LogServer.serve({ filename }), scope)
    })
    const { texts } = yield* logged(start)
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const proxy = yield* TcpProxy.make({ target: () => port })
    const { entries } = yield* survives(proxy.port, {
      begin: Effect.promise(() => worker!.terminate()),
      end: Effect.zipRight(Effect.suspend(() => Scope.close(scope, Exit.void)), Effect.orDie(logged(start)))
    })
    assert.lengthOf(entries, 42)
    assert.match(texts.join(), /its thread has ended with code 1/)
  }))
