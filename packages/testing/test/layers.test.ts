/** What an implementation's layer is provided with holds for all that the implementation runs, also what is no service. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { MemoryTransport, TestStore } from "@troupe/testing"
import { Config, ConfigProvider, Effect, Fiber, Layer, Logger, Schema, Stream, TestClock } from "effect"
import { settle } from "./support/lab.ts"

class Branch extends Actor.Tag<Branch>()("Branch", {
  rpcs: RpcGroup.make(
    Rpc.make("Ask"),
    Actor.forked(Rpc.make("AskBeside")),
    Rpc.make("Watch", { success: Schema.String, stream: true }),
    Rpc.make("Later")
  ),
  internal: RpcGroup.make(Rpc.make("Receive"), Rpc.make("Ring"))
}) {}

const city = Config.string("CITY")

const say = (place: string) => Effect.orDie(Effect.flatMap(city, (city) => Effect.log(`${place}: ${city}`)))

const BranchLive = Branch.toLayer({ state: Schema.Int, initialState: () => 0 }, (branch) =>
  Effect.as(
    Effect.zipRight(
      say("build"),
      Effect.addFinalizer(() => say("end"))
    ),
    branch.behavior({
      onBeforeConnect: () => say("onBeforeConnect"),
      onConnect: () => Effect.acquireRelease(say("onConnect"), () => say("release")),
      onDisconnect: () => say("onDisconnect"),
      rpcs: {
        Ask: () => say("Ask"),
        AskBeside: () => say("AskBeside"),
        Watch: () => Stream.fromEffect(Effect.as(say("Watch"), "seen")),
        Later: () => branch.alarm("1 second", "Ring")
      },
      internal: { Receive: () => say("Receive"), Ring: () => say("Ring") }
    })
  ))

const of = (name: string, lines: Array<string>) =>
  Layer.merge(
    Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["CITY", name]]))),
    Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => void lines.push(String(message))))
  )

/** In a fiber of its own: what it sets is not found by what is built later. */
const build = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Layer.buildWithScope(layer, yield* Effect.scope))
    return Layer.succeedContext(yield* yield* Fiber.await(fiber))
  })

it.scoped("an implementation has the configuration and the loggers of its own layer, whoever makes it run", () =>
  Effect.gen(function*() {
    const own: Array<string> = []
    const others: Array<string> = []
    const around = yield* build(Layer.provide(
      Layer.provideMerge(ActorHost.layer(), Layer.merge(MemoryTransport.layer, TestStore.layer)),
      of("Paris", others)
    ))
    yield* Effect.scoped(Effect.gen(function*() {
      const branch = yield* build(Layer.provide(BranchLive, Layer.merge(around, of("Lyon", own))))
      const outside = yield* build(
        ActorClient.layer().pipe(
          Layer.provide(MemoryTransport.layerServer({ actors: [Branch] })),
          Layer.provide(Layer.mergeAll(around, branch, of("Oslo", others)))
        )
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const { rpc } = yield* ActorClient.connect(Branch, "a")
        yield* rpc.Ask()
        yield* rpc.AskBeside()
        yield* Stream.runDrain(rpc.Watch())
        yield* (yield* Branch).get("a").Receive()
        yield* rpc.Later()
        yield* TestClock.adjust("2 seconds")
        yield* settle
      })).pipe(Effect.provide(Layer.merge(outside, branch)))
      yield* settle
    }))
    assert.deepStrictEqual(
      own,
      [
        "build",
        "onBeforeConnect",
        "onConnect",
        "Ask",
        "AskBeside",
        "Watch",
        "Receive",
        "Ring",
        "release",
        "onDisconnect",
        "end"
      ].map((place) => `${place}: Lyon`)
    )
    assert.deepStrictEqual(others, [])
  }))
