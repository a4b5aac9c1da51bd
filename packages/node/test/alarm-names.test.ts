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
    Rpc.make("Set", { payload: { millis: Schema.Number, id: Schema.String } }),
    Rpc.make("Ring", { payload: { id: Schema.String } })
  )
}) {}

/** Serves bells until the scope closes. What rings is told with its key and the id of its alarm. */
const serve = (filename: string, rung: Array<string>) =>
  Effect.gen(function*() {
    const live = Bell.toLayer({ state: Schema.Int, initialState: () => 0 }, (bell) =>
      Effect.succeed(bell.behavior({
        internal: {
          Set: ({ id, millis }) => Effect.orDie(bell.alarm(millis, "Ring", { id }, { id })),
          Ring: ({ id }) =>
            Effect.zipRight(
              Ref.update(bell.state, (rings) => rings + 1),
              Effect.sync(() => void rung.push(`${bell.key} ${id}`))
            )
        }
      })))
    const context = yield* Layer.build(live.pipe(
      Layer.provideMerge(ActorHost.layer({ idleTimeout: "50 millis" })),
      Layer.provideMerge(SqliteStore.layer({ filename }))
    ))
    return yield* Effect.provide(Bell.client, context)
  })

/** Sets alarms in a life of the server that ends before they are due: the next one reads them from the store. */
const setBefore = (filename: string, rung: Array<string>, alarms: ReadonlyArray<readonly [key: string, id: string]>) =>
  Effect.scoped(
    Effect.flatMap(
      serve(filename, rung),
      (bells) =>
        Effect.forEach(alarms, ([key, id], i) => bells.get(key).Set({ id, millis: 1000 + i }), { discard: true })
    )
  )

it.scopedLive("an alarm of an actor with NUL in its key fires", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const rung: Array<string> = []
    yield* setBefore(filename, rung, [["a\u0000b", "x"]])
    yield* serve(filename, rung)
    yield* until(() => rung.length > 0, "it fires")
    assert.deepStrictEqual(rung, ["a\u0000b x"])
  }))

it.scopedLive("an actor whose key begins with NUL does not stop the alarms of others", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const rung: Array<string> = []
    yield* setBefore(filename, rung, [["\u0000", "x"], ["other", "y"]])
    yield* serve(filename, rung)
    yield* until(() => rung.length > 1, "both fire")
    assert.sameMembers(rung, ["\u0000 x", "other y"])
  }))

it.scopedLive("an alarm with NUL in its id fires once", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const rung: Array<string> = []
    yield* setBefore(filename, rung, [["a", "x\u0000y"]])
    yield* Effect.scoped(Effect.zipRight(serve(filename, rung), until(() => rung.length > 0, "it fires")))
    const bells = yield* serve(filename, rung)
    // were something left of the first, it would be due before this one
    yield* bells.get("a").Set({ id: "last", millis: 100 })
    yield* until(() => rung.includes("a last"), "the other one fires")
    assert.deepStrictEqual(rung, ["a x\u0000y", "a last"])
  }))
