/** Who is disconnected while away is told so on coming back, and does not come in again. */
import { assert, it } from "@effect/vitest"
import { ConnectionError } from "@troupe/contract"
import { Effect } from "effect"
import { Tally } from "./support/tally.ts"
import { atOnce, begin, failure, makeWorld, pass, statusOf } from "./support/world.ts"

it.scoped("A7 who was disconnected while away is told so on resuming, and what waits is not sent", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client(atOnce)
    for (const round of ["x", "y"]) {
      const tally = yield* client.connect(Tally, "a", { params: { who: "ann" } })
      let lost = false
      // the answer and the farewell are lost with the link
      yield* world.network.onMessage(({ carries, from }) => {
        if (lost || from !== "server" || !carries("Close")) return undefined
        lost = true
        return "cut-before"
      })
      yield* world.network.setReachability("reachable")
      const leaving = yield* begin(tally.rpc.Leave({ reason: round }))
      const waiting = yield* begin(tally.rpc.Add({ label: `${round} late` }))
      yield* pass("10 seconds")
      assert.isTrue(lost)
      assert.strictEqual(yield* statusOf(tally), "closed Disconnected")
      assert.deepStrictEqual(yield* tally.status.get, {
        _tag: "Closed",
        reason: { _tag: "Disconnected", reason: round }
      } as never)
      for (const error of [yield* failure(leaving), yield* failure(waiting)]) {
        assert.instanceOf(error, ConnectionError.ConnectionClosed)
        assert.strictEqual(error.reason._tag, "Disconnected")
      }
      const dials = yield* world.network.dials
      yield* pass("5 minutes")
      assert.strictEqual(yield* world.network.dials, dials)
    }
    assert.deepStrictEqual(world.labels(), [])
  }))

it.scoped("A7 S4 only the one who was disconnected is told why", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client(atOnce)).connect(Tally, "a", { params: { who: "ann" } })
    const { id } = yield* tally.rpc.WhoAmI()
    yield* Effect.exit(tally.rpc.Leave({ reason: "secret reason" }))
    yield* pass("1 second")
    const stranger = yield* world.rawLink
    const position = { connectionId: id, token: "0".repeat(32), received: 0, resumption: 1 }
    const resume = { channel: 1, contract: "Tally", key: "a", ...position }
    yield* stranger.send(JSON.stringify({ _tag: "Hello", version: 1 }), JSON.stringify({ _tag: "Resume", ...resume }))
    assert.deepStrictEqual(stranger.of("Close").map(({ reason }) => reason._tag), ["ResumeExpired"])
  }))

it.scoped.each(
  [
    ["the actor has slept", "1 minute", Effect.void],
    ["its activation was lost", "1 second", undefined]
  ] as const
)("A7 who was disconnected while away is told so also when %s meanwhile", ([, away, lose]) =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { idleTimeout: "10 seconds" } })
    yield* world.serve()
    const client = yield* world.client(atOnce)
    const tally = yield* client.connect(Tally, "a", { params: { who: "ann" } })
    const waiting = yield* begin(tally.rpc.Hold({ label: "held", gate: "gate" }))
    const leaving = yield* begin(tally.rpc.Leave({ reason: "enough" }))
    yield* client.pause
    yield* begin(world.trace.open("gate"))
    const late = yield* begin(tally.rpc.Add({ label: "late" }))
    if (!lose) {
      const other = yield* (yield* world.client()).connect(Tally, "a", { params: { who: "bob" } })
      yield* world.store.fail("failed")
      yield* begin(other.rpc.Add({ label: "lost" }))
    }
    yield* pass(away)
    assert.strictEqual(world.trace.count("unbuild"), 1)
    yield* client.resume
    yield* pass("1 second")
    assert.strictEqual(yield* statusOf(tally), "closed Disconnected")
    for (const error of [yield* failure(waiting), yield* failure(leaving), yield* failure(late)]) {
      assert.instanceOf(error, ConnectionError.ConnectionClosed)
    }
    assert.strictEqual(world.trace.count("acquire ann"), 1)
    assert.notInclude(world.labels(), "late")
  }))
