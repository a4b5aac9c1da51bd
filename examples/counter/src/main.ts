/** The whole story on one page: a contract, its implementation, a server, and a client that goes offline and comes back. */
import { HttpLayerRouter, HttpServer } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Rpc, RpcGroup } from "@effect/rpc"
import { ActorClient } from "@troupe/client"
import { Actor, Gap } from "@troupe/contract"
import { NodeActors, NodeWebSocketTransport, SqliteStore } from "@troupe/node"
import { ActorHost, ActorServer } from "@troupe/server"
import { Config, Console, Effect, Fiber, Layer, Ref, Schema, Stream } from "effect"
import { createServer } from "node:http"

// The contract: what both sides know. A browser could import it.
class Counter extends Actor.Tag<Counter>()("Counter", {
  rpcs: RpcGroup.make(Rpc.make("Increment", { payload: { by: Schema.Int }, success: Schema.Int })),
  events: { counted: Schema.Int }
}) {}

// The implementation: one call at a time, and what it changes is stored before anybody hears of it.
const CounterLive = Counter.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (counter) =>
    Effect.succeed(counter.behavior({
      rpcs: {
        Increment: ({ by }) =>
          Ref.updateAndGet(counter.state, (count) => count + by).pipe(
            Effect.tap((count) => counter.broadcast("counted", count))
          )
      }
    }))
)

// The server: actors beside the routes of an app, on a SQLite file. Port 0 takes a free one.
const ServerLive = HttpLayerRouter.serve(ActorServer.layer({ actors: [Counter] }), {
  disableLogger: true,
  disableListenLog: true
}).pipe(
  Layer.provide(CounterLive),
  Layer.provide(ActorHost.layer()),
  Layer.provide(Layer.unwrapEffect(Effect.map(
    Config.withDefault(Config.string("TROUPE_DB"), "counter.db"),
    (filename) => SqliteStore.layer({ filename })
  ))),
  Layer.provideMerge(NodeActors.layer(createServer, { port: 0 }))
)

// The client: one link to the server, over a real socket.
const ClientLive = Layer.unwrapEffect(
  HttpServer.addressFormattedWith((address) =>
    Effect.succeed(Layer.provide(ActorClient.layer(), NodeWebSocketTransport.layer({ url: `${address}/actors` })))
  )
)

const story = Effect.gen(function*() {
  const client = yield* ActorClient.ActorClient
  const counter = yield* ActorClient.connect(Counter, "apples", { events: ["counted"] })
  yield* Console.log("connected")

  const counted = yield* counter.events("counted")
  const watching = yield* Gap.ignore(counted).pipe(
    Stream.take(3),
    Stream.runForEach((count) => Console.log(`  everybody hears: ${count}`)),
    Effect.fork
  )
  yield* Console.log(`a call answers: ${yield* counter.rpc.Increment({ by: 1 })}`)

  yield* client.pause
  yield* Console.log("offline; two calls are made and wait")
  const calls = yield* Effect.fork(Effect.all([counter.rpc.Increment({ by: 2 }), counter.rpc.Increment({ by: 3 })], {
    concurrency: "unbounded"
  }))
  yield* Stream.runHead(Stream.filter(counter.pending.changes, (pending) => pending === 2))
  yield* client.resume
  yield* Console.log(`online again; each was counted once, in order: ${(yield* Fiber.join(calls)).join(", ")}`)

  yield* Fiber.join(watching)
  yield* Console.log("the file remembers: run it again, and it goes on from there")
})

NodeRuntime.runMain(story.pipe(Effect.scoped, Effect.provide(Layer.provideMerge(ClientLive, ServerLive))))
