import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Chunk, Effect, Layer, Stream } from "effect"
import { ChatRoom, makeChatRoomLive, Probe } from "./support/chat.ts"

const Live = ActorClient.layer().pipe(
  Layer.provideMerge(MemoryTransport.layerServer({ actors: [ChatRoom] })),
  Layer.provideMerge(makeChatRoomLive()),
  Layer.provideMerge(ActorHost.layer()),
  Layer.provideMerge(Layer.mergeAll(ActorStore.layerMemory, MemoryTransport.layer, Probe.layer))
)

it.scoped("first", () =>
  Effect.gen(function*() {
    const room = yield* ActorClient.connect(ChatRoom, "lobby", { params: { token: "ann" }, events: ["presence"] })
    const messages = yield* room.events("message")
    const presence = yield* room.events("presence")
    const said = yield* room.rpc.Say({ text: "hello" })
    assert.strictEqual(said.from, "ann")
    const got = yield* Stream.runCollect(Stream.take(messages, 1))
    assert.deepStrictEqual(Chunk.toReadonlyArray(got), [said])
    const first = yield* Stream.runHead(presence)
    assert.deepStrictEqual(first._tag === "Some" && first.value, { online: 1 })
    assert.strictEqual(yield* (yield* ChatRoom).get("lobby").Size(), 1)
  }).pipe(Effect.provide(Live)))
