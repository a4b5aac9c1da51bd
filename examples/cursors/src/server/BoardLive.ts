/** The board: who is on it, and where. Nothing is stored: the connections are all there is to know. */
import { Effect, HashMap, Ref, Schema } from "effect"
import { Board, Name, Point } from "../contract.ts"

/** Colours that are easy to tell apart, as hues in degrees. */
const hues = [262, 25, 150, 330, 80, 220, 55, 300, 190, 355]

const Visitor = Schema.Struct({ name: Name, hue: Schema.Int, at: Schema.NullOr(Point) })

export const BoardLive = Board.toLayer(
  { state: Schema.Void, initialState: () => undefined, connection: Visitor, durability: "memory" },
  (board) => {
    type Connection = Effect.Effect.Success<typeof board.caller>

    const visitors = Effect.flatMap(Ref.get(board.connections), (connections) =>
      Effect.forEach(
        Array.from(HashMap.values(connections)).sort((a, b) => a.id - b.id),
        ({ id, state }) => Effect.map(Ref.get(state), (visitor) => ({ id, ...visitor }))
      ))

    const people = Effect.map(visitors, (all) => all.map(({ hue, id, name }) => ({ id, name, hue })))

    const tellWhoIsHere = Effect.flatMap(people, (people) => board.broadcast("people", people))

    /** Turns run one after another, so two people who come at once do not take the same colour. */
    const takeColour = ({ id, state }: Connection) =>
      Effect.gen(function*() {
        const taken = new Set((yield* visitors).filter((other) => other.id !== id).map(({ hue }) => hue))
        const hue = hues.find((hue) => !taken.has(hue)) ?? hues[id % hues.length]!
        yield* Ref.update(state, (visitor) => ({ ...visitor, hue }))
      })

    return Effect.succeed(board.behavior({
      onBeforeConnect: ({ params }) => Effect.succeed({ name: params.name, hue: 0, at: null }),

      onConnect: (connection) =>
        Effect.zipRight(takeColour(connection), Effect.acquireRelease(tellWhoIsHere, () => tellWhoIsHere)),

      rpcs: {
        Move: Effect.fnUntraced(function*({ at }) {
          const caller = yield* board.caller
          yield* Ref.update(caller.state, (visitor) => ({ ...visitor, at }))
          yield* board.broadcast("moved", { id: caller.id, at }, { except: caller })
        }),

        // for those who come, and those who were away: what was sent meanwhile is not sent again
        Look: () =>
          Effect.gen(function*() {
            const { id: me } = yield* board.caller
            const places = (yield* visitors).map(({ at, id }) => ({ id, at }))
            return { me, people: yield* people, places }
          })
      }
    }))
  }
)
