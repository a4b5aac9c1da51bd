/** Headers of a call, as in @effect/rpc: sent by the caller, given to the handler. */
import { Headers } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Effect, Layer, Option, Schema } from "effect"

class Echo extends Actor.Tag<Echo>()("Echo", {
  rpcs: RpcGroup.make(Rpc.make("Locale", { success: Schema.String })),
  internal: RpcGroup.make(Rpc.make("Trace", { success: Schema.String }))
}) {}

const header = (name: string, headers: Headers.Headers) => Option.getOrElse(Headers.get(headers, name), () => "none")

const EchoLive = Echo.toLayer(
  { state: Schema.Null, initialState: () => null },
  (echo) =>
    Effect.succeed(echo.behavior({
      rpcs: { Locale: (_, { headers }) => Effect.succeed(header("accept-language", headers)) },
      internal: { Trace: (_, { headers }) => Effect.succeed(header("x-trace", headers)) }
    }))
)

const Live = ActorClient.layer().pipe(
  Layer.provide(MemoryTransport.layerServer({ actors: [Echo] })),
  Layer.provideMerge(EchoLive),
  Layer.provide(ActorHost.layer()),
  Layer.provide(Layer.mergeAll(ActorStore.layerMemory, MemoryTransport.layer))
)

it.scoped("the headers of a call reach its handler, and no other's", () =>
  Effect.gen(function*() {
    const echo = yield* ActorClient.connect(Echo, "a")
    const [first, second] = yield* Effect.all(
      [echo.rpc.Locale(undefined, { headers: { "Accept-Language": "de" } }), echo.rpc.Locale()],
      { concurrency: 2 }
    )
    assert.deepStrictEqual([first, second], ["de", "none"])
    const backend = (yield* Echo).get("a")
    assert.strictEqual(yield* backend.Trace(undefined, { headers: { "x-trace": "1" } }), "1")
    assert.strictEqual(yield* backend.Trace(), "none")
    // what no type would let pass
    const number: Headers.Input = { "accept-language": 7 as unknown as string }
    assert.strictEqual(yield* echo.rpc.Locale(undefined, { headers: number }), "7")
  }).pipe(Effect.provide(Live)))
