/** A real server process on a real file, killed with SIGKILL under load of client processes, and started again. */
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { NodeWebSocketTransport } from "@troupe/node"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Clock, Context, Effect, Layer, Random, Schedule } from "effect"
import * as Directory from "./utils/Directory.ts"
import { freePort } from "./utils/freePort.ts"
import { Journal, Ledger } from "./utils/Ledger.ts"
import * as Program from "./utils/Program.ts"

/** A call, and the places of its entry as it was answered. `journal` is 0 if the call was for the ledger only. */
interface Answered {
  readonly key: string
  readonly entry: string
  readonly ledger: number
  readonly journal: number
}

const keys = ["a", "b", "c"]

/** Kills and restarts the server so and so often, while client processes call it; returns what they were answered. */
const crashRun = (options: { readonly kills: number; readonly clients: number }) =>
  Effect.gen(function*() {
    const port = yield* freePort
    const filename = `${yield* Directory.temporary}/store.db`
    const proxy = yield* TcpProxy.make({ target: port })
    const serve = Effect.tap(Program.start("serve-ledgers", [`${port}`, filename]), ({ said }) => said("open"))
    let server = yield* serve
    const clients = yield* Effect.forEach(
      Array.from({ length: options.clients }, (_, i) => `client${i}`),
      (name) => Program.start("append-ledgers", [`${proxy.port}`, name, ...keys])
    )
    for (let kill = 0; kill < options.kills; kill++) {
      yield* Effect.sleep(yield* Random.nextIntBetween(100, 400))
      // half of the time answers are lost from here on, so that calls are committed which the clients will ask for again
      if (kill % 2 === 0)
        yield* Effect.zipRight(proxy.blackHole("toClient"), Effect.sleep(yield* Random.nextIntBetween(10, 60)))
      yield* server.kill("SIGKILL")
      yield* server.ended
      // a black hole does not tell that the server has gone
      yield* proxy.reset
      server = yield* serve
    }
    yield* Effect.forEach(clients, (client) => client.kill("SIGTERM"))
    yield* Effect.forEach(clients, ({ ended, errors }) =>
      Effect.map(ended, (end) => assert.strictEqual(end, 0, errors())), { concurrency: "unbounded" })
    const answered = clients.flatMap(({ lines }) =>
      lines.filter((line) =>
        line !== ""
      ).map((line) => JSON.parse(line) as Answered)
    )
    return { answered, port }
  })

/** What the ledgers and journals hold in the end. */
const readAll = (port: number) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      ActorClient.layer({ schedule: Schedule.spaced("20 millis") }).pipe(
        Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` }))
      )
    )
    const { connect } = Context.get(context, ActorClient.ActorClient)
    return yield* Effect.forEach(keys, (key) =>
      Effect.gen(function*() {
        const ledger = yield* Effect.flatMap(connect(Ledger, key), ({ rpc }) => rpc.Entries())
        const journal = yield* Effect.flatMap(connect(Journal, key), ({ rpc }) => rpc.Entries())
        return { key, ledger, journal }
      }))
  })

/** How often something occurs that should occur once. */
const tally = (expected: ReadonlyArray<string>, found: ReadonlyArray<string>) => {
  const counts = new Map<string, number>()
  for (const entry of found) counts.set(entry, (counts.get(entry) ?? 0) + 1)
  return {
    lost: expected.filter((entry) => !counts.has(entry)).length,
    doubled: found.length - counts.size,
    unknown: found.filter((entry) => !expected.includes(entry)).length
  }
}

/** How many entries stand behind a later one of their client. */
const disorder = (entries: ReadonlyArray<string>) => {
  const last = new Map<string, number>()
  return entries.filter((entry) => {
    const [client, text] = entry.split("-") as [string, string]
    const number = Number(text)
    const before = last.get(client) ?? -1
    last.set(client, Math.max(before, number))
    return number < before
  }).length
}

it.scopedLive(
  "T3 C7 a server killed under load of 4 client processes: each call takes effect once, in order, and is answered",
  () =>
    Effect.gen(function*() {
      const kills = 20
      const began = yield* Clock.currentTimeMillis
      const { answered, port } = yield* crashRun({ kills, clients: 4 })
      const held = yield* readAll(port)
      const seconds = Math.round(((yield* Clock.currentTimeMillis) - began) / 1000)
      const totals = { calls: answered.length, lost: 0, doubled: 0, unknown: 0, disordered: 0, misplaced: 0 }
      for (const { journal, key, ledger } of held) {
        const mine = answered.filter((answer) => answer.key === key)
        const both = mine.filter((answer) => answer.journal > 0)
        for (
          const { lost, doubled, unknown } of [
            tally(mine.map(({ entry }) => entry), ledger),
            tally(both.map(({ entry }) => entry), journal)
          ]
        ) {
          totals.lost += lost
          totals.doubled += doubled
          totals.unknown += unknown
        }
        totals.disordered += disorder(ledger) + disorder(journal)
        // the answer named the place at which the call had its effect
        const isMisplaced = (answer: Answered) =>
          ledger[answer.ledger - 1] !== answer.entry ||
          (answer.journal > 0 && journal[answer.journal - 1] !== answer.entry)
        totals.misplaced += mine.filter(isMisplaced).length
      }
      console.log(`crash run: ${kills} kills in ${seconds} s, ${JSON.stringify(totals)}`)
      assert.isAbove(totals.calls, kills * 12)
      const { calls: _, ...wrong } = totals
      assert.deepStrictEqual(wrong, { lost: 0, doubled: 0, unknown: 0, disordered: 0, misplaced: 0 })
    }),
  300_000
)
