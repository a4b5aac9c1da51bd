/** Actors that call each other in a circle. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ActorError } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { TestKit, TestStore } from "@troupe/testing"
import { settle } from "@troupe/testing/TestTime"
import { Deferred, Effect, Exit, Fiber, Layer, Ref, Schema } from "effect"

/** Calls the actors of a path, one from within the other, and says how far it came. */
class Hop extends Actor.Tag<Hop>()("Hop", {
  internal: RpcGroup.make(
    Rpc.make("Go", {
      payload: { path: Schema.Array(Schema.String) },
      success: Schema.Number,
      error: ActorError.CallCycle
    }),
    Rpc.make("GoWhenTold", {
      payload: { path: Schema.Array(Schema.String) },
      success: Schema.Number,
      error: ActorError.CallCycle
    }),
    Rpc.make("Tell", { payload: { path: Schema.Array(Schema.String) } })
  )
}) {}

const told = Effect.runSync(Deferred.make<void>())

/** How far the calls of `Tell` came. */
const untold = Effect.runSync(Deferred.make<number, ActorError.CallCycle>())

const HopLive = Hop.toLayer({ state: Schema.Null, initialState: () => null }, (hop) =>
  Effect.gen(function*() {
    const hops = yield* Hop.client
    const go = ([next, ...path]: ReadonlyArray<string>): Effect.Effect<number, ActorError.CallCycle> =>
      next === undefined ? Effect.succeed(1) : hops.get(next).Go({ path }).pipe(
        Effect.map((count) => count + 1),
        Effect.catchTags({
          ActorDestroyed: Effect.die,
          ActorOverloaded: Effect.die,
          ActorUnavailable: Effect.die,
          CallTimeout: Effect.die
        })
      )
    return hop.behavior({
      internal: {
        Go: ({ path }) => go(path),
        GoWhenTold: ({ path }) => Effect.zipRight(Deferred.await(told), go(path)),
        // nobody waits for this call, so it holds nothing up
        Tell: ({ path }) => Effect.asVoid(Effect.forkDaemon(Effect.intoDeferred(go(path), untold)))
      }
    })
  }))

const Live = HopLive.pipe(Layer.provideMerge(ActorHost.layer()), Layer.provide(ActorStore.layerMemory))

const cycleOf = (exit: Exit.Exit<unknown, unknown>) => {
  const error = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined
  assert.instanceOf(error, ActorError.CallCycle)
  return error.path.map(({ key }) => key)
}

it.effect("L7 a circle of calls fails at once, with its path; the actors in it go on", () =>
  Effect.gen(function*() {
    const hops = yield* Hop
    for (const _ of [1, 2]) {
      assert.deepStrictEqual(cycleOf(yield* Effect.exit(hops.get("a").Go({ path: ["a"] }))), ["a", "a"])
      assert.deepStrictEqual(cycleOf(yield* Effect.exit(hops.get("a").Go({ path: ["b", "a"] }))), ["b", "a", "b"])
      const long = cycleOf(yield* Effect.exit(hops.get("a").Go({ path: ["b", "c", "d", "b"] })))
      assert.deepStrictEqual(long, ["d", "b", "c", "d"])
      // the same actors in a line, and one of them twice after it has answered, are no circle
      assert.strictEqual(yield* hops.get("a").Go({ path: ["b", "c", "d"] }), 4)
      assert.strictEqual(yield* hops.get("a").Go({ path: ["b"] }), 2)
      assert.strictEqual(yield* hops.get("b").Go({ path: ["a"] }), 2)
    }
  }).pipe(Effect.provide(Live)))

it.effect("L7 two chains that lock each other: the one that would close the circle fails, the other goes on", () =>
  Effect.gen(function*() {
    const hops = yield* Hop
    const chains = yield* Effect.all([
      Effect.fork(Effect.exit(hops.get("x").GoWhenTold({ path: ["y"] }))),
      Effect.fork(Effect.exit(hops.get("y").GoWhenTold({ path: ["x"] })))
    ])
    yield* Effect.yieldNow()
    yield* Deferred.succeed(told, undefined)
    const ends = yield* Effect.forEach(chains, Fiber.join)
    const failed = ends.filter(Exit.isFailure)
    assert.lengthOf(failed, 1)
    assert.lengthOf(cycleOf(failed[0]!), 3)
    assert.deepStrictEqual(ends.filter(Exit.isSuccess).map(({ value }) => value), [2])
  }).pipe(Effect.provide(Live)))

it.effect("L7 a call that its turn does not wait for closes no circle", () =>
  Effect.gen(function*() {
    const hops = yield* Hop
    // p calls q, which calls p: p's turn has ended by then
    yield* hops.get("p").Tell({ path: ["q", "p"] })
    assert.strictEqual(yield* Deferred.await(untold), 3)
    assert.strictEqual(yield* hops.get("p").Go({ path: ["q"] }), 2)
  }).pipe(Effect.provide(Live)))

/** Writes down what it is told, and tells others. */
class Note extends Actor.Tag<Note>()("Note", {
  rpcs: RpcGroup.make(Rpc.make("TellAs", { payload: { to: Schema.String } })),
  internal: RpcGroup.make(Rpc.make("Write"), Rpc.make("Tell", { payload: { to: Schema.String } }))
}) {}

const NoteLive = Note.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (note) =>
    Effect.map(Note.client, (notes) => {
      const tell = ({ to }: { readonly to: string }) => Effect.orDie(notes.get(to).Write())
      return note.behavior({
        rpcs: { TellAs: tell },
        internal: { Write: () => Ref.update(note.state, (n) => n + 1), Tell: tell }
      })
    })
)

it.scoped("L7 an actor whose answer is being committed may call the one that waits for it", () =>
  Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    yield* Effect.addFinalizer(() => store.release)
    const notes = yield* Note
    // a call of a client's turn has a name, and one of a backend's none
    const client = yield* ActorClient.connect(Note, "a")
    for (const tell of [Effect.orDie(notes.get("a").Tell({ to: "b" })), Effect.orDie(client.rpc.TellAs({ to: "b" }))]) {
      yield* store.hold
      const there = yield* Effect.fork(tell)
      yield* store.waiting
      const back = yield* Effect.fork(notes.get("b").Tell({ to: "a" }))
      yield* settle
      yield* store.release
      yield* Fiber.join(there)
      yield* Fiber.join(back)
    }
  }).pipe(Effect.provide(TestKit.layer({ actors: [Note], implementations: NoteLive }))))
