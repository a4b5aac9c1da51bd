/** A till that asks a bank, which is outside of the process: what it was asked for stays when the process crashes. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor, type Behavior } from "@troupe/contract"
import { Context, Deferred, Duration, Effect, Layer, Ref, Schema } from "effect"

export class Till extends Actor.Tag<Till>()("Till", {
  rpcs: RpcGroup.make(
    Rpc.make("Pay", { payload: { cents: Schema.Int }, success: Schema.Int }),
    Rpc.make("Total", { success: Schema.Int })
  ),
  internal: RpcGroup.make(Rpc.make("Read", { success: Schema.Int })),
  events: { paid: Schema.Int }
}) {}

export const Total = Schema.Int

export class Bank extends Context.Tag("test/Bank")<Bank, {
  /** What has reached it, in order. */
  readonly heard: Array<string>
  readonly hear: (what: string) => Effect.Effect<void>
  /** What it does when it is asked. */
  answer: Effect.Effect<void>
  /** Answers wait until it is opened. */
  gate: Deferred.Deferred<void>
}>() {
  static readonly layer = Layer.effect(
    Bank,
    Effect.map(Deferred.make<void>(), (gate) => {
      const heard: Array<string> = []
      return {
        heard,
        hear: (what) => Effect.sync(() => void heard.push(what)),
        answer: Effect.void,
        gate
      }
    })
  )
}

export const tillLive = (durability: Behavior.Durability = "commit") =>
  Till.toLayer({ state: Total, initialState: () => 0, durability }, (till) =>
    Effect.gen(function*() {
      const bank = yield* Bank
      yield* Effect.acquireRelease(bank.hear("woken"), () => bank.hear("released"))
      yield* bank.hear("tick").pipe(Effect.delay(Duration.minutes(1)), Effect.forever, Effect.forkScoped)
      return till.behavior({
        onConnect: () => Effect.acquireRelease(Effect.void, () => bank.hear("left")),
        rpcs: {
          Pay: ({ cents }) =>
            Effect.gen(function*() {
              yield* bank.hear(`asked for ${cents}`)
              yield* Effect.suspend(() => bank.answer)
              yield* bank.hear(`charged ${cents}`)
              yield* till.broadcast("paid", cents)
              return yield* Ref.updateAndGet(till.state, (total) => total + cents)
            }).pipe(Effect.ensuring(bank.hear("handled"))),
          Total: () => Ref.get(till.state)
        },
        internal: { Read: () => Ref.get(till.state) }
      })
    }))
