/** The whole host: calls of a backend to its actors, several of each actor always on their way. */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Actor from "@troupe/contract/Actor"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorHost from "@troupe/server/ActorHost"
import { ActorStore } from "@troupe/server/ActorStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { ChatState, initialState } from "./chatState.ts"
import type { Durability, Load, Progress } from "./Load.ts"

/** How many calls of each actor wait for their answers at any time. */
export const callsInFlight = 16

class Room extends Actor.Tag<Room>()("Room", {
  internal: RpcGroup.make(Rpc.make("Add", { payload: { by: Schema.Int }, success: Schema.Int }))
}) {}

const layerRoom = (durability: Durability) =>
  Room.toLayer(
    { state: ChatState, initialState: () => initialState, durability },
    (room) =>
      Effect.succeed(room.behavior({
        internal: {
          Add: ({ by }) => Ref.modify(room.state, (state) => [state.count + by, { ...state, count: state.count + by }])
        }
      }))
  )

const layerHost = (durability: Durability, filename: string, progress: Progress) =>
  layerRoom(durability).pipe(
    Layer.provide(ActorHost.layer()),
    Layer.provide(Layer.effect(ActorStore, Effect.map(ActorStore, progress.count))),
    Layer.provide(SqliteStore.layer({ filename }))
  )

/** Callers hear of the world through the event loop, as servers do: who has an answer calls again in its next round. */
class Rounds {
  private waiting: Array<() => void> = []

  readonly next = Effect.async<void>((resume) => {
    if (this.waiting.length === 0) setImmediate(this.begin)
    this.waiting.push(() => resume(Effect.void))
  })

  private readonly begin = (): void => {
    const waiting = this.waiting
    this.waiting = []
    for (const go of waiting) go()
  }
}

/** Calls one after another, until it is interrupted. */
const caller = <E>(call: Effect.Effect<number, E>, rounds: Rounds, progress: Progress): Effect.Effect<void> => {
  const callAgain = Effect.zipRight(rounds.next, call)
  return Effect.whileLoop({ while: () => true, body: () => callAgain, step: () => progress.turns++ }).pipe(
    Effect.catchAllCause((cause) => Effect.sync(() => progress.failure ??= cause))
  )
}

export const hostLoad = (durability: Durability, actors: number): Load => ({
  level: "host",
  durability,
  actors,
  run: (filename, progress) =>
    Effect.gen(function*() {
      const rooms = Context.get(yield* Layer.build(layerHost(durability, filename, progress)), Room)
      const rounds = new Rounds()
      for (let i = 0; i < actors * callsInFlight; i++) {
        yield* Effect.forkScoped(caller(rooms.get(`${i % actors}`).Add({ by: 1 }), rounds, progress))
      }
    })
})
