/** Actors over HTTP whose names have slashes, so that contract and key together read the same, and paths that end with one. */
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

/** Serves both, and returns what calls an rpc. */
const serve = Effect.fn("serve")(function*(
  waits: Effect.Effect<void>,
  options: Omit<ActorHttp.Options<readonly [typeof Outer, typeof Inner]>, "actors">
) {
  const server = Http.createServer()
  const outer = Outer.toLayer(stateless, (room) => Effect.succeed(room.behavior({ rpcs: { Wait: () => waits } })))
  const inner = Inner.toLayer(stateless, (room) => Effect.succeed(room.behavior({ rpcs: { Go: () => Effect.void } })))
  yield* Layer.build(
    HttpLayerRouter.serve(ActorHttp.layer({ actors: [Outer, Inner], ...options }), {
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
  return (path: string, tag: string) =>
    Effect.promise(async () => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify([{ _tag: "Request", id: "1", tag, headers: [] }])
      })
      return response.text()
    })
})

it.scopedLive("the mailbox of one actor is not that of another whose name reads the same", () =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    const begun = yield* Deferred.make<void>()
    const waits = Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(gate))
    const post = yield* serve(waits, { mailboxMax: 1 })
    const waiting = yield* Effect.fork(post(`/actors${HttpRpc.pathOf(Outer, "b/c")}`, "Wait"))
    yield* Deferred.await(begun)
    const full = yield* post(`/actors${HttpRpc.pathOf(Outer, "b/c")}`, "Wait")
    const other = yield* post(`/actors${HttpRpc.pathOf(Inner, "c")}`, "Go")
    yield* Deferred.succeed(gate, undefined)
    assert.include(full, "ActorOverloaded")
    assert.include(other, "Success")
    assert.include(yield* Fiber.join(waiting), "Success")
  }))

it.scopedLive.each(["/", "/served/", "/served"] as const)(
  "the path of actors may be %s",
  (path) =>
    Effect.gen(function*() {
      const post = yield* serve(Effect.void, { path })
      const below = path.endsWith("/") ? path.slice(0, -1) : path
      assert.include(yield* post(`${below}${HttpRpc.pathOf(Inner, "c")}`, "Go"), "Success")
      assert.include(yield* post(`${below}/a/b`, "Go"), `it is ${below}/{contract}/{key}/rpc`)
    })
)
