/** Somebody in the room without a browser: a client in Node, with a link of its own. */
import { ActorClient } from "@troupe/client"
import { Gap } from "@troupe/contract"
import { NodeWebSocketTransport } from "@troupe/node"
import { Effect, Layer, Ref, Stream } from "effect"
import { ChatRoom } from "../../src/contract.ts"

/** Keeps what a stream of events brings, as an effect that reads it. */
const collect = <A, E>(stream: Stream.Stream<A | Gap.Gap, E>) =>
  Effect.gen(function*() {
    const items = yield* Ref.make<ReadonlyArray<Exclude<A, Gap.Gap>>>([])
    yield* Gap.ignore(stream).pipe(
      Stream.runForEach((item) => Ref.update(items, (before) => [...before, item])),
      Effect.forkScoped
    )
    return Ref.get(items)
  })

/** Joins the lobby of the server on this port, for the rest of the scope. */
export const join = Effect.fn("join")(function*(port: number, name: string, token = "guest") {
  const transport = NodeWebSocketTransport.layer({ url: `ws://localhost:${port}/actors` })
  const context = yield* Layer.build(Layer.provide(ActorClient.layer(), transport))
  const room = yield* Effect.provide(
    ActorClient.connect(ChatRoom, "lobby", {
      params: { name, token },
      events: ["welcome", "people", "message", "whisper"]
    }),
    context
  )
  return {
    rpc: room.rpc,
    status: room.status,
    welcome: yield* collect(yield* room.events("welcome")),
    people: yield* collect(yield* room.events("people")),
    messages: yield* collect(yield* room.events("message")),
    whispers: yield* collect(yield* room.events("whisper"))
  }
})
