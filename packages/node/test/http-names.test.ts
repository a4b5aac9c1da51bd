/** Actors over HTTP whose names have slashes, so that contract and key together read the same. */
import { HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, HttpRpc } from "@troupe/contract"
import { NodeActors } from "@troupe/node"
import { ActorHost, ActorHttp, ActorStore } from "@troupe/server"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

class Outer extends Actor.Tag<Outer>()("a", { rpcs: RpcGroup.make(Rpc.make("Wait")) }) {}

class Inner extends Actor.Tag<Inner>()("a/b", { rpcs: RpcGroup.make(Rpc.make("Go")) }) {}

const stateless = { state: Schema.Void, initialState: () => undefined }

it.scopedLive("the mailbox of one actor is not that of another whose name reads the same", () =>
  Effect.gen(function*() {
    const server = Http.createServer()
    const gate = yield* Deferred.make<void>()
    const begun = yield* Deferred.make<void>()
    const outer = Outer.toLayer(stateless, (room) =>
      Effect.succeed(room.behavior({
        rpcs: { Wait: () => Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(gate)) }
      })))
    const inner = Inner.toLayer(stateless, (room) => Effect.succeed(room.behavior({ rpcs: { Go: () => Effect.void } })))
    yield* Layer.build(
      HttpLayerRouter.serve(ActorHttp.layer({ actors: [Outer, Inner], mailboxMax: 1 }), {
        disableListenLog: true,
        disableLogger: true
      }).pipe(
        Layer.provide([outer, inner]),
        Layer.provide(ActorHost.layer()),
        Layer.provide(ActorStore.layerMemory),
        Layer.provide(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" }))
      )
    )
    const { port } = server.address() as Net.AddressInfo
    const post = (path: string, tag: string) =>
      Effect.promise(async () => {
        const response = await fetch(`http://127.0.0.1:${port}/actors${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify([{ _tag: "Request", id: "1", tag, headers: [] }])
        })
        return response.text()
      })
    const waiting = yield* Effect.fork(post(HttpRpc.pathOf(Outer, "b/c"), "Wait"))
    yield* Deferred.await(begun)
    const full = yield* post(HttpRpc.pathOf(Outer, "b/c"), "Wait")
    const other = yield* post(HttpRpc.pathOf(Inner, "c"), "Go")
    yield* Deferred.succeed(gate, undefined)
    assert.include(full, "ActorOverloaded")
    assert.include(other, "Success")
    assert.include(yield* Fiber.join(waiting), "Success")
  }))
