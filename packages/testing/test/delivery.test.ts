import { assert, it } from "@effect/vitest"
import { ConnectionError } from "@troupe/contract"
import { Effect } from "effect"
import { makeScripted } from "./support/scripted.ts"
import { Tally } from "./support/tally.ts"
import { begin, failure, isRunning, makeWorld, pass, result, statusOf, type World } from "./support/world.ts"

const options = { params: { who: "ann" } }

// --- destroyed actors ------------------------------------------------------------------------------------------------

it.scoped("L4 a call that may have reached an actor that was destroyed since is not sent to the next one", () =>
  Effect.gen(function*() {
    const { client, server } = yield* makeScripted()
    const tally = yield* client.connect(Tally, "a", options)
    for (const round of [1, 2]) {
      const sent = [
        yield* begin(tally.rpc.Add({ label: "sent" })),
        yield* begin(tally.rpc.Again({ label: "sent", gate: "none" }))
      ]
      yield* client.pause
      const unsent = yield* begin(tally.rpc.Add({ label: "unsent" }))
      server.incarnation++
      server.lost = { _tag: "ActivationLost" }
      const before = server.requests.length
      for (const call of [...sent, unsent]) assert.isTrue(yield* isRunning(call), "nothing is known yet")
      yield* client.resume
      for (const call of sent) {
        const error = yield* failure(call)
        assert.instanceOf(error, ConnectionError.ActorDestroyed)
        assert.strictEqual(error.sent, "maybe")
        assert.strictEqual(error.message, "Tally/a was destroyed; the call may have run")
      }
      assert.deepStrictEqual(server.requests.slice(before), [3 * round])
      yield* server.answer(3 * round, 1)
      assert.strictEqual(yield* result(unsent), 1)
    }
  }))

it.scoped("L4 a call belongs to the actor it was first sent to, also when it was sent again since", () =>
  Effect.gen(function*() {
    const { client, server } = yield* makeScripted()
    const tally = yield* client.connect(Tally, "a", options)
    for (const round of [1, 2]) {
      const call = yield* begin(tally.rpc.Add({ label: "sent" }))
      yield* server.close({ _tag: "ActivationLost" })
      assert.deepStrictEqual(server.requests, round === 1 ? [1, 1] : [1, 1, 2, 2], "the same actor is asked again")
      assert.isTrue(yield* isRunning(call))
      yield* pass("5 seconds")
      server.incarnation++
      yield* server.close({ _tag: "ActivationLost" })
      assert.instanceOf(yield* failure(call), ConnectionError.ActorDestroyed)
      yield* pass("5 seconds")
    }
    assert.deepStrictEqual(server.requests, [1, 1, 2, 2])
  }))

// --- what is sent again ----------------------------------------------------------------------------------------------

/** The server commits a call and is gone before the answer arrives; another one takes over. */
const loseTheAnswer = <A, E>(world: World, call: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    yield* world.network.onMessage(({ carries, from }) =>
      from === "server" && carries("Exit") ? "cut-before" : undefined
    )
    yield* world.network.setReachability("refused")
    const fiber = yield* begin(call)
    yield* world.network.onMessage(() => undefined)
    yield* world.crash
    yield* world.network.setReachability("reachable")
    yield* pass("31 seconds")
    return fiber
  })

it.scoped("C8 an idempotent call whose answer is lost runs again, and nothing of it is recorded", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* world.trace.open("open")
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      const again = yield* loseTheAnswer(world, tally.rpc.Again({ label: round, gate: "open" }))
      expected.push(round, round)
      assert.strictEqual(yield* result(again), expected.length)
      assert.deepStrictEqual(world.labels(), expected)
      assert.strictEqual(world.trace.count(`hold ${round}`), 2)
    }
    assert.deepStrictEqual(world.recorded, [])
    // one that is delivered exactly once is recorded, and answered from there
    const once = yield* loseTheAnswer(world, tally.rpc.Hold({ label: "z", gate: "open" }))
    assert.strictEqual(yield* result(once), 5)
    assert.strictEqual(world.trace.count("hold z"), 1)
    assert.deepStrictEqual(world.recorded, [3])
  }))

it.scoped("C8 an idempotent call that is sent again while it runs does not run beside itself", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { resumeWindow: "1 minute" } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const again = yield* begin(tally.rpc.Again({ label: round, gate: round }))
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* pass("2 minutes")
      yield* world.network.setReachability("reachable")
      yield* pass("31 seconds")
      // `onConnect` waits for the turn that runs
      assert.strictEqual(yield* statusOf(tally), "connecting")
      yield* world.trace.open(round)
      yield* result(again)
      assert.strictEqual(world.trace.count(`hold ${round}`), 1)
    }
    assert.deepStrictEqual(world.labels(), ["x", "y"])
  }))

it.scoped("C8 an at-most-once call is not recorded, and fails as soon as its connection is lost", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* world.trace.open("open")
    for (const round of ["x", "y"]) {
      const once = yield* loseTheAnswer(world, tally.rpc.Once({ label: round, gate: "open" }))
      const error = yield* failure(once)
      assert.instanceOf(error, ConnectionError.OutcomeUnknown)
      assert.strictEqual(error.sent, "maybe")
      assert.include(error.message, "at most once")
      assert.strictEqual(world.trace.count(`hold ${round}`), 1)
    }
    assert.deepStrictEqual(world.recorded, [])
    assert.deepStrictEqual(world.labels(), ["x", "y"])
  }))

it.scoped("C8 B8 an at-most-once call that was given up does not take the credit of others", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { resumeWindow: "1 minute", window: 1 } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const once = yield* begin(tally.rpc.Once({ label: `${round} once`, gate: "never" }))
      const others = [
        yield* begin(tally.rpc.Add({ label: `${round}1` })),
        yield* begin(tally.rpc.Add({ label: `${round}2` }))
      ]
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* pass("2 minutes")
      yield* world.network.setReachability("reachable")
      yield* pass("31 seconds")
      assert.instanceOf(yield* failure(once), ConnectionError.OutcomeUnknown)
      for (const call of others) yield* result(call)
      assert.strictEqual(yield* statusOf(tally), "connected")
      assert.strictEqual(world.trace.count(`interrupted ${round} once`), 1)
    }
    assert.deepStrictEqual(world.labels(), ["x1", "x2", "y1", "y2"])
  }))
