/** Values that their schemas encode, and JSON does not give back: whoever makes them is told, before anything is kept or sent. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError, ServerDefect } from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { MemoryTransport, TestStore } from "@troupe/testing"
import { Cause, Effect, Exit, Layer, Ref, Schedule, Schema, Stream } from "effect"

const at = { at: Schema.DateFromSelf }

class Refused extends Schema.TaggedError<Refused>()("Refused", at) {}

class Clock extends Actor.Tag<Clock>()("Clock", {
  params: Schema.Struct({ refused: Schema.Boolean }),
  connectError: Refused,
  rpcs: RpcGroup.make(
    Rpc.make("Take", { payload: at }),
    Rpc.make("Give", { success: Schema.DateFromSelf }),
    Rpc.make("Refuse", { error: Refused }),
    Rpc.make("Show"),
    Rpc.make("Follow", { success: Schema.DateFromSelf, stream: true }),
    Rpc.make("Ask", { payload: { what: Schema.Literal("Take", "Give", "Refuse") } }),
    Rpc.make("Count", { success: Schema.Int })
  ),
  internal: RpcGroup.make(
    Rpc.make("Taken", { payload: at }),
    Rpc.make("Given", { success: Schema.DateFromSelf }),
    Rpc.make("Refused", { error: Refused }),
    Rpc.make("Counted", { success: Schema.Int })
  ),
  events: { shown: Schema.Struct(at) }
}) {}

const epoch = { at: new Date(0) }

const ClockLive = Clock.toLayer({ state: Schema.Int, initialState: () => 0 }, (clock) =>
  Effect.gen(function*() {
    const others = yield* Clock.client
    const count = Ref.update(clock.state, (n) => n + 1)
    const give = Effect.as(count, epoch.at)
    const refuse = Effect.zipRight(count, new Refused(epoch))
    return clock.behavior({
      onBeforeConnect: ({ params }) => params.refused ? new Refused(epoch) : Effect.void,
      rpcs: {
        Take: () => count,
        Give: () => give,
        Refuse: () => refuse,
        Show: () => Effect.zipRight(count, clock.broadcast("shown", epoch)),
        Follow: () => Stream.make(epoch.at),
        Ask: ({ what }) => {
          const other = others.get("other")
          const asked = { Take: other.Taken(epoch), Give: other.Given(), Refuse: other.Refused() }[what]
          return Effect.zipRight(count, Effect.orDie(Effect.asVoid(asked)))
        },
        Count: () => Ref.get(clock.state)
      },
      internal: { Taken: () => count, Given: () => give, Refused: () => refuse, Counted: () => Ref.get(clock.state) }
    })
  }))

const Live = ActorClient.layer({ schedule: Schedule.spaced("1 second") }).pipe(
  Layer.provideMerge(MemoryTransport.layerServer({ actors: [Clock] })),
  Layer.provideMerge(ClockLive),
  Layer.provideMerge(ActorHost.layer()),
  Layer.provideMerge(Layer.mergeAll(TestStore.layer, MemoryTransport.layer))
)

const isDefect = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof ServerDefect.ServerDefect

it.effect("B2 T11 what could not be read again fails the turn that makes it, at whoever makes it, and nothing is kept", () =>
  Effect.gen(function*() {
    const { rpc } = yield* ActorClient.connect(Clock, "a", { params: { refused: false } })
    const rejected = yield* Effect.flip(rpc.Take(epoch))
    assert.instanceOf(rejected, ConnectionError.CallRejected)
    assert.include((rejected as ConnectionError.CallRejected).issue, "could not be read again")
    const turns = [
      rpc.Give(),
      rpc.Refuse(),
      rpc.Show(),
      Stream.runDrain(rpc.Follow()),
      ...(["Take", "Give", "Refuse"] as const).map((what) => rpc.Ask({ what }))
    ]
    for (const turn of turns) assert.isTrue(isDefect(yield* Effect.exit(turn)))
    assert.strictEqual(yield* rpc.Count(), 0)
    assert.strictEqual(yield* (yield* Clock.client).get("other").Counted(), 0)
  }).pipe(Effect.scoped, Effect.provide(Live)))

it.effect("A3 a connectError that could not be read again is a defect of the server, not a denial", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(ActorClient.connect(Clock, "a", { params: { refused: true } }))
    assert.strictEqual((error as { readonly reason?: { readonly _tag: string } }).reason?._tag, "Unavailable")
  }).pipe(Effect.scoped, Effect.provide(Live)))
