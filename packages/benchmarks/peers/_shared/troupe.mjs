// Troupe as its documentation sets it up: one contract, a store file, `HttpLayerRouter`, and a client per socket.
import { HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { ActorClient, Promises } from "@troupe/client"
import { Actor, Gap, Transport } from "@troupe/contract"
import { NodeActors, NodeWebSocketTransport, SqliteStore } from "@troupe/node"
import { ActorHost, ActorServer, LocalTransport } from "@troupe/server"
import { Context, Effect, Exit, Layer, Logger, LogLevel, Ref, Schema, Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

class Counter extends Actor.Tag()("Counter", {
  rpcs: RpcGroup.make(
    Rpc.make("Increment", { payload: { by: Schema.Number, op: Schema.NullOr(Schema.String) }, success: Schema.Number }),
    Rpc.make("Say", { payload: { text: Schema.String } })
  ),
  events: { said: Schema.String }
}) {}

const quiet = Logger.minimumLogLevel(LogLevel.Fatal)

export const startServer = (durability, { padding = 0 } = {}) => async (ctx) => {
  const folder = mkdtempSync(join(tmpdir(), "troupe-benchmark-"))
  const http = createServer()
  const CounterLive = Counter.toLayer(
    {
      state: Schema.Struct({ count: Schema.Number, padding: Schema.String }),
      initialState: () => ({ count: 0, padding: "x".repeat(padding) }),
      durability
    },
    (counter) =>
      Effect.succeed(counter.behavior({
        rpcs: {
          Increment: ({ by, op }) =>
            Effect.map(Ref.updateAndGet(counter.state, (state) => ({ ...state, count: state.count + by })), ({ count }) => {
              ctx.executed(op)
              return count
            }),
          Say: ({ text }) => counter.broadcast("said", text)
        }
      }))
  )
  const Host = ActorHost.layer({ idleTimeout: "1 hour" }).pipe(
    Layer.provide(SqliteStore.layer({ filename: join(folder, "counters.db") }))
  )
  const Served = HttpLayerRouter.serve(ActorServer.layer({ actors: [Counter] }), {
    disableLogger: true,
    disableListenLog: true
  })
  // a client in this process, as a backend has it
  const Backend = ActorClient.layer().pipe(Layer.provide(LocalTransport.layer({ actors: [Counter] })))
  const Live = Layer.merge(Served, Backend).pipe(
    Layer.provide(CounterLive),
    Layer.provide(Host),
    Layer.provide(NodeActors.layer(() => http, { port: 0, host: ctx.host, backlog: 1024 })),
    Layer.provide(quiet)
  )
  const scope = Effect.runSync(Scope.make())
  const client = Context.get(await Effect.runPromise(Layer.buildWithScope(Live, scope)), ActorClient.ActorClient)
  const inScope = (effect) => Effect.runPromise(Effect.provideService(effect, Scope.Scope, scope))
  const { rpc } = await inScope(client.connect(Counter, "a"))
  let actors = 0
  return {
    url: `ws://${ctx.host}:${http.address().port}/actors`,
    broadcast: (text) => Effect.runPromise(rpc.Say({ text })),
    createActors: (n) =>
      Effect.runPromise(Effect.forEach(
        Array.from({ length: n }, () => `idle ${actors++}`),
        (key) =>
          Effect.scoped(Effect.flatMap(client.connect(Counter, key), ({ rpc }) => rpc.Increment({ by: 1, op: null }))),
        { concurrency: 64, discard: true }
      )),
    stop: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

export const connect = async ({ url }) => {
  const scope = Effect.runSync(Scope.make())
  const inScope = (effect) => Effect.runPromise(Effect.provideService(effect, Scope.Scope, scope))
  const transport = NodeWebSocketTransport.make({ url })
  const client = await inScope(Effect.provideService(ActorClient.make(), Transport.Transport, transport))
  // what measures is no Effect program
  const counter = Promises.of(await inScope(client.connect(Counter, "a")))
  return {
    increment: (op) => counter.rpc.Increment({ by: 1, op: op ?? null }),
    subscribe: (f) => counter.on("said", (item) => Gap.isGap(item) || f(item)),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
