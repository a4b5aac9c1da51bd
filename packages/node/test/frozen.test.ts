/** A server process that is frozen for longer than it waits for its clients, and goes on. On a store file, over sockets. */
import { assert, it } from "@effect/vitest"
import { ConnectionStatus } from "@troupe/client"
import { Gap } from "@troupe/contract"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Fiber, Stream } from "effect"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import * as LogServer from "./utils/LogServer.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"

const resumeWindow = 300
const silence = 400

/** Longer than the server looks for a sign of life, and waits for who has gone. */
const frozenFor = 3 * (silence + resumeWindow)

const serve = Effect.gen(function*() {
  const port = yield* freePort
  const filename = `${yield* Directory.temporary}/store.db`
  const options = { host: { resumeWindow }, gateway: { heartbeat: 100, silence } }
  const program = yield* Program.start("serve-log", [`${port}`, filename, JSON.stringify(options)])
  yield* program.said("open")
  return { port, program }
})

/** A client that notes what it is told. */
const connect = (port: number) =>
  Effect.gen(function*() {
    const log = yield* LogServer.connect(port, { dialTimeout: "200 millis" })
    const heard: Array<string> = []
    yield* Effect.forkScoped(Stream.runForEach(yield* log.events("appended"), (event) =>
      Effect.sync(() =>
        void heard.push(Gap.isGap(event) ? "gap" : event.entry)
      )))
    return { heard, log }
  })

it.scopedLive("C9 E3 a server frozen beyond the resume window, and its links with it: calls run once, and no loss is silent", () =>
  Effect.gen(function*() {
    const { port, program } = yield* serve
    const { heard, log } = yield* connect(port)
    const entries: Array<string> = []
    let lost = 0
    for (const round of [1, 2, 3]) {
      const before = yield* log.rpc.WhoAmI()
      const told = heard.length
      yield* program.kill("SIGSTOP")
      const mine = ["a", "b", "c"].map((letter) => `${round}${letter}`)
      const calls = yield* Effect.forEach(mine, (entry) => Effect.fork(log.rpc.Append({ entry })))
      yield* Effect.sleep(frozenFor)
      assert.strictEqual((yield* log.status.get)._tag === "Connected", false)
      assert.deepStrictEqual(calls.map((call) => call.unsafePoll()), [null, null, null])
      yield* program.kill("SIGCONT")
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), mine.map((_, i) => entries.length + i + 1))
      entries.push(...mine)
      assert.deepStrictEqual(yield* log.rpc.Entries(), entries)
      // what it does first is its own affair: either it lets the client come back, or it has let it go and says so
      const resumed = (yield* log.rpc.WhoAmI()).id === before.id
      if (!resumed) lost++
      assert.deepStrictEqual(yield* log.status.get, ConnectionStatus.Connected({ resumed }))
      if (resumed) yield* until(() => heard.length === told + mine.length, "all is heard")
      else assert.include(heard.slice(told), "gap")
    }
    console.log(`of 3 times it was frozen, the connection was lost ${lost} times`)
    assert.strictEqual((yield* log.status.get)._tag, "Connected")
  }))

it.scopedLive("E3 a server that is frozen while it waits for a client has let it go when it goes on, and the client is told", () =>
  Effect.gen(function*() {
    const { port, program } = yield* serve
    const proxy = yield* TcpProxy.make({ target: port })
    const { heard, log } = yield* connect(proxy.port)
    const entries: Array<string> = []
    const ids = new Set([(yield* log.rpc.WhoAmI()).id])
    for (const round of [1, 2, 3]) {
      yield* proxy.setRefusing(true)
      yield* proxy.reset
      yield* until(() => Effect.runSync(log.status.get)._tag === "Waiting", "the client has noticed")
      // so has the server, which needs a moment: it begins to wait, and is frozen
      yield* (yield* LogServer.connect(port)).rpc.WhoAmI()
      yield* program.kill("SIGSTOP")
      const call = yield* Effect.fork(log.rpc.Append({ entry: `${round}` }))
      yield* proxy.setRefusing(false)
      yield* Effect.sleep(frozenFor)
      yield* program.kill("SIGCONT")
      entries.push(`${round}`)
      assert.strictEqual(yield* Fiber.join(call), entries.length)
      assert.deepStrictEqual(yield* log.status.get, ConnectionStatus.Connected({ resumed: false }))
      ids.add((yield* log.rpc.WhoAmI()).id)
      assert.deepStrictEqual(yield* log.rpc.Entries(), entries)
    }
    assert.strictEqual(ids.size, 4)
    assert.strictEqual(heard.filter((entry) => entry === "gap").length, 3)
  }))
