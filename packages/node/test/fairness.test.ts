/** The event loop gets to other things while many actors commit together. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorHost } from "@troupe/server"
import { Context, Effect, Layer, Ref, Schema } from "effect"
import * as Directory from "./utils/Directory.ts"

class Counter extends Actor.Tag<Counter>()("Counter", {
  internal: RpcGroup.make(Rpc.make("Add", { success: Schema.Int }))
}) {}

const layerCounter = Counter.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (counter) =>
    Effect.succeed(counter.behavior({ internal: { Add: () => Ref.updateAndGet(counter.state, (count) => count + 1) } }))
)

/** Counts the rounds of the event loop until the scope closes. */
const rounds = Effect.acquireRelease(
  Effect.sync(() => {
    const counter = { count: 0, next: setImmediate(() => {}) }
    const again = () => {
      counter.count++
      counter.next = setImmediate(again)
    }
    again()
    return counter
  }),
  (counter) => Effect.sync(() => clearImmediate(counter.next))
)

it.scopedLive("answers of a thousand actors that commit together leave in several rounds of the event loop", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const context = yield* Layer.build(
      layerCounter.pipe(Layer.provide(ActorHost.layer()), Layer.provide(SqliteStore.layer({ filename })))
    )
    const counters = Context.get(context, Counter)
    const keys = Array.from({ length: 1000 }, (_, i) => `${i}`)
    const loop = yield* rounds
    for (const count of [1, 2, 3]) {
      const answered = new Map<number, number>()
      const call = (key: string) =>
        Effect.map(counters.get(key).Add(), (added) => {
          answered.set(loop.count, (answered.get(loop.count) ?? 0) + 1)
          assert.strictEqual(added, count)
        })
      yield* Effect.forEach(keys, call, { concurrency: "unbounded", discard: true })
      // one round can hold the end of one transaction and the middle of another
      assert.isAtMost(Math.max(...answered.values()), 600)
    }
  }))
