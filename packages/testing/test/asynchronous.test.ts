/** Schemas have to be synchronous. One that is not is found out, and nobody waits for ever. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient, Promises } from "@troupe/client"
import { Actor, ConnectionError } from "@troupe/contract"
import { TestKit } from "@troupe/testing"
import { Cause, Effect, Schema, Stream } from "effect"
import { begin, ended, isRunning, pass, statusOf } from "./support/world.ts"

const LateToDecode = Schema.transformOrFail(Schema.String, Schema.String, {
  decode: (text) => Effect.delay(Effect.succeed(text), "1 second"),
  encode: (text) => Effect.succeed(text)
})

const LateToEncode = Schema.transformOrFail(Schema.String, Schema.String, {
  decode: (text) => Effect.succeed(text),
  encode: (text) => Effect.delay(Effect.succeed(text), "1 second")
})

class Slow extends Actor.Tag<Slow>()("Slow", {
  rpcs: RpcGroup.make(
    Rpc.make("Send", { payload: { text: LateToDecode } }),
    Rpc.make("SendLate", { payload: { text: LateToEncode } }),
    Rpc.make("Get", { success: LateToDecode }),
    Rpc.make("GetLate", { success: LateToEncode }),
    Rpc.make("Values", { success: LateToDecode, stream: true }),
    Rpc.make("Say"),
    Rpc.make("Ping", { success: Schema.String })
  ),
  events: { said: LateToDecode }
}) {}

const SlowLive = Slow.toLayer(
  { state: Schema.Void, initialState: () => undefined },
  (slow) =>
    Effect.succeed(slow.behavior({
      rpcs: {
        Send: () => Effect.void,
        SendLate: () => Effect.void,
        Get: () => Effect.succeed("a"),
        GetLate: () => Effect.succeed("a"),
        Values: () => Stream.make("a", "b"),
        Say: () => slow.broadcast("said", "a"),
        Ping: () => Effect.succeed("pong")
      }
    }))
)

type Slows = Effect.Effect.Success<ReturnType<typeof connect>>

const connect = () => ActorClient.connect(Slow, "a", { events: ["said"] })

/** How a call ends, and whether its connection goes on. */
const cases: Record<string, { call: (slow: Slows) => Effect.Effect<unknown, unknown>; says: string; over?: true }> = {
  "a payload is refused": { call: (slow) => slow.rpc.Send({ text: "a" }), says: "the payload of Slow.Send" },
  "a payload is not sent": { call: (slow) => slow.rpc.SendLate({ text: "a" }), says: "the payload of Slow.SendLate" },
  "an answer is a defect of its call": { call: (slow) => slow.rpc.Get(), says: "the reply of Slow.Get" },
  "an answer that does not encode is one of the server": { call: (slow) => slow.rpc.GetLate(), says: "ServerDefect" },
  "a value of a stream ends the connection": {
    call: (slow) => Stream.runDrain(slow.rpc.Values()),
    says: "a value of Slow.Values",
    over: true
  },
  "an event ends the connection": {
    call: (slow) =>
      Effect.zipRight(slow.rpc.Say(), Effect.scoped(Effect.flatMap(slow.events("said"), Stream.runDrain))),
    says: "the event said of Slow",
    over: true
  }
}

for (const [name, { call, over, says }] of Object.entries(cases)) {
  it.scoped(`what cannot be encoded or decoded at once: ${name}`, () =>
    Effect.gen(function*() {
      const slow = yield* connect()
      const calling = yield* begin(call(slow))
      yield* pass("1 minute")
      const exit = yield* ended(calling)
      assert.include(exit._tag === "Failure" ? `${Cause.pretty(exit.cause)} ${JSON.stringify(exit)}` : "success", says)
      if (over) return assert.strictEqual(yield* statusOf(slow), "closed ProtocolViolation")
      const ping = yield* begin(slow.rpc.Ping())
      assert.isFalse(yield* isRunning(ping))
    }).pipe(Effect.provide(TestKit.layer({ actors: [Slow], implementations: SlowLive }))))
}

it.scoped("a call that was not made leaves nothing at its signal", () =>
  Effect.gen(function*() {
    const { rpc } = Promises.of(yield* connect())
    const { signal } = new AbortController()
    const added: Array<unknown> = []
    const removed: Array<unknown> = []
    signal.addEventListener = (_: string, listener: unknown) => void added.push(listener)
    signal.removeEventListener = (_: string, listener: unknown) => void removed.push(listener)
    const error = yield* Effect.promise(() => rpc.SendLate({ text: "a" }, { signal }).catch(String))
    assert.include(error, "the payload of Slow.SendLate")
    assert.lengthOf(added, 1)
    assert.deepStrictEqual(removed, added)
  }).pipe(Effect.provide(TestKit.layer({ actors: [Slow], implementations: SlowLive }))))

class Guarded extends Actor.Tag<Guarded>()("Guarded", { params: Schema.Struct({ token: LateToDecode }) }) {}

const GuardedLive = Guarded.toLayer(
  { state: Schema.Void, initialState: () => undefined },
  (guarded) => Effect.succeed(guarded.behavior({}))
)

it.scoped("params that cannot be decoded at once refuse each connection, and say so", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(ActorClient.connect(Guarded, "a", { params: { token: "a" } }))
    if (!(error instanceof ConnectionError.ConnectionClosed)) return assert.fail("another error")
    assert.deepInclude(error.reason, { _tag: "InvalidParams" })
    assert.include(JSON.stringify(error.reason), "the params of Guarded is not synchronous")
  }).pipe(Effect.provide(TestKit.layer({ actors: [Guarded], implementations: GuardedLive }))))
