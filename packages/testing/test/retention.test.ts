/** How old a call may be when it is sent again. Here the server keeps answers for 10 minutes, so 9 minutes are the limit. */
import { assert, it } from "@effect/vitest"
import { ConnectionError } from "@troupe/contract"
import { RawClient } from "@troupe/testing"
import { Effect } from "effect"
import { Tally } from "./support/tally.ts"
import { begin, failure, isRunning, makeWorld, pass, result, settle, statusOf, type World } from "./support/world.ts"

const options = { params: { who: "ann" } }

/** The links of these tests are quiet for minutes. */
const patient = { heartbeat: "10 hours", silence: "20 hours", openTimeout: "20 hours" } as const

const makePatientWorld = makeWorld({ retention: "10 minutes", gateway: patient, host: { resumeWindow: "20 hours" } })

/** The server is gone, with all that it has not committed, and no other can be reached. */
const loseServer = (world: World) =>
  world.network.setReachability("refused").pipe(Effect.zipRight(world.crash), Effect.zipRight(settle))

/** A server can be reached again, now. */
const findServer = ({ network }: World) =>
  network.setReachability("reachable").pipe(Effect.zipRight(network.opportunity), Effect.zipRight(settle))

/** Another server takes over at this moment. */
const replaceServer = (world: World) => Effect.zipRight(loseServer(world), findServer(world))

const assertUnknown = (error: unknown) => {
  assert.instanceOf(error, ConnectionError.OutcomeUnknown)
  assert.strictEqual(error.sent, "maybe")
  assert.include(error.message, "longer ago than the server keeps answers")
}

it.scoped("C15 a call that was sent longer ago than the retention less a tenth is not sent again", () =>
  Effect.gen(function*() {
    const world = yield* makePatientWorld
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      const old = yield* begin(tally.rpc.Hold({ label: `${round} old`, gate: `${round} old` }))
      yield* pass("1 millis")
      const young = yield* begin(tally.rpc.Hold({ label: `${round} young`, gate: `${round} young` }))
      yield* loseServer(world)
      const unsent = yield* begin(tally.rpc.Add({ label: `${round} unsent` }))
      yield* pass("9 minutes")
      assert.isTrue(yield* isRunning(old))
      yield* findServer(world)
      assert.strictEqual(yield* statusOf(tally), "connected")
      assertUnknown(yield* failure(old))
      assert.isTrue(yield* isRunning(young))
      yield* world.trace.open(`${round} young`)
      yield* result(young)
      yield* result(unsent)
      assert.strictEqual(world.trace.count(`hold ${round} old`), 1)
      assert.strictEqual(world.trace.count(`hold ${round} young`), 1, "the first had not begun")
      expected.push(`${round} young`, `${round} unsent`)
      assert.deepStrictEqual(world.labels(), expected)
    }
  }))

it.scoped("C15 what counts is when it was first sent: neither when it was made, nor when it was last sent", () =>
  Effect.gen(function*() {
    const world = yield* makePatientWorld
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      yield* loseServer(world)
      const call = yield* begin(tally.rpc.Hold({ label: round, gate: "never" }))
      yield* pass("20 minutes")
      assert.strictEqual(world.trace.count(`hold ${round}`), 0)
      yield* findServer(world)
      assert.strictEqual(world.trace.count(`hold ${round}`), 1, "it is not old, it was never sent")
      yield* pass("5 minutes")
      yield* replaceServer(world)
      assert.strictEqual(world.trace.count(`hold ${round}`), 2, "it was made 25 minutes ago, and sent 5 minutes ago")
      yield* pass("4 minutes")
      yield* replaceServer(world)
      assert.strictEqual(world.trace.count(`hold ${round}`), 3, "it was sent 9 minutes ago, to the millisecond")
      yield* pass("1 millis")
      assert.isTrue(yield* isRunning(call))
      yield* replaceServer(world)
      assert.strictEqual(world.trace.count(`hold ${round}`), 3, "it was last sent a millisecond ago")
      assertUnknown(yield* failure(call))
    }
    assert.deepStrictEqual(world.labels(), [])
  }))

