/**
 * An actor whose calls wait in their turn until the test opens their gate, with a request to the server. What the actor
 * does is written to the output of the process, so that the test sees what runs, and how often.
 */
import { HttpLayerRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Deferred, Effect, FiberId, Ref, Schema } from "effect"

export class Gates extends Actor.Tag<Gates>()("Gates", {
  rpcs: RpcGroup.make(
    /** Returns the entry's place, counted from 1. */
    Rpc.make("Append", { payload: { entry: Schema.String }, success: Schema.Number }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) })
  )
}) {}

const gates = new Map<string, Deferred.Deferred<void>>()

/** The gate of an entry, in the process of the server. */
export const gateOf = (entry: string) => {
  const gate = gates.get(entry) ?? Deferred.unsafeMake<void>(FiberId.none)
  gates.set(entry, gate)
  return gate
}

const say = (line: string) => Effect.sync(() => console.log(line))

export const layerGates = Gates.toLayer(
  { state: Schema.Struct({ entries: Schema.Array(Schema.String) }), initialState: () => ({ entries: [] }) },
  (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect: () => say("asked"),
      onConnect: () => say("stands"),
      onDisconnect: (_, reason) => say(`ended ${reason._tag}`),
      rpcs: {
        Append: ({ entry }) =>
          say(`run ${entry}`).pipe(
            Effect.zipRight(Deferred.await(gateOf(entry))),
            Effect.zipRight(
              Ref.modify(room.state, ({ entries }) => [entries.length + 1, { entries: [...entries, entry] }])
            )
          ),
        Entries: () => Effect.map(Ref.get(room.state), ({ entries }) => entries)
      }
    }))
)

/** `POST /open` with an entry as the body opens its gate. */
export const layerRoute = HttpLayerRouter.add(
  "POST",
  "/open",
  Effect.gen(function*() {
    const entry = yield* Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) => text)
    yield* Deferred.succeed(gateOf(entry), undefined)
    return HttpServerResponse.empty()
  })
)

/** Opens the gate of an entry at the server on a port. */
export const open = (port: number, entry: string) =>
  Effect.promise(() => fetch(`http://127.0.0.1:${port}/open`, { method: "POST", body: entry }))
