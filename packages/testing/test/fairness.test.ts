/** A loop of calls that never waits for anything outside does not keep the process from everything else. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorHost, ActorStore, LocalTransport } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Effect, Layer, Ref, Schema, Stream } from "effect"

class Counter extends Actor.Tag<Counter>()("Counter", {
  rpcs: RpcGroup.make(Rpc.make("Add", { success: Schema.Number }), Rpc.make("Tell")),
  events: { told: Schema.Number },
  internal: RpcGroup.make(Rpc.make("Count", { success: Schema.Number }))
}) {}

const CounterLive = Counter.toLayer(
  { state: Schema.Number, initialState: () => 0, durability: "memory" },
  (counter) =>
    Effect.succeed(counter.behavior({
      rpcs: {
        Add: () => Ref.updateAndGet(counter.state, (n) => n + 1),
        Tell: () => Effect.flatMap(Ref.updateAndGet(counter.state, (n) => n + 1), (n) => counter.broadcast("told", n))
      },
      internal: { Count: () => Ref.get(counter.state) }
    }))
)

const Live = ActorClient.layer().pipe(
  Layer.provideMerge(LocalTransport.layer({ actors: [Counter] })),
  Layer.provideMerge(CounterLive),
  Layer.provideMerge(ActorHost.layer()),
  Layer.provide(ActorStore.layerMemory)
)

const calls = 20_000

/** Makes so many calls, one after another, and returns how many were left when a timer of no delay fired. */
const leftWhenTimerFires = <E>(call: Effect.Effect<unknown, E>) =>
  Effect.gen(function*() {
    let left = calls
    let seen: number | undefined
    setTimeout(() => {
      seen = left
    }, 0)
    yield* Effect.repeatN(Effect.tap(call, () => Effect.sync(() => left--)), calls - 1)
    return seen
  })

it.scopedLive(
  "B10 timers and sockets get their turn while a backend, or a client in the process, calls in a loop",
  () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const counter = yield* ActorClient.connect(Counter, "a")
      assert.isAbove((yield* leftWhenTimerFires(counters.get("a").Count())) ?? 0, calls / 2)
      assert.isAbove((yield* leftWhenTimerFires(counter.rpc.Add())) ?? 0, calls / 2)
    }).pipe(Effect.provide(Live)),
  300_000
)

it.scopedLive(
  "B3 inside one process, a hundred clients that call at once lose nothing, and each gets its answers in order",
  () =>
    Effect.gen(function*() {
      const clients = yield* Effect.replicateEffect(ActorClient.connect(Counter, "b"), 100)
      const answers = yield* Effect.forEach(
        clients,
        (client) => Effect.forEach(Array.from({ length: 200 }), () => client.rpc.Add(), { concurrency: 8 }),
        { concurrency: "unbounded" }
      )
      for (const mine of answers) assert.deepStrictEqual(mine, [...mine].sort((a, b) => a - b))
      assert.lengthOf(new Set(answers.flat()), 20_000)
      assert.strictEqual(yield* (yield* Counter).get("b").Count(), 20_000)
    }).pipe(Effect.provide(Live)),
  300_000
)

const turnOfTheLoop = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

it.scopedLive(
  "B10 an event to many links keeps no answer and no timer waiting, and those that follow go with it, in order",
  () =>
    Effect.gen(function*() {
      const [links, events] = [1000, 5]
      const network = yield* MemoryTransport.MemoryNetwork
      const connect = Effect.flatMap(ActorClient.make(), (client) => client.connect(Counter, "c"))
      const teller = yield* connect
      const heard = yield* Effect.replicateEffect(
        Effect.gen(function*() {
          const told = yield* Effect.flatMap(connect, ({ events }) => events("told"))
          const items: Array<unknown> = []
          yield* Effect.forkScoped(Stream.runForEach(told, (item) => Effect.sync(() => items.push(item))))
          return items
        }),
        links
      )
      let messages = 0
      yield* network.onMessage(({ carries }) => {
        if (carries("Event")) messages++
      })
      const sentBefore: Array<number> = []
      for (let i = 0; i < events; i++) {
        yield* teller.rpc.Tell()
        sentBefore.push(messages)
      }
      let turns = 0
      for (; heard.some(({ length }) => length < events); turns++) yield* turnOfTheLoop
      for (const items of heard) assert.deepStrictEqual(items, [1, 2, 3, 4, 5])
      assert.isBelow(sentBefore[0]!, links / 2, "the first answer")
      assert.isAtLeast(turns, 3)
      assert.isBelow(messages, links * 2, "events that follow go with those that wait")
    }).pipe(
      Effect.provide(
        MemoryTransport.layerServer({ actors: [Counter] }).pipe(
          Layer.provideMerge(MemoryTransport.layer),
          Layer.provideMerge(CounterLive),
          Layer.provideMerge(ActorHost.layer()),
          Layer.provide(ActorStore.layerMemory)
        )
      )
    ),
  300_000
)
