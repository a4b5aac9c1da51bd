/** Options that are `undefined`, or have a fraction where something is counted. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { TestKit } from "@troupe/testing"
import { settle } from "@troupe/testing/TestTime"
import { Effect, Fiber, Schema } from "effect"

class Room extends Actor.Tag<Room>()("OptionsRoom", {
  rpcs: RpcGroup.make(Rpc.make("Hello", { success: Schema.String })),
  internal: RpcGroup.make(Rpc.make("Wait")),
  events: { said: Schema.String }
}) {}

const RoomLive = Room.toLayer(
  { state: Schema.Void, initialState: () => undefined },
  (room) =>
    Effect.succeed(room.behavior({
      rpcs: { Hello: () => Effect.succeed(room.key) },
      internal: { Wait: () => Effect.never }
    }))
)

type KitOptions = Pick<TestKit.Options<[typeof Room], never, never>, "client" | "gateway" | "host">

const layer = (options: KitOptions) => TestKit.layer({ actors: [Room], implementations: RoomLive, ...options })

/** As a program has them that is written without `exactOptionalPropertyTypes`. */
const undefinedOptions = <Options extends object>(defaults: Options): Options =>
  Object.fromEntries(Object.keys(defaults).map((name) => [name, undefined])) as Options

const hello = Effect.gen(function*() {
  const room = yield* ActorClient.connect(Room, "a", { params: undefined, events: ["said"] } as never)
  const calls = Array.from({ length: 5 }, () => room.rpc.Hello())
  assert.deepStrictEqual(yield* Effect.all(calls, { concurrency: "unbounded" }), ["a", "a", "a", "a", "a"])
})

it.scoped("options of a client that are undefined have their defaults", () =>
  Effect.provide(hello, layer({ client: undefinedOptions(ActorClient.defaults) })))

for (
  const options of [
    { gateway: { openBytesMax: 2000.5 } },
    { gateway: { messageBytesMax: 70_000.5 } },
    { host: { window: 1.5 } },
    { client: { pendingCallsMax: 10.5, pendingBytesMax: 10_000.5, eventBufferMax: 2.5 } }
  ]
) {
  it.scoped(`options with a fraction: ${JSON.stringify(options)}`, () => Effect.provide(hello, layer(options)))
}

it.scoped("a mailbox with a fraction is full before it", () =>
  Effect.gen(function*() {
    const room = (yield* Room).get("a")
    const waiting = yield* Effect.fork(room.Wait())
    yield* settle
    const error = yield* Effect.flip(room.Wait())
    assert.strictEqual(error._tag, "ActorOverloaded")
    assert.strictEqual(error._tag === "ActorOverloaded" && error.capacity, 1)
    yield* Fiber.interrupt(waiting)
  }).pipe(Effect.provide(layer({ host: { mailboxMax: 1.5 } }))))
