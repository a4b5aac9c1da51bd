/** Clients whose frames are read more slowly than they send them, for longer than a link may be silent. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorHost, ActorStore, LocalTransport } from "@troupe/server"
import { RawClient, TestKit } from "@troupe/testing"
import { pass } from "@troupe/testing/TestTime"
import { Effect, Fiber, Layer, Ref, Schema, Stream } from "effect"

class Counter extends Actor.Tag<Counter>()("SlowedCounter", {
  rpcs: RpcGroup.make(Rpc.make("Add", { success: Schema.Int }))
}) {}

const CounterLive = Counter.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (counter) => Effect.succeed(counter.behavior({ rpcs: { Add: () => Ref.updateAndGet(counter.state, (n) => n + 1) } }))
)

const layer = TestKit.layer({
  actors: [Counter],
  implementations: CounterLive,
  gateway: { framesPerSecond: 5, silence: "4 seconds", heartbeat: "2 seconds" }
})

it.scoped("framesPerSecond: a link whose frames wait for longer than the silence is not taken for dead, by either side", () =>
  Effect.gen(function*() {
    const counter = yield* ActorClient.connect(Counter, "a")
    const statuses: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(counter.status.changes, ({ _tag }) => Effect.sync(() => void statuses.push(_tag)))
    )
    yield* pass("5 seconds")
    for (const _ of [1, 2]) {
      const adding = yield* Effect.fork(
        Effect.all(Array.from({ length: 100 }, () => counter.rpc.Add()), { concurrency: "unbounded" })
      )
      yield* pass("1 second")
      // it waits behind those
      const last = yield* Effect.fork(counter.rpc.Add())
      yield* pass("1 minute")
      const before = yield* Fiber.join(adding)
      assert.strictEqual(yield* Fiber.join(last), before.at(-1)! + 1)
    }
    assert.deepStrictEqual(statuses, ["Connected"])
  }).pipe(Effect.provide(layer)))

const local = LocalTransport.layer({ actors: [Counter], framesPerSecond: 5 }).pipe(
  Layer.provide(CounterLive),
  Layer.provide(ActorHost.layer()),
  Layer.provide(ActorStore.layerMemory)
)

it.scoped("framesPerSecond: what is sent too fast inside one process waits as in a network, in order", () =>
  Effect.gen(function*() {
    const client = yield* RawClient.make
    const pongs = () => client.heard.filter(({ _tag }) => _tag === "Pong").length
    const ping = { _tag: "Ping" }
    yield* client.say(RawClient.hello, RawClient.open(Counter, "a"))
    yield* client.say(...Array.from({ length: 48 }, () => ping))
    yield* client.say(ping, ping)
    yield* client.say(RawClient.request(1, "Add"))
    assert.strictEqual(pongs(), 48)
    yield* pass("8 seconds")
    assert.strictEqual(pongs(), 48)
    yield* pass("4 seconds")
    assert.strictEqual(pongs(), 50)
    assert.lengthOf(client.of("Message"), 1)
  }).pipe(Effect.provide(local)))

it.scoped("framesPerSecond: a link that says nothing any more is found dead when what waited has been read", () =>
  Effect.gen(function*() {
    const client = yield* RawClient.make
    yield* client.say(RawClient.hello, RawClient.open(Counter, "a"))
    yield* client.say(...Array.from({ length: 100 }, () => ({ _tag: "Ping" })))
    yield* pass("15 seconds")
    assert.lengthOf(client.heard.filter(({ _tag }) => _tag === "LinkClosed"), 0)
    yield* pass("15 seconds")
    assert.lengthOf(client.heard.filter(({ _tag }) => _tag === "LinkClosed"), 1)
  }).pipe(Effect.provide(layer)))
