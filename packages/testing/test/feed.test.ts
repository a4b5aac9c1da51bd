/** Contracts without public rpcs: clients only listen, backends speak. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Effect, Layer, Option, Schema, Stream } from "effect"

class Feed extends Actor.Tag<Feed>()("Feed", {
  internal: RpcGroup.make(Rpc.make("Publish", { payload: { text: Schema.String } })),
  events: { published: Schema.String }
}) {}

const FeedLive = Feed.toLayer(
  { state: Schema.Null, initialState: () => null },
  (feed) => Effect.succeed(feed.behavior({ internal: { Publish: ({ text }) => feed.broadcast("published", text) } }))
)

const Live = ActorClient.layer().pipe(
  Layer.provide(MemoryTransport.layerServer({ actors: [Feed] })),
  Layer.provideMerge(FeedLive),
  Layer.provide(ActorHost.layer()),
  Layer.provide(Layer.mergeAll(ActorStore.layerMemory, MemoryTransport.layer))
)

it.scoped("E1 an actor may have events and no public rpcs", () =>
  Effect.gen(function*() {
    const feed = yield* ActorClient.connect(Feed, "news")
    const published = yield* feed.events("published")
    yield* (yield* Feed).get("news").Publish({ text: "first" })
    assert.deepStrictEqual(Option.getOrThrow(yield* Stream.runHead(published)), "first")
  }).pipe(Effect.provide(Live)))
