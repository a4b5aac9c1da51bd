/** A tracer whose span throws when it ends, once. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { Effect, Layer, Logger, Ref, Schema, Tracer } from "effect"

class Counter extends Actor.Tag<Counter>()("Counter", {
  internal: RpcGroup.make(Rpc.make("Add", { success: Schema.Int }))
}) {}

it.scopedLive("a tracer that throws once harms nobody", () =>
  Effect.gen(function*() {
    let throws = false
    const tracer = Tracer.make({
      span: (name, parent, context, links, startTime, kind) => {
        const attributes = new Map<string, unknown>()
        return {
          _tag: "Span",
          name,
          spanId: "0123456789abcdef",
          traceId: "0123456789abcdef0123456789abcdef",
          parent,
          context,
          status: { _tag: "Started", startTime },
          attributes,
          links,
          sampled: true,
          kind,
          end: () => {
            if (throws) {
              throws = false
              throw new Error("the exporter's queue is full")
            }
          },
          attribute: (key, value) => void attributes.set(key, value),
          event: () => {},
          addLinks: () => {}
        }
      },
      context: (f) => f()
    })
    const live = Counter.toLayer({ state: Schema.Int, initialState: () => 0 }, (counter) =>
      Effect.succeed(counter.behavior({
        internal: {
          Add: () =>
            Ref.updateAndGet(counter.state, (n) => n + 1)
        }
      })))
    const context = yield* Layer.build(live.pipe(
      Layer.provideMerge(ActorHost.layer()),
      Layer.provide(ActorStore.layerMemory),
      Layer.provide(Layer.setTracer(tracer)),
      Layer.provide(Logger.remove(Logger.defaultLogger))
    ))
    const counters = yield* Effect.provide(Counter.client, context)
    assert.strictEqual(yield* counters.get("a").Add(), 1)
    throws = true
    for (const [key, count] of [["a", 2], ["a", 3], ["b", 1]] as const) {
      assert.strictEqual(yield* Effect.timeout(counters.get(key).Add(), "30 seconds"), count)
    }
    assert.isFalse(throws)
  }))
