/** Alarms of actors whose keys, or alarms whose ids, have the character NUL. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorHost } from "@troupe/server"
import { Effect, Layer, Ref, Schema } from "effect"
import * as Directory from "./utils/Directory.ts"
import { until } from "./utils/until.ts"

class Bell extends Actor.Tag<Bell>()("Bell", {
  internal: RpcGroup.make(
    Rpc.make("Set", { payload: { millis: Schema.Number, id: Schema.optional(Schema.String) } }),
    Rpc.make("Rung"),
    Rpc.make("Rings", { success: Schema.Int })
  )
}) {}

const serve = (filename: string, rung: Array<string>) =>
  Effect.gen(function*() {
    const live = Bell.toLayer({ state: Schema.Int, initialState: () => 0 }, (bell) =>
      Effect.succeed(bell.behavior({
        internal: {
          Set: ({ id, millis }) => Effect.orDie(bell.alarm(millis, "Rung", undefined, { id: id ?? "only" })),
          Rings: () => Ref.get(bell.state),
          Rung: () => Effect.zipRight(Ref.update(bell.state, (n) => n + 1), Effect.sync(() => void rung.push(bell.key)))
        }
      })))
    const context = yield* Layer.build(live.pipe(
      Layer.provideMerge(ActorHost.layer({ idleTimeout: "50 millis" })),
      Layer.provideMerge(SqliteStore.layer({ filename }))
    ))
    return yield* Effect.provide(Bell.client, context)
  })

it.scopedLive("an alarm of an actor with NUL in its key fires", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const rung: Array<string> = []
    yield* Effect.scoped(Effect.gen(function*() {
      const bells = yield* serve(filename, rung)
      yield* bells.get("a\u0000b").Set({ millis: 500 })
    }))
    // whose alarms are due is read from the store
    yield* serve(filename, rung)
    yield* until(() => rung.length > 0, "it fires")
    assert.deepStrictEqual(rung, ["a\u0000b"])
  }))

it.scopedLive("an actor whose key begins with NUL does not stop the alarms of others", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const rung: Array<string> = []
    yield* Effect.scoped(Effect.gen(function*() {
      const bells = yield* serve(filename, rung)
      yield* bells.get("\u0000").Set({ millis: 1000 })
      yield* bells.get("victim").Set({ millis: 1001 })
    }))
    yield* serve(filename, rung)
    yield* until(() => rung.includes("victim"), "the other one fires")
  }))

it.scopedLive("an alarm with NUL in its id fires once", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const rung: Array<string> = []
    yield* Effect.scoped(Effect.gen(function*() {
      const bells = yield* serve(filename, rung)
      yield* bells.get("a").Set({ millis: 100, id: "x\u0000y" })
      yield* until(() => rung.length === 1, "it fires")
    }))
    for (const lives of [2, 3]) {
      yield* Effect.scoped(Effect.gen(function*() {
        const bells = yield* serve(filename, rung)
        // whatever was left of the first is due before it
        yield* bells.get("a").Set({ millis: 100, id: "another" })
        yield* until(() => rung.length >= lives, "the other one fires")
        assert.lengthOf(rung, lives)
        assert.strictEqual(yield* bells.get("a").Rings(), lives)
      }))
    }
  }))
