/** What the server's types promise across packages. Checked by `tsc`. */
// @effect-diagnostics missingEffectContext:off missingEffectError:off missingLayerContext:off
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, type ActorHost as ActorHostTag, type Transport } from "@troupe/contract"
import { ActorHost, ActorServer, ActorStore, type Connections, type LinkListener, LocalTransport } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Effect, Layer, Schema } from "effect"
import { expectTypeOf } from "vitest"

const rpcs = RpcGroup.make(Rpc.make("Increment", { success: Schema.Number }))

class Counter extends Actor.Tag<Counter>()("Counter", { rpcs }) {}
class Match extends Actor.Tag<Match>()("Match", { rpcs }) {}

const options = { state: Schema.Number, initialState: () => 0 }
const behavior = { rpcs: { Increment: () => Effect.succeed(1) } }
const CounterLive = Counter.toLayer(options, () => Effect.succeed(behavior))
const MatchLive = Match.toLayer(options, () => Effect.succeed(behavior))

const server = ActorServer.layer({ actors: [Counter, Match] })

it("the server needs an implementation of each of its actors", () => {
  expectTypeOf(server).toEqualTypeOf<
    Layer.Layer<never, never, LinkListener.LinkListener | Connections.Connections | Counter | Match>
  >()
  const host = ActorHost.layer().pipe(Layer.provide(ActorStore.layerMemory))
  const complete = server.pipe(Layer.provide(Layer.merge(CounterLive, MatchLive)), Layer.provide(host))
  expectTypeOf(complete).toEqualTypeOf<Layer.Layer<never, never, LinkListener.LinkListener>>()
  const listening = (layer: Layer.Layer<never, never, LinkListener.LinkListener>) => assert.isTrue(Layer.isLayer(layer))
  listening(complete)
  // @ts-expect-error nobody implements Match
  listening(server.pipe(Layer.provide(CounterLive), Layer.provide(host)))
  // @ts-expect-error not a contract
  void (() => ActorServer.layer({ actors: ["Counter"] }))
  assert.isTrue(Layer.isLayer(complete))
})

it("links within the process, and in memory, need an implementation of each of their actors", () => {
  const options = { actors: [Counter, Match] } as const
  expectTypeOf(LocalTransport.layer(options)).toEqualTypeOf<
    Layer.Layer<Transport.Transport, never, Connections.Connections | Counter | Match>
  >()
  expectTypeOf(MemoryTransport.layerServer(options)).toEqualTypeOf<
    Layer.Layer<never, never, Connections.Connections | MemoryTransport.MemoryNetwork | Counter | Match>
  >()
})

it("a host needs a store, and provides what implementations and gateways ask for", () => {
  expectTypeOf(ActorHost.layer).returns.toEqualTypeOf<
    Layer.Layer<ActorHostTag.ActorHost | Connections.Connections, never, ActorStore.ActorStore>
  >()
})
