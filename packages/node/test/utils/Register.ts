/**
 * An actor that writes down the entries of its callers, in the order in which they took effect, and tells everybody. Who
 * comes and goes is written to the output of the process.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Deferred, Effect, HashMap, Ref, Schema } from "effect"
import { gateOf } from "./Gates.ts"

const entry = { entry: Schema.String }

export class Register extends Actor.Tag<Register>()("Register", {
  params: Schema.Struct({ name: Schema.String }),
  rpcs: RpcGroup.make(
    /** Returns the entry's place, counted from 1. */
    Rpc.make("Enter", { payload: entry, success: Schema.Number }),
    /** The same, when the gate of the entry is opened. */
    Rpc.make("EnterGated", { payload: entry, success: Schema.Number }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) }),
    /** Who has a connection. */
    Rpc.make("Who", { success: Schema.Array(Schema.String) })
  ),
  events: { entered: Schema.String }
}) {}

const say = (line: string) => Effect.sync(() => console.log(line))

export const layerRegister = Register.toLayer(
  { state: Schema.Array(Schema.String), initialState: (): ReadonlyArray<string> => [] },
  (register) => {
    const enter = (entry: string) =>
      Ref.updateAndGet(register.state, (entries) => [...entries, entry]).pipe(
        Effect.map((entries) => entries.length),
        Effect.zipLeft(register.broadcast("entered", entry))
      )
    return Effect.succeed(register.behavior({
      onConnect: ({ params }) => say(`${params.name} is there`),
      onDisconnect: ({ params }, reason) => say(`${params.name} ended: ${reason._tag}`),
      rpcs: {
        Enter: ({ entry }) => enter(entry),
        EnterGated: ({ entry }) =>
          say(`runs ${entry}`).pipe(
            Effect.zipRight(Deferred.await(gateOf(entry))),
            Effect.zipRight(enter(entry))
          ),
        Entries: () => Ref.get(register.state),
        Who: () =>
          Effect.map(
            Ref.get(register.connections),
            (all) => Array.from(HashMap.values(all), ({ params }) => params.name).sort()
          )
      }
    }))
  }
)
