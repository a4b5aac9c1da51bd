/** What is kept for a client that has vanished, and for how long. Here answers are kept for 10 minutes. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { ActorStore } from "@troupe/server"
import { MemoryTransport, RawClient, TestHost, TestTime } from "@troupe/testing"
import { Deferred, Effect, FiberId, Layer, Ref, Schema, Stream } from "effect"

class Task extends Actor.Tag<Task>()("VanishedTask", {
  rpcs: RpcGroup.make(
    Actor.forked(Rpc.make("Run")),
    Rpc.make("Follow", { success: Schema.Int, stream: true }),
    Rpc.make("Add", { success: Schema.Int })
  ),
  internal: RpcGroup.make(Rpc.make("Count", { success: Schema.Int }))
}) {}

const live = (notes: Array<string>, durability: "commit" | "memory", onConnect: Effect.Effect<void>) =>
  Task.toLayer({ state: Schema.Int, initialState: () => 0, durability }, (task) =>
    Effect.succeed(task.behavior({
      onConnect: () => onConnect,
      rpcs: {
        Run: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void notes.push("interrupted"))),
        Follow: () =>
          Stream.fromEffect(Effect.onInterrupt(Effect.never, () => Effect.sync(() => void notes.push("ended")))),
        Add: () => Ref.updateAndGet(task.state, (count) => count + 1)
      },
      internal: { Count: () => Ref.get(task.state) }
    })))

const layerStore = Layer.effect(
  ActorStore.ActorStore,
  Effect.map(ActorStore.ActorStore, (store) => ({ ...store, retentionMillis: 600_000 }))
).pipe(Layer.provide(ActorStore.layerMemory))

const layerOf = (notes: Array<string>, durability: "commit" | "memory", onConnect: Effect.Effect<void> = Effect.void) =>
  ActorClient.layer().pipe(
    Layer.provideMerge(TestHost.layer({ actors: [Task], implementations: live(notes, durability, onConnect) })),
    Layer.provideMerge(MemoryTransport.layer),
    Layer.provide(layerStore)
  )

const open = (pending: ReadonlyArray<number> = []) => RawClient.open(Task, "a", { pending })

it.scoped("L6 a handler beside the turns goes on for as long as its client may ask for it, and no longer", () =>
  Effect.gen(function*() {
    const notes: Array<string> = []
    yield* Effect.gen(function*() {
      for (const round of [1, 2]) {
        const raw = yield* RawClient.make
        yield* raw.say(RawClient.hello, { ...open(), session: `${round}`.repeat(32) })
        yield* raw.say(RawClient.request(1, "Run"))
        yield* raw.close
        yield* TestTime.pass("11 minutes")
        assert.lengthOf(notes, round - 1, "two minutes of these are the resume window")
        yield* TestTime.pass("2 minutes")
        assert.lengthOf(notes, round)
      }
    }).pipe(Effect.provide(layerOf(notes, "commit")))
  }))

it.scoped("L6 an answer that was not taken outlives the sleep of an actor that is not stored, for the retention", () =>
  Effect.gen(function*() {
    /** Asks again for a call that was answered before, and returns the answers. */
    const again = (session: string) =>
      Effect.gen(function*() {
        const raw = yield* RawClient.make
        yield* raw.say(RawClient.hello, { ...open([1]), session })
        yield* raw.say(RawClient.request(1, "Add"))
        yield* raw.close
        return raw.of("Message").map(({ payload }) => (payload as { readonly exit: RawClient.Json }).exit["value"])
      })
    const counts = Effect.flatMap(Task, (tasks) => tasks.get("a").Count())
    yield* Effect.gen(function*() {
      const raw = yield* RawClient.make
      yield* raw.say(RawClient.hello, { ...open(), session: "a".repeat(32) })
      yield* raw.say(RawClient.request(1, "Add"))
      yield* raw.close
      // asleep after the resume window
      yield* TestTime.pass("3 minutes")
      assert.deepStrictEqual(yield* again("a".repeat(32)), [1])
      yield* TestTime.pass("3 minutes")
      // awake and asleep: the answer is still that which was kept first
      for (let minutes = 0; minutes < 12; minutes += 2) {
        assert.strictEqual(yield* counts, 1)
        yield* TestTime.pass("2 minutes")
      }
      assert.deepStrictEqual(yield* again("a".repeat(32)), [2], "it was forgotten, and so it runs")
    }).pipe(Effect.provide(layerOf([], "memory")))
  }))

it.scoped.each([false, true])(
  "L6 and not less long: a connection that was overtaken while its hook ran, which then fails (%s), is no absence",
  (fails) =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const gate = Deferred.unsafeMake<void>(FiberId.none)
      let opened = 0
      const onConnect = Effect.suspend(() =>
        ++opened === 2
          ? Effect.zipRight(Deferred.await(gate), fails ? Effect.dieMessage("not now") : Effect.void)
          : Effect.void
      )
      yield* Effect.gen(function*() {
        const session = { session: "9".repeat(32), sentBelow: 2 }
        const first = yield* RawClient.make
        yield* first.say(RawClient.hello, { ...open(), ...session })
        yield* first.say(RawClient.request(1, "Run"))
        yield* first.close
        const overtaken = yield* RawClient.make
        yield* overtaken.say(RawClient.hello, { ...open([1]), ...session })
        yield* overtaken.close
        const last = yield* RawClient.make
        yield* last.say(RawClient.hello, { ...open([1]), ...session })
        yield* Deferred.succeed(gate, undefined)
        yield* TestTime.settle
        assert.lengthOf(last.of("Opened"), 1)
        yield* last.say(RawClient.request(1, "Run"))
        for (let minute = 0; minute < 15; minute++) {
          for (let i = 0; i < 3; i++) {
            yield* last.say({ _tag: "Ping" })
            yield* TestTime.pass("20 seconds")
          }
          assert.deepStrictEqual(notes, [])
        }
      }).pipe(Effect.provide(layerOf(notes, "commit", onConnect)))
    })
)

const cameInVain: ReadonlyArray<readonly [why: string, refuses: boolean]> = [
  ["its hook has refused it", true],
  ["it has given up before it stood", false]
]

it.scoped.each(cameInVain)(
  "L6 nor for longer if it came back in vain, because %s",
  ([, refuses]) =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      let refusing = false
      const onConnect = Effect.suspend(() => refusing ? Effect.dieMessage("not now") : Effect.void)
      yield* Effect.gen(function*() {
        for (const round of [1, 2]) {
          const session = { session: `${round}`.repeat(32) }
          const raw = yield* RawClient.make
          yield* raw.say(RawClient.hello, { ...open(), ...session })
          yield* raw.say(RawClient.request(1, "Run"), RawClient.request(2, "Follow"))
          yield* raw.close
          yield* TestTime.pass("1 minute")
          refusing = refuses
          const again = yield* RawClient.make
          const close = { _tag: "Close", channel: 1, reason: { _tag: "Superseded" } }
          yield* again.say(RawClient.hello, { ...open([1, 2]), ...session, sentBelow: 3 }, ...(refuses ? [] : [close]))
          yield* again.close
          refusing = false
          yield* TestTime.pass("15 minutes")
          assert.deepStrictEqual(notes.sort(), [
            ...Array.from({ length: round }, () => "ended"),
            ...Array.from({ length: round }, () => "interrupted")
          ])
        }
      }).pipe(Effect.provide(layerOf(notes, "commit", onConnect)))
    })
)
