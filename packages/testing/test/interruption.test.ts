/** What is interrupted is gone, at whichever operation that was; and what was made in a region without interruption ends. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, Transport } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport, TestKit } from "@troupe/testing"
import { Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { layerTally, Tally, Trace } from "./support/tally.ts"
import { begin, isRunning, makeWorld, pass, settle } from "./support/world.ts"

const options = { params: { who: "ann" } }

/** A fiber yields after so many operations, and can be interrupted there. */
const operations = 64

/** Begins an effect in a fiber again and again, so that it yields at another of its operations each time. */
const interruptEverywhere = <A, E, R>(effect: Effect.Effect<A, E, R>, check: (at: string) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    let shifted: Effect.Effect<A, E, R> = effect
    for (let before = 0; before < operations; before++) {
      for (let yields = 0; yields < 5; yields++) {
        const fiber = yield* Effect.fork(Effect.withMaxOpsBeforeYield(shifted, operations))
        for (let i = 0; i < yields; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
        yield* check(`operation ${before}, yield ${yields}`)
      }
      const inner = shifted
      shifted = Effect.suspend(() => inner)
    }
  })

it.scoped("a call that is interrupted, wherever, is not in the queue", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    yield* client.pause
    yield* settle
    yield* interruptEverywhere(
      tally.rpc.Add({ label: "x" }),
      (at) => Effect.map(tally.pending.get, (pending) => assert.strictEqual(pending, 0, at))
    )
  }))

const stateless = { state: Schema.Void, initialState: () => undefined }

class Ticker extends Actor.Tag<Ticker>()("Ticker", {
  rpcs: RpcGroup.make(Rpc.make("Ticks", { success: Schema.Number, stream: true }))
}) {}

const TickerLive = Ticker.toLayer(
  stateless,
  (ticker) => Effect.succeed(ticker.behavior({ rpcs: { Ticks: () => Stream.concat(Stream.make(1), Stream.never) } }))
)

it.scoped("a stream that is interrupted, wherever, has ended", () =>
  Effect.gen(function*() {
    const ticker = yield* ActorClient.connect(Ticker, "a")
    yield* settle
    yield* interruptEverywhere(
      Stream.runDrain(ticker.rpc.Ticks()),
      (at) => Effect.map(ticker.pending.get, (pending) => assert.strictEqual(pending, 0, at))
    )
  }).pipe(Effect.provide(TestKit.layer({ actors: [Ticker], implementations: TickerLive }))))

it.scoped("a connect that is interrupted, wherever, leaves no link", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const events = Effect.flatMap(client.connect(Tally, "a", options), (tally) => tally.events("added"))
    yield* interruptEverywhere(Effect.scoped(events), (at) =>
      Effect.gen(function*() {
        yield* settle
        assert.strictEqual(yield* world.network.links, 0, at)
      }))
  }))

class Worker extends Actor.Tag<Worker>()("Worker", {
  rpcs: RpcGroup.make(Rpc.make("Turns").pipe(Actor.forked), Rpc.make("Calls"))
}) {}

class Hanger extends Actor.Tag<Hanger>()("Hanger", { internal: RpcGroup.make(Rpc.make("Hang")) }) {}

/** How many handlers have begun to hang, and are still hanging. */
const hanging = { begun: 0, now: 0 }

const hang = Effect.acquireUseRelease(
  Effect.sync(() => {
    hanging.begun++
    hanging.now++
  }),
  () => Effect.never,
  () => Effect.sync(() => hanging.now--)
)

const assertQuiet = (at: string) => Effect.map(settle, () => assert.strictEqual(hanging.now, 0, at))

const HangerLive = Hanger.toLayer(
  stateless,
  (hanger) => Effect.succeed(hanger.behavior({ internal: { Hang: () => hang } }))
)

const WorkerLive = Worker.toLayer(stateless, (worker) =>
  Effect.map(Hanger, (hangers) =>
    worker.behavior({
      rpcs: {
        Turns: () => interruptEverywhere(worker.turn(hang), assertQuiet),
        Calls: () => interruptEverywhere(hangers.get("a").Hang(), assertQuiet)
      }
    })))

const layerWorkers = TestKit.layer({
  actors: [Worker],
  implementations: Layer.provideMerge(WorkerLive, HangerLive)
})

for (const what of ["Turns", "Calls"] as const) {
  it.scoped(`a turn that is interrupted, wherever, does not go on: ${what}`, () =>
    Effect.gen(function*() {
      hanging.begun = 0
      const worker = yield* ActorClient.connect(Worker, "one")
      yield* worker.rpc[what]()
      assert.isAbove(hanging.begun, 100)
    }).pipe(Effect.provide(layerWorkers)))
}

const oneAtATime = HangerLive.pipe(
  Layer.provideMerge(ActorHost.layer({ mailboxMax: 1 })),
  Layer.provide(ActorStore.layerMemory)
)

it.scoped("a call of a backend that is interrupted, wherever, takes no place in the mailbox", () =>
  Effect.gen(function*() {
    hanging.begun = 0
    const hanger = (yield* Hanger).get("a")
    yield* interruptEverywhere(hanger.Hang(), assertQuiet)
    const begun = hanging.begun
    assert.isAbove(begun, 100)
    const last = yield* begin(hanger.Hang())
    yield* Fiber.interrupt(last)
    assert.strictEqual(hanging.begun, begun + 1)
  }).pipe(Effect.provide(oneAtATime)))

it.scoped("a client that was made where nothing can be interrupted is closed in the middle of a dial", () =>
  Effect.gen(function*() {
    const transport = { dial: () => Effect.never, onOpportunity: () => Effect.void }
    const scope = yield* Scope.make()
    const client = yield* ActorClient.make().pipe(
      Effect.uninterruptible,
      Scope.extend(scope),
      Effect.provideService(Transport.Transport, transport)
    )
    const connecting = yield* begin(Effect.scoped(client.connect(Tally, "a", options)))
    const closing = yield* begin(Scope.close(scope, Exit.void))
    assert.isFalse(yield* isRunning(connecting))
    assert.isFalse(yield* isRunning(closing))
  }))

it.scoped("a server that was made where nothing can be interrupted stops in time", () =>
  Effect.gen(function*() {
    const network = yield* Layer.build(MemoryTransport.layer)
    const scope = yield* Scope.make()
    const Server = MemoryTransport.layerServer({ actors: [Tally] }).pipe(
      Layer.provide(layerTally(new Trace())),
      Layer.provide(ActorHost.layer()),
      Layer.provide(ActorStore.layerMemory),
      Layer.provide(Layer.succeedContext(network))
    )
    yield* Effect.uninterruptible(Layer.buildWithScope(Server, scope))
    const client = yield* Effect.provide(ActorClient.make(), network)
    yield* client.connect(Tally, "a", options)
    // its connection waits to be resumed
    yield* client.pause
    const closing = yield* begin(Scope.close(scope, Exit.void))
    yield* pass("20 seconds")
    assert.isFalse(yield* isRunning(closing))
  }))
