import { HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, Gap } from "@troupe/contract"
import { NodeActors, NodeWebSocketTransport } from "@troupe/node"
import { ActorHost, ActorServer, ActorStore } from "@troupe/server"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Context, Effect, Layer, Ref, Schedule, Schema, Stream } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { until } from "./utils/until.ts"

const clients = 4
const callsMin = 6000
const dropsMin = 80
const inFlight = 40

class Odd extends Schema.TaggedError<Odd>()("Odd", { client: Schema.Number, n: Schema.Number }) {}

const Entry = Schema.Struct({ total: Schema.Number, client: Schema.Number, n: Schema.Number })

class Ledger extends Actor.Tag<Ledger>()("Ledger", {
  rpcs: RpcGroup.make(
    Rpc.make("Write", { payload: { client: Schema.Number, n: Schema.Number }, success: Entry, error: Odd }),
    Rpc.make("Total", { success: Schema.Number })
  ),
  events: { written: Entry }
}) {}

/** Every run of a handler, by client: the numbers of its calls, in the order they ran. */
const runs = Array.from({ length: clients }, (): Array<number> => [])

/** Every eleventh call fails, and leaves no trace in the state. */
const fails = (n: number) => n % 11 === 0

const layerLedger = Ledger.toLayer(
  { state: Schema.Struct({ total: Schema.Number }), initialState: () => ({ total: 0 }) },
  (ledger) =>
    Effect.succeed(ledger.behavior({
      rpcs: {
        Write: ({ client, n }) =>
          Effect.gen(function*() {
            runs[client]!.push(n)
            const total = yield* Ref.modify(ledger.state, ({ total }) => [total + 1, { total: total + 1 }])
            yield* ledger.broadcast("written", { total, client, n })
            if (fails(n)) return yield* new Odd({ client, n })
            // some turns do not end in the tick they began in
            if (n % 5 === 0) yield* Effect.yieldNow()
            return { total, client, n }
          }),
        Total: () => Effect.map(Ref.get(ledger.state), ({ total }) => total)
      }
    }))
)

/** Serves the ledger, and returns the port. */
const serve = Effect.gen(function*() {
  const server = Http.createServer()
  yield* Layer.build(
    HttpLayerRouter.serve(ActorServer.layer({ actors: [Ledger], drainTimeout: 0 }), {
      disableListenLog: true,
      disableLogger: true
    }).pipe(
      Layer.provide(layerLedger),
      Layer.provide(ActorHost.layer()),
      Layer.provide(ActorStore.layerMemory),
      Layer.provide(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" }))
    )
  )
  return (server.address() as Net.AddressInfo).port
})

const connect = (port: number) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      ActorClient.layer({ schedule: Schedule.spaced("2 millis") }).pipe(
        Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` }))
      )
    )
    return yield* Context.get(context, ActorClient.ActorClient).connect(Ledger, "a")
  })

it.scopedLive(
  "real sockets: C4 C7 E2 S5 thousands of calls across forced drops: executed == called, in order, events gapless",
  () =>
    Effect.gen(function*() {
      const port = yield* serve
      const proxy = yield* TcpProxy.make({ target: port, seed: 42 })
      const auditor = yield* connect(port)
      const seen = { calls: 0, failures: 0, resumes: 0, reopened: 0, events: 0, gaps: 0 }
      const began = Date.now()

      const runClient = (client: number) =>
        Effect.gen(function*() {
          const ledger = yield* connect(proxy.port)
          yield* Effect.forkScoped(Stream.runForEach(ledger.status.changes, (status) =>
            Effect.sync(() => {
              if (status._tag === "Connected") seen[status.resumed ? "resumes" : "reopened"]++
            })))
          let heard = 0
          yield* Effect.forkScoped(Stream.runForEach(yield* ledger.events("written"), (event) =>
            Effect.sync(() => {
              if (Gap.isGap(event)) return void seen.gaps++
              seen.events++
              assert.strictEqual(
                event.total,
                heard === 0 ? event.total : heard + 1,
                "an event is missing, or came twice"
              )
              heard = event.total
            })))
          let n = 0
          let lastTotal = 0
          const call = (n: number) =>
            ledger.rpc.Write({ client, n }).pipe(
              Effect.match({
                onSuccess: (entry) => {
                  assert.deepStrictEqual(entry, { total: entry.total, client, n })
                  assert.isFalse(fails(n))
                  assert.isAbove(entry.total, lastTotal, "replies come in call order")
                  lastTotal = entry.total
                },
                onFailure: (error) => {
                  assert.deepStrictEqual(error, new Odd({ client, n }))
                  assert.isTrue(fails(n))
                  seen.failures++
                }
              }),
              Effect.tap(() => void seen.calls++)
            )
          while (seen.calls < callsMin || (yield* proxy.cuts) < dropsMin) {
            const first = n + 1
            n += 250
            yield* Effect.forEach(Array.from({ length: 250 }, (_, i) => first + i), call, {
              concurrency: inFlight,
              discard: true
            })
          }
          return { calls: n, heard: () => heard }
        })

      yield* proxy.cutRandomly({ bytesMax: 60_000, millisMax: 400, deafMillisMax: 15 })
      const ended = yield* Effect.all(Array.from({ length: clients }, (_, i) => runClient(i)), {
        concurrency: "unbounded"
      })
      const millis = Date.now() - began
      yield* proxy.cutRandomly(undefined)
      yield* proxy.cut
      const total = yield* auditor.rpc.Total()
      yield* until(() => ended.every(({ heard }) => heard() === total), "every client has heard the last event")

      const called = ended.reduce((sum, { calls }) => sum + calls, 0)
      const executed = runs.reduce((sum, numbers) => sum + numbers.length, 0)
      const drops = yield* proxy.cuts
      yield* Effect.sync(() =>
        process.stdout.write(
          `drop run: ${called} calls, ${executed} executed, ${seen.failures} typed failures, ${drops} drops, ${seen.resumes} resumes, ` +
            `${seen.events} events, ${seen.gaps} gaps, ${millis} ms\n`
        )
      )
      assert.isAtLeast(called, 5000)
      assert.isAtLeast(drops, 50)
      assert.strictEqual(executed, called)
      assert.strictEqual(seen.calls, called)
      ended.forEach(({ calls }, client) =>
        assert.deepStrictEqual(runs[client], Array.from({ length: calls }, (_, i) => i + 1))
      )
      assert.strictEqual(total, called - seen.failures)
      assert.strictEqual(seen.gaps, 0)
      assert.strictEqual(seen.reopened, clients, "no connection was lost")
      assert.isAbove(seen.resumes, 0)
    }),
  300_000
)
