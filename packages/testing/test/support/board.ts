/** An actor whose connections show where they are: events of which only the latest counts, beside ordinary ones. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionId } from "@troupe/contract"
import { ActorHost, ActorStore, type Gateway, type HostOptions } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Context, Effect, HashMap, Layer, Option, Ref, Schema } from "effect"

export class Oops extends Schema.TaggedError<Oops>()("Oops", {}) {}

const at = { payload: { x: Schema.Number } }

export const Spot = Schema.Struct({ who: Schema.String, x: Schema.Number })

export class Board extends Actor.Tag<Board>()("Board", {
  params: Schema.Struct({ who: Schema.String }),
  rpcs: RpcGroup.make(
    Rpc.make("Point", at),
    Rpc.make("PointForOthers", at),
    Rpc.make("PointAndFail", { ...at, error: Oops }),
    Rpc.make("PointTo", { payload: { x: Schema.Number, to: ConnectionId.ConnectionId } }),
    /** Says something, points, and says something again. */
    Rpc.make("PointAndSay", at),
    Rpc.make("Type"),
    Rpc.make("Me", { success: ConnectionId.ConnectionId })
  ),
  internal: RpcGroup.make(Rpc.make("Point", at)),
  events: {
    cursor: Actor.latest(Spot),
    typing: Actor.latest(Schema.String),
    said: Schema.String
  }
}) {}

const layerBoard = Board.toLayer(
  { state: Schema.Void, initialState: () => undefined, durability: "memory" },
  (board) => {
    const spot = (x: number) => Effect.map(board.caller, ({ params: { who } }) => ({ who, x }))
    const point = (x: number) => Effect.flatMap(spot(x), (spot) => board.broadcast("cursor", spot))
    return Effect.succeed(board.behavior({
      rpcs: {
        Point: ({ x }) => point(x),
        PointForOthers: Effect.fnUntraced(function*({ x }) {
          yield* board.broadcast("cursor", yield* spot(x), { except: yield* board.caller })
        }),
        PointAndFail: ({ x }) => Effect.zipRight(point(x), new Oops()),
        PointTo: Effect.fnUntraced(function*({ to, x }) {
          const target = HashMap.get(yield* Ref.get(board.connections), to)
          yield* Option.getOrThrow(target).send("cursor", yield* spot(x))
        }),
        PointAndSay: Effect.fnUntraced(function*({ x }) {
          yield* board.broadcast("said", `before ${x}`)
          yield* point(x)
          yield* board.broadcast("said", `after ${x}`)
        }),
        Type: () => Effect.flatMap(board.caller, ({ params }) => board.broadcast("typing", params.who)),
        Me: () => Effect.map(board.caller, ({ id }) => id)
      },
      internal: { Point: ({ x }) => board.broadcast("cursor", { who: "the board", x }) }
    }))
  }
)

export interface Options {
  readonly host?: HostOptions.Options
  readonly gateway?: Partial<Gateway.Options>
}

/** Runs a test with a server of boards and a network. */
export const run = <A, E, R>(body: Effect.Effect<A, E, R>, { gateway, host }: Options = {}) =>
  body.pipe(
    Effect.scoped,
    Effect.provide(
      MemoryTransport.layerServer({ actors: [Board], ...gateway }).pipe(
        Layer.provideMerge(layerBoard),
        Layer.provide(ActorHost.layer(host)),
        Layer.provideMerge(MemoryTransport.layer),
        Layer.provide(ActorStore.layerMemory)
      )
    )
  )

/** A client, with a link of its own. */
export const client = (options: ActorClient.Options = {}) =>
  Effect.map(Layer.build(Layer.fresh(ActorClient.layer(options))), Context.get(ActorClient.ActorClient))

export const connectTo = ({ connect }: typeof ActorClient.ActorClient.Service, key: string, who: string) =>
  connect(Board, key, { params: { who } })

/** A connection of a client of its own to the board `a`. */
export const connect = (who: string, options?: ActorClient.Options) =>
  Effect.flatMap(client(options), (client) => connectTo(client, "a", who))

/** The actor itself points. */
export const pointItself = (x: number) => Effect.flatMap(Board, (boards) => boards.get("a").Point({ x }))
