/** A store that cannot write, for real: locked by another program, on a full disk, without its thread. Over sockets. */
import { assert, it, vi } from "@effect/vitest"
import type { ConnectionStatus } from "@troupe/client"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Cause, Effect, Exit, Fiber, Logger, Scope, Stream } from "effect"
import Database from "libsql"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import type { Worker } from "node:worker_threads"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"

vi.setConfig({ testTimeout: 60_000 })

/** What breaks a store, and what mends it. */
interface Failure {
  readonly begin: Effect.Effect<unknown>
  readonly end: Effect.Effect<unknown>
}

const hasReason = (tag: "ActivationLost" | "Unavailable") => (status: ConnectionStatus.ConnectionStatus) =>
  status._tag === "Waiting" && status.cause._tag === "NotOpened" && status.cause.reason._tag === tag

/** A client that notes all it is told. */
const connect = (port: number) =>
  Effect.gen(function*() {
    // so that only the first loss of a connection is made good at once, and the reasons of the others can be seen
    const log = yield* LogServer.connect(port, { stableAfter: "1 hour" })
    const statuses: Array<ConnectionStatus.ConnectionStatus> = []
    const answers: Array<number> = []
    const heard: Array<unknown> = []
    yield* Effect.forkScoped(
      Stream.runForEach(log.status.changes, (status) => Effect.sync(() => statuses.push(status)))
    )
    yield* Effect.forkScoped(
      Stream.runForEach(yield* log.events("appended"), (event) => Effect.sync(() => heard.push(event)))
    )
    const append = (entry: string) =>
      Effect.tap(log.rpc.Append({ entry }), (count) => Effect.sync(() => answers.push(count)))
    return { append, answers, entries: log.rpc.Entries(), heard, statuses }
  })

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)

/** Calls a server whose store fails meanwhile, twice, and finds each call executed once, in order, after the recovery. */
const survives = (port: number, { begin, end }: Failure) =>
  Effect.gen(function*() {
    const client = yield* connect(port)
    const entries: Array<string> = []
    let lost = false
    for (const round of [1, 2]) {
      const before = yield* client.append(`${round}`)
      entries.push(`${round}`)
      assert.strictEqual(before, entries.length)
      yield* until(() => client.heard.length >= client.answers.length)
      yield* begin
      const told = { answers: client.answers.length, heard: client.heard.length }
      client.statuses.length = 0
      const mine = numbers(0, 20).map((i) => `${round}-${i}`)
      const calls = yield* Effect.forEach(mine, (entry) => Effect.fork(client.append(entry)))
      // the next activation cannot be had either, however often it is asked for
      yield* until(() => client.statuses.filter(hasReason("Unavailable")).length >= 3, "the actor is unavailable")
      // a first loss on a link is made good at once, and its reason is not shown
      lost ||= client.statuses.some(hasReason("ActivationLost"))
      assert.isFalse(client.statuses.some(({ _tag }) => _tag === "Connected"))
      assert.deepStrictEqual({ answers: client.answers.length, heard: client.heard.length }, told)
      yield* end
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), numbers(before + 1, mine.length))
      entries.push(...mine)
    }
    assert.deepStrictEqual(yield* client.entries, entries)
    return { entries, lost }
  })

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
const start = (filename: string, wrapper: ReadonlyArray<string> = [], listenOn?: number) =>
  Effect.gen(function*() {
    const port = listenOn ?? (yield* freePort)
    const program = yield* Program.start("serve-log", [`${port}`, filename], { wrapper })
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
      yield* start(filename, [], port)
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
      const { port, program } = yield* start(`${directory}/store.db`, onSmallDisk(directory, 8 * 1024 * 1024))
      // the way into what only the process sees
      const ballast = `/proc/${program.pid}/root${directory}/ballast`
      yield* survives(port, {
        begin: Effect.sync(() => fill(ballast)),
        end: Effect.sync(() => Fs.unlinkSync(ballast))
      })
      assertFailed(program, /database or disk is full/)
    })
)

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
