/** Tracers that throw: they are somebody else's, and no call is harmed by what they do. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { MemoryTransport, TestKit, TestTime } from "@troupe/testing"
import { Effect, Fiber, Layer, Logger, Ref, Schema, Stream, Tracer } from "effect"

class Counter extends Actor.Tag<Counter>()("TracedCounter", {
  rpcs: RpcGroup.make(
    Rpc.make("Add", { success: Schema.Int }),
    Rpc.make("AddLater"),
    Rpc.make("AddElsewhere", { success: Schema.Int }),
    Rpc.make("Values", { success: Schema.Int, stream: true })
  ),
  internal: RpcGroup.make(Rpc.make("AddOne", { success: Schema.Int }))
}) {}

const CounterLive = Counter.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (counter) =>
    Effect.map(Counter.client, (counters) => {
      const add = Ref.updateAndGet(counter.state, (n) => n + 1)
      return counter.behavior({
        rpcs: {
          Add: () => add,
          AddLater: () => counter.alarm("1 minute", "AddOne"),
          AddElsewhere: () => Effect.orDie(counters.get("elsewhere").AddOne()),
          Values: () => Stream.make(1, 2)
        },
        internal: { AddOne: () => add }
      })
    })
)

/** A tracer that throws at one of its operations, each time. */
const throwing = (operation: "span" | "event" | "end") => {
  const run = (what: string) => {
    if (what === operation) throw new Error(`the exporter's queue is full at ${operation}`)
  }
  return Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      run("span")
      return {
        _tag: "Span",
        name,
        spanId: "0123456789abcdef",
        traceId: "0123456789abcdef0123456789abcdef",
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes: new Map(),
        links,
        sampled: true,
        kind,
        end: () => run("end"),
        attribute: () => {},
        event: () => run("event"),
        addLinks: () => {}
      }
    },
    context: (f) => f()
  })
}

const Live = TestKit.layer({ actors: [Counter], implementations: CounterLive })

for (const operation of ["span", "event", "end"] as const) {
  it.effect(`a tracer that throws harms nobody: ${operation}`, () => {
    let logged = 0
    const logger = Logger.make(({ message }) => void (String(message) === "a tracer has failed" && logged++))
    return Effect.gen(function*() {
      const network = yield* MemoryTransport.MemoryNetwork
      const counter = yield* ActorClient.connect(Counter, "a")
      assert.strictEqual(yield* counter.rpc.Add(), 1)
      assert.strictEqual(yield* counter.rpc.AddElsewhere(), 1)
      assert.strictEqual(yield* (yield* Counter).get("elsewhere").AddOne(), 2)
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(counter.rpc.Values())), [1, 2])
      yield* counter.rpc.AddLater()
      yield* TestTime.pass("1 minute")
      // one that waits for its link to come back
      yield* network.cut
      const adding = yield* Effect.fork(counter.rpc.Add())
      yield* TestTime.pass("1 minute")
      assert.strictEqual(yield* Fiber.join(adding), 3)
      assert.isAbove(logged, 0)
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.provideMerge(Live, Logger.replace(Logger.defaultLogger, logger))),
      Effect.withTracer(throwing(operation))
    )
  })
}
