/** Schemas have to be synchronous. One that is not is found out, and nobody waits for ever. */
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Effect, Layer, Logger, Schema } from "effect"

const Later = Schema.transformOrFail(Schema.String, Schema.String, {
  decode: (text) => Effect.delay(Effect.succeed(text), "1 second"),
  encode: (text) => Effect.succeed(text)
})

class Slow extends Actor.Tag<Slow>()("Slow", { params: Schema.Struct({ token: Later }) }) {}

/** As a client sees it that does not know. */
class Quick extends Actor.Tag<Quick>()("Slow", { params: Schema.Struct({ token: Schema.String }) }) {}

const SlowLive = Slow.toLayer(
  { state: Schema.Void, initialState: () => undefined },
  (slow) => Effect.succeed(slow.behavior({}))
)

it.scoped("A10 params that cannot be decoded at once refuse each connection, and the log says which", () => {
  const logs: Array<string> = []
  const logger = Logger.make(({ cause, message }) => void logs.push(`${String(message)} ${String(cause)}`))
  const Live = ActorClient.layer().pipe(
    Layer.provideMerge(MemoryTransport.layerServer({ actors: [Slow] })),
    Layer.provideMerge(SlowLive),
    Layer.provide(ActorHost.layer()),
    Layer.provideMerge(MemoryTransport.layer),
    Layer.provide(ActorStore.layerMemory),
    Layer.provide(Logger.replace(Logger.defaultLogger, logger))
  )
  return Effect.gen(function*() {
    for (const times of [1, 2]) {
      const error = yield* Effect.flip(ActorClient.connect(Quick, "a", { params: { token: "a" } }))
      assert.isTrue(error instanceof ConnectionError.ConnectionClosed && error.reason._tag === "Unavailable")
      assert.lengthOf(logs.filter((log) => log.includes("the parameters of Slow") || log.includes("Slow")), times)
      assert.include(logs.at(-1), "is not synchronous")
    }
  }).pipe(Effect.provide(Live))
})
