/** Connections that end while something of theirs waits, or that come while their actor leaves: nobody keeps them. */
import { assert, it } from "@effect/vitest"
import { ActorHost } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { backend, Lab, type LabConnection, labLive, layerOutside, Probe, run, settle } from "./support/lab.ts"
import { hello, open, rawLink } from "./support/raw.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** What a weak reference has led to is kept until the end of the turn of the event loop. */
const collected = Effect.promise(async () => {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
  }
})

it.effect("E4 L6 who subscribes and leaves before its turn has come is not kept among the subscribers", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { Script } = yield* backend
    const connections: Array<WeakRef<LabConnection>> = []
    probe.hooks.onConnect = (_, connection) => Effect.sync(() => void connections.push(new WeakRef(connection)))
    probe.internals["wait"] = () => Effect.as(probe.wait("gate"), "waited")
    // keeps the actor awake, and its turns waiting
    const link = yield* rawLink
    yield* link.say(hello, { ...open({ name: "ann" }), session: "1".repeat(32) })
    const waiting = yield* Effect.fork(Script({ script: "wait" }))
    yield* settle
    const message = (seq: number, payload: unknown) => ({ _tag: "Message", channel: 1, seq, payload })
    yield* link.say(
      message(1, { _tag: "Subscribe", event: "appended" }),
      message(2, { _tag: "Subscribe", event: "whisper" }),
      { _tag: "Close", channel: 1, reason: { _tag: "ClientClosed" } }
    )
    yield* probe.open("gate")
    yield* Fiber.join(waiting)
    yield* settle
    yield* collected
    assert.deepStrictEqual(connections.map((connection) => connection.deref() === undefined), [true])
  })))

it.effect("L5 who comes to stand while the implementation leaves, and the gateway stays, is told that it has left", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const host = yield* Layer.build(ActorHost.layer())
    const scope = yield* Scope.make()
    const live = yield* Layer.buildWithScope(Layer.provide(labLive(), Layer.succeedContext(host)), scope)
    const server = MemoryTransport.layerServer({ actors: [Lab] })
    yield* Layer.build(Layer.provide(server, Layer.succeedContext(Context.merge(host, live))))
    probe.internals["wait"] = () => Effect.as(probe.wait("gate"), "waited")
    const { Script } = yield* Effect.provide(backend, live)
    const waiting = yield* Effect.fork(Effect.exit(Script({ script: "wait" })))
    yield* settle
    const link = yield* rawLink
    yield* link.say(hello, open({ name: "ann" }))
    const leaving = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* settle
    yield* probe.open("gate")
    yield* Fiber.join(waiting)
    yield* Fiber.join(leaving)
    yield* settle
    const heard = link.heard.map(({ _tag, reason }) => [_tag, (reason as { readonly _tag: string } | undefined)?._tag])
    assert.deepStrictEqual(heard.slice(1), [["Opened", undefined], ["Close", "ActivationLost"]])
  }).pipe(Effect.scoped, Effect.provide(layerOutside)))
