/** An actor whose state is the list of the calls that took effect, in order. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Effect, Ref, Schema } from "effect"

export const Appended = Schema.Struct({ entry: Schema.String, count: Schema.Number })

export class Log extends Actor.Tag<Log>()("Log", {
  rpcs: RpcGroup.make(
    Rpc.make("Append", { payload: { entry: Schema.String }, success: Schema.Number }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) }),
    Rpc.make("WhoAmI", { success: Schema.Struct({ id: Schema.Number }) })
  ),
  events: { appended: Appended }
}) {}

export const layerLog = Log.toLayer(
  { state: Schema.Struct({ entries: Schema.Array(Schema.String) }), initialState: () => ({ entries: [] }) },
  (log) =>
    Effect.succeed(log.behavior({
      rpcs: {
        Append: ({ entry }) =>
          Ref.modify(log.state, ({ entries }) => [entries.length + 1, { entries: [...entries, entry] }]).pipe(
            Effect.tap((count) => log.broadcast("appended", { entry, count }))
          ),
        Entries: () => Effect.map(Ref.get(log.state), ({ entries }) => entries),
        WhoAmI: () => Effect.map(log.caller, ({ id }) => ({ id }))
      }
    }))
)
