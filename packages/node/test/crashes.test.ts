/** A real server process on a real file, killed with SIGKILL under load, and started again. */
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { NodeWebSocketTransport } from "@troupe/node"
import { Context, Effect, Fiber, Layer, Random, Schedule } from "effect"
import * as ChaosProxy from "./utils/ChaosProxy.ts"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import { Log } from "./utils/Log.ts"
import * as Program from "./utils/Program.ts"

const kills = 6
const writers = 8

it.scopedLive(
  "C7 a server that is killed again and again: each call is executed once, in order, and answered",
  () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const filename = `${yield* Directory.temporary}/store.db`
      const proxy = yield* ChaosProxy.make({ target: port })
      const client = yield* Layer.build(
        ActorClient.layer({ schedule: Schedule.spaced("20 millis") }).pipe(
          Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${proxy.port}/actors` }))
        )
      )
      const { connect } = Context.get(client, ActorClient.ActorClient)
      const start = Effect.tap(Program.start("serve-log", [`${port}`, filename]), ({ said }) => said("open"))
      let server = yield* start
      let stop = false

      /** Calls until it is told to stop, several at a time; returns what it was answered. */
      const writer = (name: number) =>
        Effect.gen(function*() {
          const log = yield* connect(Log, "a")
          const answers: Array<number> = []
          for (let i = 0; !stop; i += 4) {
            const entries = [i, i + 1, i + 2, i + 3].map((n) => `${name}-${n}`)
            answers.push(
              ...(yield* Effect.forEach(entries, (entry) => log.rpc.Append({ entry }), { concurrency: "unbounded" }))
            )
          }
          return answers
        })
      const writing = yield* Effect.forEach(
        Array.from({ length: writers }, (_, i) => i),
        (name) => Effect.fork(writer(name))
      )
      for (let kill = 0; kill < kills; kill++) {
        yield* Effect.sleep(yield* Random.nextIntBetween(50, 400))
        // answers are lost from here on, so that calls are committed which the clients will ask for again
        if (kill % 3 !== 2) yield* Effect.zipRight(proxy.deafen, Effect.sleep("100 millis"))
        yield* server.kill("SIGKILL")
        yield* server.ended
        server = yield* start
      }
      yield* Effect.sleep("100 millis")
      stop = true
      const answers = yield* Effect.forEach(writing, Fiber.join)
      const entries = yield* Effect.flatMap(connect(Log, "a"), (log) => log.rpc.Entries())
      const calls = answers.flat().length
      console.log(`crash run: ${kills} kills, ${calls} calls, ${entries.length} executed`)
      assert.isAbove(calls, 100)
      // each once: as many as there were answers, all different, each in the place its answer named
      assert.lengthOf(entries, calls)
      assert.lengthOf(new Set(entries), calls)
      answers.forEach((numbers, name) => {
        const mine = entries.flatMap((entry, at) => entry.startsWith(`${name}-`) ? [at + 1] : [])
        assert.deepStrictEqual(numbers, mine)
        assert.deepStrictEqual(mine.map((at) => entries[at - 1]), numbers.map((_, i) => `${name}-${i}`))
      })
    }),
  60_000
)
