/**
 * A server process on a store file is killed with SIGKILL at random moments, again and again, while client processes call
 * it, and started again. Then what the clients were answered is compared with what the file holds.
 */
import { ActorClient } from "@troupe/client"
import { NodeWebSocketTransport } from "@troupe/node"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Clock, Context, Effect, Layer, Random, Schedule } from "effect"
import * as Directory from "../test/utils/Directory.ts"
import { freePort } from "../test/utils/freePort.ts"
import { Journal, Ledger, Slip } from "../test/utils/Ledger.ts"
import * as Program from "../test/utils/Program.ts"
import type { Answer, Held } from "./Answer.ts"
import * as Findings from "./Findings.ts"

export interface Options {
  readonly kills: number
  /** How many processes call. */
  readonly clients: number
  /** No more kills after so long. Default: as long as they take. */
  readonly secondsMax?: number
  /** Is told how many kills there have been. */
  readonly onKill?: (kills: number) => void
}

export interface Report extends Findings.Findings {
  readonly kills: number
  /** Calls that have ended. */
  readonly calls: number
  /** Those among them whose caller was told that the outcome is unknown: streams, and calls of the backend. */
  readonly unknown: number
  readonly ledgers: number
  /** Calls that have not ended a minute after the last start. */
  readonly hung: ReadonlyArray<string>
  readonly seconds: number
}

/** Each client is in a session on a ledger of each of them. */
const lanes = ["a", "b", "c"]

const startServer = (port: number, filename: string) =>
  Effect.tap(Program.start("serve-ledgers", [`${port}`, filename]), ({ said }) => said("open"))

/** Lets a server live for a moment, and kills it. */
const kill = (server: Program.Program, proxy: TcpProxy.TcpProxy) =>
  Effect.gen(function*() {
    yield* Effect.sleep(yield* Random.nextIntBetween(50, 800))
    // half of the time answers are lost from here on, so that calls are committed which the clients will ask for again
    if (yield* Random.nextBoolean) {
      yield* proxy.blackHole("toClient")
      yield* Effect.sleep(yield* Random.nextIntBetween(10, 60))
    }
    yield* server.kill("SIGKILL")
    yield* server.ended
    yield* proxy.cut
  })

/** Tells a client to make no more calls, and waits for its end. Fails with what it says if it fails. */
const dismiss = (client: Program.Program) =>
  Effect.gen(function*() {
    yield* client.kill("SIGTERM")
    const end = yield* client.endedIn("100 seconds")
    if (end !== 0) return yield* Effect.dieMessage(`a client has ended with ${end}: ${client.errors()}`)
  })

const run = (options: Options) =>
  Effect.gen(function*() {
    const port = yield* freePort
    const filename = `${yield* Directory.temporary}/store.db`
    const proxy = yield* TcpProxy.make({ target: port })
    const began = yield* Clock.currentTimeMillis
    let server = yield* startServer(port, filename)
    const clients = yield* Effect.forEach(
      Array.from({ length: options.clients }, (_, i) => `${i + 1}`),
      (name) => Program.start("call-ledgers", [`${proxy.port}`, name, ...lanes])
    )
    // the first server is not killed before they have all come
    yield* Effect.forEach(clients, ({ speaks }) => speaks)
    const secondsMax = options.secondsMax ?? Infinity
    let kills = 0
    while (kills < options.kills && (yield* Clock.currentTimeMillis) - began < secondsMax * 1000) {
      yield* kill(server, proxy)
      options.onKill?.(++kills)
      server = yield* startServer(port, filename)
    }
    yield* Effect.forEach(clients, dismiss, { concurrency: "unbounded" })
    const written = clients.flatMap(({ lines }) =>
      lines.map((line) => JSON.parse(line) as Answer | { readonly hung: ReadonlyArray<string> })
    )
    const answers = written.filter((line): line is Answer => "entry" in line)
    const hung = written.flatMap((line) => "hung" in line ? line.hung : [])
    return { answers, hung, kills, port, seconds: ((yield* Clock.currentTimeMillis) - began) / 1000 }
  })

/** What ledgers, journals and slips hold in the end. */
const readAll = (port: number, keys: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      ActorClient.layer({ schedule: Schedule.spaced("20 millis") }).pipe(
        Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` }))
      )
    )
    const { connect } = Context.get(context, ActorClient.ActorClient)
    return yield* Effect.forEach(keys, (key) =>
      Effect.scoped(Effect.gen(function*() {
        const ledger = yield* Effect.flatMap(connect(Ledger, key), ({ rpc }) => rpc.Entries())
        const journal = yield* Effect.flatMap(connect(Journal, key), ({ rpc }) => rpc.Entries())
        const slip = yield* Effect.flatMap(connect(Slip, key), ({ rpc }) => rpc.Entries())
        return { key, ledger, journal, slip } satisfies Held
      })))
  })

/** Makes a run, and says what was found. Takes real time. */
export const make = (options: Options): Effect.Effect<Report> =>
  Effect.gen(function*() {
    const { answers, hung, kills, port, seconds } = yield* run(options)
    const keys = Array.from(new Set(answers.map(({ key }) => key))).sort()
    const held = yield* Effect.orDie(readAll(port, keys))
    return {
      kills,
      calls: answers.length,
      unknown: answers.filter(({ end }) => end === "unknown").length,
      ledgers: keys.length,
      ...Findings.of(answers, held),
      hung,
      seconds: Math.round(seconds)
    }
  }).pipe(Effect.scoped)

/** Whether there is nothing that must not be. */
export const isWell = ({ doubled, foreign, hung, lost, outOfOrder }: Report): boolean =>
  lost + doubled + foreign + outOfOrder + hung.length === 0
