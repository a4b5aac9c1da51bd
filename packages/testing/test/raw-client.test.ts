/** The client that says what it is told to. */
import { assert, it } from "@effect/vitest"
import { Frame } from "@troupe/contract"
import { RawClient, TestKit } from "@troupe/testing"
import { Effect, Layer } from "effect"
import { Bank, Till, tillLive } from "./support/till.ts"

const kit = TestKit.layer({ actors: [Till], implementations: tillLive() }).pipe(Layer.provideMerge(Bank.layer))

it.scoped("opens, calls, hears, and closes", () =>
  Effect.gen(function*() {
    const raw = yield* RawClient.make
    const [welcome] = yield* raw.say(RawClient.hello)
    assert.strictEqual(welcome!._tag, "Welcome")
    assert.strictEqual(raw.of("Welcome")[0]!.version, Frame.version)
    yield* raw.say(RawClient.open(Till, "shop", { channel: 7, events: ["paid"] }))
    assert.strictEqual(raw.of("Opened")[0]!.channel, 7)
    const said = yield* raw.say(RawClient.request(1, "Pay", { cents: 5 }, { channel: 7, call: 3 }))
    assert.deepStrictEqual(said.map(({ _tag }) => _tag), ["Message", "Message", "Ack"])
    assert.deepStrictEqual(raw.of("Message").map(({ payload }) => payload._tag), ["Event", "Exit"])
    assert.deepStrictEqual(said[1]!.payload, { _tag: "Exit", requestId: "3", exit: { _tag: "Success", value: 5 } })
    assert.deepStrictEqual(yield* raw.say({ _tag: "Ping" }), [{ _tag: "Pong" }])
    yield* raw.close
    assert.strictEqual(raw.heard.at(-1)!._tag, "LinkClosed")
  }).pipe(Effect.provide(kit)))

it.scoped("says what is no frame", () =>
  Effect.gen(function*() {
    const raw = yield* RawClient.make
    const [refused, closed] = yield* raw.sayText("[")
    assert.strictEqual(refused!._tag, "Refused")
    assert.deepStrictEqual(closed, { _tag: "LinkClosed", code: 1008, reason: "protocol violation" })
  }).pipe(Effect.provide(kit)))