it.scoped("C15 a call that an earlier connection may have brought about is not sent late on the one that stands", () =>
  Effect.gen(function*() {
    const world = yield* makePatientWorld
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const old = yield* begin(tally.rpc.Hold({ label: `${round} old`, gate: "never" }))
      // it is sent again to the next server, and does not arrive
      yield* world.network.onMessage(({ carries, from }) =>
        from === "client" && carries("Request") ? "cut-before" : undefined
      )
      yield* loseServer(world)
      yield* findServer(world)
      yield* world.network.setReachability("refused")
      yield* world.network.onMessage(() => undefined)
      yield* pass("10 minutes")
      const other = yield* begin(tally.rpc.Add({ label: `${round} other` }))
      yield* findServer(world)
      assertUnknown(yield* failure(old))
      yield* result(other)
      assert.strictEqual(world.trace.count(`hold ${round} old`), 1)
    }
    assert.deepStrictEqual(world.labels(), ["x other", "y other"])
  }))

it.scoped("C15 age does not matter while the connection stands, nor where nothing is recorded", () =>
  Effect.gen(function*() {
    const world = yield* makePatientWorld
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const rides = yield* begin(tally.rpc.Hold({ label: `${round} rides`, gate: `${round} rides` }))
      yield* pass("30 minutes")
      yield* world.network.cut
      yield* pass("30 seconds")
      assert.strictEqual(yield* statusOf(tally), "resumed")
      yield* world.trace.open(`${round} rides`)
      yield* result(rides)

      const again = yield* begin(tally.rpc.Again({ label: `${round} again`, gate: `${round} again` }))
      yield* pass("30 minutes")
      yield* replaceServer(world)
      yield* world.trace.open(`${round} again`)
      yield* result(again)
      assert.strictEqual(world.trace.count(`hold ${round} again`), 2)
    }
    assert.deepStrictEqual(world.labels(), ["x rides", "x again", "y rides", "y again"])
  }))

it.scoped("C15 what comes after too long a silence may be old: it is not heard, and the link ends", () =>
  Effect.gen(function*() {
    const world = yield* makePatientWorld
    yield* world.serve()
    for (const [round, hours] of [[1, 18], [2, 23]] as const) {
      const link = yield* world.rawLink
      const session = `${round}`.repeat(32)
      // the server looks every ten hours how long nothing has been heard
      yield* pass("1 hour")
      yield* link.say(RawClient.hello, RawClient.open(Tally, "a", { params: { who: "ann" }, session }))
      yield* pass(`${hours} hours`)
      yield* link.say(RawClient.request(1, "Add", { label: `${hours} hours` }))
      assert.deepStrictEqual(world.labels(), ["18 hours"])
      assert.strictEqual(link.of("Message").some(({ payload }) => payload._tag === "Exit"), round === 1)
      yield* link.close
      // to the next full ten hours
      yield* pass(`${hours === 18 ? 1 : 6} hours`)
    }
  }))

it.scoped("the answers for a client that comes back after the retention are kept until it has them, as before", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ retention: "10 minutes", gateway: patient })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const goAway = (minutes: number) =>
      world.network.setReachability("refused").pipe(
        Effect.zipRight(world.network.cut),
        Effect.zipRight(pass(`${minutes} minutes`)),
        Effect.zipRight(findServer(world))
      )
    const old = yield* begin(tally.rpc.Hold({ label: "old", gate: "never" }))
    yield* goAway(11)
    assertUnknown(yield* failure(old))
    yield* world.network.onMessage(({ carries, from }) =>
      from === "server" && carries("Exit") ? "cut-before" : undefined
    )
    const call = yield* begin(tally.rpc.Add({ label: "new" }))
    yield* world.network.onMessage(() => undefined)
    // for longer than it could have resumed
    yield* goAway(3)
    assert.strictEqual(yield* result(call), 1)
    assert.deepStrictEqual(world.labels(), ["new"])
  }))

it.scoped("answers that a client has got are deleted once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const label of ["x", "y", "z"]) yield* result(yield* begin(tally.rpc.Add({ label })))
    assert.deepStrictEqual(world.store.commits.map(({ settledSegments }) => settledSegments), [[], [1], [2]])
  }))
