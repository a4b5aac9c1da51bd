/** Somebody on the board without a browser: a client in Node, with a link of its own. */
import { ActorClient } from "@troupe/client"
import { Gap } from "@troupe/contract"
import { NodeWebSocketTransport } from "@troupe/node"
import { Context, Effect, Layer, Stream } from "effect"
import { Board, type Person, type Place } from "../../src/contract.ts"

/** Comes to the board of the server on this port, for the rest of the scope. */
export const visit = Effect.fn("visit")(function*(port: number, name: string) {
  const transport = NodeWebSocketTransport.layer({ url: `ws://localhost:${port}/actors` })
  const client = Context.get(
    yield* Layer.build(Layer.provide(ActorClient.layer(), transport)),
    ActorClient.ActorClient
  )
  const board = yield* client.connect(Board, "lobby", { params: { name }, events: ["people", "moved"] })
  let people: ReadonlyArray<Person> = []
  const places: Array<Place> = []
  yield* (yield* board.events("people")).pipe(
    Gap.ignore,
    Stream.runForEach((now) => Effect.sync(() => void (people = now))),
    Effect.forkScoped
  )
  yield* (yield* board.events("moved")).pipe(
    Stream.runForEach((place) => Effect.sync(() => void places.push(place))),
    Effect.forkScoped
  )
  return {
    ...board,
    /** Takes the link away, and brings it back. */
    pause: client.pause,
    resume: client.resume,
    /** Everybody, as far as has been told. */
    people: Effect.sync(() => people),
    names: Effect.sync(() => people.map(({ name }) => name).join()),
    /** All places that were told. */
    places: Effect.sync(() => places)
  }
})
