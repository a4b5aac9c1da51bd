/** An actor that tells everybody what anybody posts, and who is there. Nothing is stored. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Effect, HashMap, Ref, Schema } from "effect"

export class Feed extends Actor.Tag<Feed>()("Feed", {
  params: Schema.Struct({ name: Schema.String }),
  rpcs: RpcGroup.make(
    Rpc.make("Post", { payload: { at: Schema.Number, text: Schema.String } }),
    /** Tells everybody where the caller is. */
    Rpc.make("Point", { payload: { x: Schema.Number } }),
    /** The id of the caller's connection. */
    Rpc.make("Me", { success: Schema.Number }),
    Rpc.make("Who", { success: Schema.Array(Schema.String) }),
    /** Each connection that has ended, and why. */
    Rpc.make("Gone", { success: Schema.Array(Schema.String) })
  ),
  events: {
    posted: Schema.Struct({ at: Schema.Number, text: Schema.String }),
    cursor: Actor.latest(Schema.Struct({ who: Schema.String, x: Schema.Number, trail: Schema.String }))
  }
}) {}

/** Makes a position so long that few of them fill a network. */
const trail = "~".repeat(4096)

export const layerFeed = Feed.toLayer(
  { state: Schema.Void, initialState: () => undefined, connection: Schema.String, durability: "memory" },
  (feed) =>
    Effect.gen(function*() {
      const gone: Array<string> = []
      return feed.behavior({
        onBeforeConnect: ({ params }) => Effect.succeed(params.name),
        onDisconnect: ({ params }, reason) => Effect.sync(() => void gone.push(`${params.name} ${reason._tag}`)),
        rpcs: {
          Post: (post) => feed.broadcast("posted", post),
          Point: ({ x }) =>
            Effect.flatMap(feed.caller, ({ params: { name: who } }) => feed.broadcast("cursor", { who, x, trail })),
          Me: () => Effect.map(feed.caller, ({ id }) => id),
          Who: () =>
            Effect.map(Ref.get(feed.connections), (all) =>
              Array.from(HashMap.values(all), ({ params }) => params.name).sort()),
          Gone: () =>
            Effect.sync(() => [...gone])
        }
      })
    })
)
