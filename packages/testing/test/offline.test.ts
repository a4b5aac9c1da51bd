import { assert, it } from "@effect/vitest"
import type { Connection } from "@troupe/client"
import { ConnectionError } from "@troupe/contract"
import { type DefinitionOf } from "@troupe/contract/Contract"
import { Cause, Deferred, Effect, Exit, Fiber, Option, Schedule, Scope, Stream, Supervisor } from "effect"
import { Tally, Turned } from "./support/tally.ts"
import {
  atOnce,
  begin,
  ended,
  failure,
  isRunning,
  makeWorld,
  pass,
  result,
  settle,
  statuses,
  statusOf,
  type World
} from "./support/world.ts"

const options = { params: { who: "ann" } }

type TallyConnection = Connection.Connection<DefinitionOf<Tally>>

const goOffline = ({ network }: World) =>
  network.setReachability("refused").pipe(Effect.zipRight(network.cut), Effect.zipRight(settle))

/** Long enough for any wait of the default schedule, short of the resume window. */
const goOnline = ({ network }: World) => Effect.zipRight(network.setReachability("reachable"), pass("31 seconds"))

const add = (tally: TallyConnection, label: string) => begin(tally.rpc.Add({ label }))

// --- C1 --------------------------------------------------------------------------------------------------------------

it.scoped("C1 an unreachable server is dialled until it comes up, and connect settles then", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    const client = yield* world.client()
    for (const round of [1, 2]) {
      yield* world.network.setReachability("refused")
      const dialsBefore = yield* world.network.dials
      const connectScope = yield* Scope.make()
      const connecting = yield* begin(Scope.extend(client.connect(Tally, "a", options), connectScope))
      assert.strictEqual(yield* statusOf(client), `waiting 1 DialFailed`)
      for (let i = 0; i < 10; i++) yield* pass("30 seconds")
      assert.isTrue(yield* isRunning(connecting))
      assert.isAtLeast((yield* world.network.dials) - dialsBefore, 12)
      yield* world.serve()
      yield* world.network.setReachability("reachable")
      yield* pass("30 seconds")
      const tally = yield* result(connecting)
      assert.strictEqual(yield* statusOf(tally), "connected")
      assert.strictEqual(yield* result(yield* add(tally, `${round}`)), round)
      // long enough for the schedule to begin anew
      yield* pass("5 seconds")
      yield* Scope.close(connectScope, Exit.void)
    }
  }))

it.scoped("C1 a connect that is interrupted while the server is away leaves nothing, and another one succeeds", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.network.setReachability("refused")
    const client = yield* world.client()
    const connecting = yield* begin(Effect.scoped(Effect.zipRight(client.connect(Tally, "a", options), Effect.never)))
    yield* pass("1 minute")
    yield* Fiber.interrupt(connecting)
    const dials = yield* world.network.dials
    yield* pass("10 minutes")
    assert.strictEqual(yield* world.network.dials, dials, "nobody wants a link any more")
    yield* world.serve()
    yield* world.network.setReachability("reachable")
    const tally = yield* result(yield* begin(client.connect(Tally, "a", options)))
    assert.strictEqual(yield* result(yield* add(tally, "x")), 1)
    assert.deepStrictEqual(world.trace.entries("preflight"), ["preflight ann"])
  }))

// --- C4 --------------------------------------------------------------------------------------------------------------

it.scoped("C4 calls made offline are queued and sent once, in call order, before any newer call", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const expected: Array<string> = []
    // a call made at the very moment the connection says that it is up again
    const newer: Array<string> = []
    let label = ""
    yield* Effect.forkScoped(
      Stream.runForEach(
        tally.status.changes,
        ({ _tag }) => Effect.when(tally.rpc.Add({ label }), () => _tag === "Connected" && label !== "")
      )
    )
    for (const round of ["x", "y", "z"]) {
      yield* goOffline(world)
      const calls = []
      for (let i = 0; i < 5; i++) calls.push(yield* add(tally, `${round}${i}`))
      assert.strictEqual(yield* tally.pending.get, 5)
      assert.strictEqual(world.labels().length, expected.length)
      label = `${round} newer`
      yield* goOnline(world)
      for (let i = 0; i < 5; i++) {
        expected.push(`${round}${i}`)
        assert.strictEqual(yield* result(calls[i]!), expected.length)
      }
      expected.push(label)
      label = ""
      assert.deepStrictEqual(world.labels(), expected)
      assert.strictEqual(yield* tally.pending.get, 0)
    }
    assert.lengthOf(newer, 0)
  }))

it.scoped("C4 the order of calls holds across a reconnect: on their way, answered but lost, queued, and new", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const expected: Array<string> = []
    const calls: Array<Fiber.RuntimeFiber<number, unknown>> = []
    const call = (label: string) =>
      Effect.map(add(tally, label), (fiber) => {
        calls.push(fiber)
        expected.push(label)
      })
    for (const round of ["x", "y", "z"]) {
      // its answer is lost
      yield* world.network.onMessage(({ carries, from }) =>
        from === "server" && carries("Exit") ? "cut-before" : undefined
      )
      yield* call(`${round} answered`)
      yield* world.network.onMessage(() => undefined)
      yield* world.network.setReachability("refused")
      yield* call(`${round} queued`)
      yield* pass("1 second")
      yield* goOnline(world)
      calls.push(yield* begin(tally.rpc.Hold({ label: `${round} running`, gate: round })))
      expected.push(`${round} running`)
      yield* call(`${round} behind`)
      // these do not arrive
      yield* world.network.onMessage(({ from }) => from === "client" ? "cut-before" : undefined)
      yield* call(`${round} lost`)
      yield* world.network.onMessage(() => undefined)
      yield* world.network.setReachability("refused")
      yield* call(`${round} offline`)
      yield* goOnline(world)
      yield* call(`${round} new`)
      yield* world.trace.open(round)
      yield* settle
    }
    assert.deepStrictEqual(world.labels(), expected)
    for (let i = 0; i < calls.length; i++) assert.strictEqual(yield* result(calls[i]!), i + 1)
  }))

it.scoped("C4 C7 calls made in the same tick as a drop take effect once, in order", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client(atOnce)).connect(Tally, "a", options)
    const expected: Array<string> = []
    const calls: Array<Fiber.RuntimeFiber<number, unknown>> = []
    const fork = (label: string) =>
      Effect.map(Effect.fork(tally.rpc.Add({ label })), (fiber) => {
        calls.push(fiber)
        expected.push(label)
      })
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < round % 4; i++) yield* fork(`${round} before ${i}`)
      // how far the calls have come when the link is cut
      yield* Effect.repeatN(Effect.yieldNow(), round)
      yield* world.network.cut
      for (let i = 0; i < 3; i++) yield* fork(`${round} after ${i}`)
      if (round % 2 === 0) yield* settle
    }
    yield* settle
    assert.deepStrictEqual(world.labels(), expected)
    for (let i = 0; i < calls.length; i++) assert.strictEqual(yield* result(calls[i]!), i + 1)
  }))

it.scoped("C4 C7 a server that is stopped and started again: calls unanswered, unsent and new take effect once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ gateway: { drainTimeout: "100 millis" } })
    let server = yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const expected: Array<string> = []
    const calls: Array<Fiber.RuntimeFiber<number, unknown>> = []
    for (const round of ["x", "y"]) {
      calls.push(yield* begin(tally.rpc.Hold({ label: `${round} unanswered`, gate: round })))
      calls.push(yield* add(tally, `${round} behind`))
      const stopping = yield* begin(server.stop)
      calls.push(yield* add(tally, `${round} while stopping`))
      // the running turn does not end by itself: it is cut off in the end
      yield* pass("1 minute")
      yield* result(stopping)
      assert.match(yield* statusOf(tally), /^waiting/)
      assert.strictEqual(world.trace.count(`interrupted ${round} unanswered`), 1)
      calls.push(yield* add(tally, `${round} unsent`))
      server = yield* world.serve()
      yield* pass("31 seconds")
      assert.strictEqual(yield* statusOf(tally), "connected")
      calls.push(yield* add(tally, `${round} new`))
      yield* world.trace.open(round)
      for (const what of ["unanswered", "behind", "while stopping", "unsent", "new"]) expected.push(`${round} ${what}`)
      yield* settle
      assert.deepStrictEqual(world.labels(), expected)
    }
    for (let i = 0; i < calls.length; i++) assert.strictEqual(yield* result(calls[i]!), i + 1)
  }))

it.scoped("C7 a server that is gone from one moment to the next: what was committed is answered, the rest runs once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client(atOnce)).connect(Tally, "a", options)
    const expected: Array<string> = []
    const calls: Array<Fiber.RuntimeFiber<number, unknown>> = []
    for (const round of ["x", "y", "z"]) {
      // committed, but the answer is lost
      yield* world.network.onMessage(({ carries, from }) =>
        from === "server" && carries("Exit") ? "cut-before" : undefined
      )
      yield* world.network.setReachability("silent")
      calls.push(yield* add(tally, `${round} committed`))
      calls.push(yield* begin(tally.rpc.Hold({ label: `${round} unsent`, gate: round })))
      yield* world.network.onMessage(() => undefined)
      assert.strictEqual(world.labels().at(-1), `${round} committed`)
      yield* world.network.setReachability("reachable")
      yield* world.crash
      yield* pass("10 seconds")
      assert.strictEqual(yield* result(calls.at(-2)!), expected.length + 1)
      calls.push(yield* add(tally, `${round} behind`))
      yield* world.crash
      yield* settle
      yield* world.trace.open(round)
      yield* settle
      for (const what of ["committed", "unsent", "behind"]) expected.push(`${round} ${what}`)
      assert.deepStrictEqual(world.labels(), expected)
      assert.strictEqual(world.trace.count(`add ${round} committed`), 1)
    }
    for (let i = 0; i < calls.length; i++) assert.strictEqual(yield* result(calls[i]!), i + 1)
  }))

// --- C5 --------------------------------------------------------------------------------------------------------------

it.scoped("C5 the queue is bounded in calls: one more fails at once, the others are kept, a cancelled one makes room", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client({ pendingCallsMax: 3 })).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      // two that were sent count as well
      const sent = [yield* begin(tally.rpc.Hold({ label: `${round}1`, gate: round })), yield* add(tally, `${round}2`)]
      yield* goOffline(world)
      const third = yield* add(tally, `${round} cancelled`)
      for (let i = 0; i < 2; i++) {
        const error = yield* failure(yield* add(tally, `${round} too much`))
        assert.deepStrictEqual(
          error,
          new ConnectionError.QueueFull({ limit: "pendingCallsMax", max: 3, sent: "no" })
        )
      }
      assert.strictEqual(yield* tally.pending.get, 3)
      yield* Fiber.interrupt(third)
      assert.strictEqual(yield* tally.pending.get, 2)
      const fourth = yield* add(tally, `${round}3`)
      assert.isTrue(yield* isRunning(fourth))
      assert.instanceOf(yield* failure(yield* add(tally, `${round} too much`)), ConnectionError.QueueFull)
      yield* goOnline(world)
      yield* world.trace.open(round)
      for (const fiber of [...sent, fourth]) yield* result(fiber)
    }
    assert.deepStrictEqual(world.labels(), ["x1", "x2", "x3", "y1", "y2", "y3"])
  }))

it.scoped("C5 the queue is bounded in bytes: a share is given back when its call is cancelled or answered", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client({ pendingBytesMax: 1000 })).connect(Tally, "a", options)
    const full = new ConnectionError.QueueFull({ limit: "pendingBytesMax", max: 1000, sent: "no" })
    for (const round of ["x", "y"]) {
      const large = round.repeat(600)
      yield* goOffline(world)
      const first = yield* add(tally, large)
      assert.deepStrictEqual(yield* failure(yield* add(tally, large)), full)
      const small = yield* add(tally, `${round} small`)
      assert.isTrue(yield* isRunning(small))
      yield* Fiber.interrupt(first)
      const again = yield* add(tally, large)
      assert.deepStrictEqual(yield* failure(yield* add(tally, large)), full)
      yield* goOnline(world)
      yield* result(small)
      yield* result(again)
      // answered: there is room
      yield* result(yield* add(tally, large))
    }
    assert.deepStrictEqual(world.labels(), [
      "x small",
      "x".repeat(600),
      "x".repeat(600),
      "y small",
      "y".repeat(600),
      "y".repeat(600)
    ])
  }))

it.scoped("C5 bytes are bytes: text outside of ASCII counts as long as it is on the wire", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client({ pendingBytesMax: 1000 })
    const tally = yield* client.connect(Tally, "a", options)
    yield* client.pause
    yield* add(tally, "€".repeat(200))
    assert.instanceOf(yield* failure(yield* add(tally, "€".repeat(200))), ConnectionError.QueueFull)
  }))

it.scoped("C5 a call for which there will never be room is rejected", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const error = yield* failure(yield* add(tally, "x".repeat(2 ** 20)))
    assert.instanceOf(error, ConnectionError.CallRejected)
    assert.include(error.message, "pendingBytesMax")
    yield* result(yield* add(tally, "small"))
    assert.deepStrictEqual(world.labels(), ["small"])
  }))

it.scoped("C5 a call that is larger than a message may be fails alone", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve({ messageBytesMax: 50_000 })
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const large = yield* add(tally, round.repeat(60_000))
      const small = yield* add(tally, `${round} small`)
      yield* pass("31 seconds")
      const error = yield* failure(large)
      assert.strictEqual((error as ConnectionError.ConnectionError).sent, "no")
      yield* result(small)
      assert.match(yield* statusOf(tally), /connected|resumed/)
    }
    assert.deepStrictEqual(world.labels(), ["x small", "y small"])
  }))

// --- C6 --------------------------------------------------------------------------------------------------------------

it.scoped("C6 a call that is interrupted before it was written never runs, and its place is free at once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      yield* goOffline(world)
      const before = yield* add(tally, `${round} before`)
      const interrupted = yield* add(tally, `${round} interrupted`)
      const timedOut = yield* begin(Effect.timeoutOption(tally.rpc.Add({ label: `${round} timed out` }), "3 seconds"))
      const after = yield* add(tally, `${round} after`)
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(yield* tally.pending.get, 3)
      yield* pass("3 seconds")
      assert.deepStrictEqual(yield* result(timedOut), Option.none())
      assert.strictEqual(yield* tally.pending.get, 2)
      yield* goOnline(world)
      yield* result(before)
      yield* result(after)
    }
    assert.deepStrictEqual(world.labels(), ["x before", "x after", "y before", "y after"])
  }))

it.scoped("C6 a call that was sent and is interrupted offline is cancelled before any newer call, and not sent again", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const running = yield* begin(tally.rpc.Hold({ label: `${round} running`, gate: "never" }))
      const queued = yield* add(tally, `${round} queued`)
      yield* goOffline(world)
      yield* Fiber.interrupt(running)
      yield* Fiber.interrupt(queued)
      const newer = yield* add(tally, `${round} newer`)
      assert.strictEqual(world.trace.count(`interrupted ${round} running`), 0)
      yield* goOnline(world)
      assert.strictEqual(world.trace.count(`interrupted ${round} running`), 1)
      assert.strictEqual(world.trace.count(`hold ${round} running`), 1)
      yield* result(newer)
      assert.strictEqual(yield* statusOf(tally), "resumed")
    }
    assert.deepStrictEqual(world.labels(), ["x newer", "y newer"])
  }))

it.scoped("C6 a call whose message was lost and which is interrupted then does not hold up what follows", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      yield* world.network.onMessage(({ from }) => from === "client" ? "cut-before" : undefined)
      const lost = yield* begin(tally.rpc.Hold({ label: `${round} lost`, gate: "never" }))
      yield* world.network.onMessage(() => undefined)
      yield* Fiber.interrupt(lost)
      const newer = yield* add(tally, `${round} newer`)
      yield* goOnline(world)
      yield* result(newer)
      assert.isAtMost(world.trace.count(`hold ${round} lost`), 1)
      assert.strictEqual(world.trace.count(`hold ${round} lost`), world.trace.count(`interrupted ${round} lost`))
    }
    assert.deepStrictEqual(world.labels(), ["x newer", "y newer"])
  }))

it.scoped("C6 a call that is interrupted while the server is away for good is not sent to the next one", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const lost = yield* begin(tally.rpc.Hold({ label: `${round} lost`, gate: "never" }))
      yield* goOffline(world)
      yield* world.crash
      yield* Fiber.interrupt(lost)
      const newer = yield* add(tally, `${round} newer`)
      yield* goOnline(world)
      assert.strictEqual(yield* statusOf(tally), "connected")
      yield* result(newer)
      assert.strictEqual(world.trace.count(`hold ${round} lost`), 1)
    }
    assert.deepStrictEqual(world.labels(), ["x newer", "y newer"])
  }))

it.scoped("C6 a call that is interrupted while its session is being opened anew is cancelled", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const running = yield* begin(tally.rpc.Hold({ label: `${round} running`, gate: "never" }))
      yield* goOffline(world)
      yield* pass("3 minutes")
      // the server still runs the call, and is asked for its answer
      const preflight = yield* Deferred.make<void>()
      world.trace.preflight = Deferred.await(preflight)
      yield* world.network.setReachability("reachable")
      // no longer than that: the server does not wait for a preflight for ever
      yield* pass("1 second").pipe(
        Effect.repeat({ until: () => Effect.map(statusOf(tally), (is) => is === "connecting") })
      )
      yield* Fiber.interrupt(running)
      const newer = yield* add(tally, `${round} newer`)
      yield* Deferred.succeed(preflight, undefined)
      yield* settle
      assert.strictEqual(world.trace.count(`interrupted ${round} running`), 1)
      yield* result(newer)
    }
    assert.deepStrictEqual(world.labels(), ["x newer", "y newer"])
  }))

it.scoped("C6 when the connection ends for good, a call that was not sent fails with sent \"no\" and never runs", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    for (const round of ["x", "y"]) {
      const tally = yield* client.connect(Tally, "a", options)
      const sent = yield* begin(tally.rpc.Hold({ label: `${round} sent`, gate: round }))
      yield* goOffline(world)
      yield* world.crash
      const unsent = yield* add(tally, `${round} unsent`)
      world.trace.preflight = new Turned({ away: "full" })
      yield* goOnline(world)
      const reason = { _tag: "Denied" as const, error: { _tag: "Turned", away: "full" } }
      assert.strictEqual(yield* statusOf(tally), "closed Denied")
      assert.deepStrictEqual(yield* failure(sent), new ConnectionError.ConnectionClosed({ reason, sent: "maybe" }))
      assert.deepStrictEqual(yield* failure(unsent), new ConnectionError.ConnectionClosed({ reason, sent: "no" }))
      assert.deepStrictEqual(
        yield* failure(yield* add(tally, `${round} later`)),
        new ConnectionError.ConnectionClosed({ reason, sent: "no" })
      )
      world.trace.preflight = Effect.void
      yield* pass("10 minutes")
      assert.deepStrictEqual(world.labels(), [])
    }
  }))

it.scoped("C6 a schedule that ends closes the connection, and what waits is settled with sent told apart", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client({
      schedule: Schedule.spaced("1 second").pipe(Schedule.intersect(Schedule.recurs(3)))
    })
    for (const round of ["x", "y"]) {
      yield* world.network.setReachability("reachable")
      const tally = yield* client.connect(Tally, "a", options)
      const sent = yield* begin(tally.rpc.Hold({ label: `${round} sent`, gate: round }))
      // up for long enough, so that the schedule begins anew
      yield* pass("6 seconds")
      yield* goOffline(world)
      const unsent = yield* add(tally, `${round} unsent`)
      yield* pass("1 second")
      yield* pass("1 second")
      yield* pass("1 second")
      yield* pass("1 second")
      assert.strictEqual(yield* statusOf(tally), "closed GaveUp")
      const reason = { _tag: "GaveUp" as const }
      assert.deepStrictEqual(yield* failure(sent), new ConnectionError.ConnectionClosed({ reason, sent: "maybe" }))
      assert.deepStrictEqual(yield* failure(unsent), new ConnectionError.ConnectionClosed({ reason, sent: "no" }))
      yield* world.crash
    }
  }))

// --- C8 --------------------------------------------------------------------------------------------------------------

it.scoped("C8 an at-most-once call rides a resume, and is not sent again when the connection is lost", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      const rides = yield* begin(tally.rpc.Once({ label: `${round} rides`, gate: `${round} rides` }))
      yield* goOffline(world)
      yield* goOnline(world)
      assert.strictEqual(yield* statusOf(tally), "resumed")
      assert.isTrue(yield* isRunning(rides))
      yield* world.trace.open(`${round} rides`)
      expected.push(`${round} rides`)
      assert.strictEqual(yield* result(rides), expected.length)

      const lost = yield* begin(tally.rpc.Once({ label: `${round} lost`, gate: `${round} lost` }))
      const kept = yield* begin(tally.rpc.Hold({ label: `${round} kept`, gate: `${round} kept` }))
      yield* goOffline(world)
      yield* world.crash
      const unsent = yield* begin(tally.rpc.Once({ label: `${round} unsent`, gate: `${round} kept` }))
      yield* goOnline(world)
      assert.strictEqual(yield* statusOf(tally), "connected")
      const error = yield* failure(lost)
      assert.instanceOf(error, ConnectionError.OutcomeUnknown)
      assert.strictEqual(error.sent, "maybe")
      yield* world.trace.open(`${round} kept`)
      yield* result(kept)
      yield* result(unsent)
      expected.push(`${round} kept`, `${round} unsent`)
      assert.strictEqual(world.trace.count(`hold ${round} lost`), 1)
      assert.strictEqual(world.trace.count(`hold ${round} unsent`), 1)
      assert.deepStrictEqual(world.labels(), expected)
    }
  }))

it.scoped("C8 an at-most-once call whose answer is lost with the connection fails, and has run once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* world.trace.open("open")
    for (const round of ["x", "y"]) {
      yield* world.network.onMessage(({ carries, from }) =>
        from === "server" && carries("Exit") ? "cut-before" : undefined
      )
      yield* world.network.setReachability("refused")
      const once = yield* begin(tally.rpc.Once({ label: round, gate: "open" }))
      yield* world.network.onMessage(() => undefined)
      yield* world.crash
      yield* goOnline(world)
      assert.instanceOf(yield* failure(once), ConnectionError.OutcomeUnknown)
      assert.strictEqual(world.trace.count(`hold ${round}`), 1)
    }
    assert.deepStrictEqual(world.labels(), ["x", "y"])
  }))

// --- C11 -------------------------------------------------------------------------------------------------------------

/** What a client can be in the middle of when it is closed. */
const moments: Record<string, (world: World) => Effect.Effect<void>> = {
  connected: () => settle,
  waiting: goOffline,
  "waiting for the second time": (world) => goOffline(world).pipe(Effect.zipRight(pass("10 seconds"))),
  dialling: ({ network }) =>
    network.setReachability("silent").pipe(Effect.zipRight(network.cut), Effect.zipRight(pass("1 second"))),
  "being greeted": ({ network }) =>
    network.onMessage(({ carries }) => carries("Welcome") ? "cut-before" : undefined).pipe(
      Effect.zipRight(network.cut),
      Effect.zipRight(pass("1 second"))
    ),
  resuming: ({ network }) =>
    network.cut.pipe(
      Effect.zipRight(settle),
      Effect.zipRight(network.onMessage(({ carries }) => {
        if (carries("Resume")) Effect.runSync(network.setFrozen(true))
      })),
      Effect.zipRight(pass("1 second"))
    ),
  "opening anew": (world) =>
    world.crash.pipe(
      Effect.zipRight(Effect.sync(() => {
        world.trace.preflight = Effect.never
      })),
      Effect.zipRight(pass("1 second"))
    )
}

for (const [moment, prepare] of Object.entries(moments)) {
  for (const what of ["connection", "client"] as const) {
    it.scoped(`C11 closing the ${what} while it is ${moment} settles everything, and leaves no fiber and no link`, () =>
      Effect.gen(function*() {
        const world = yield* makeWorld()
        yield* world.serve()
        const supervisor = yield* Supervisor.track
        const clientScope = yield* Scope.make()
        const connectionScope = yield* Scope.make()
        const client = yield* Effect.supervised(world.clientIn(clientScope), supervisor)
        const tally = yield* Scope.extend(client.connect(Tally, "a", { ...options, events: ["tick"] }), connectionScope)
        const events = yield* tally.events("added")
        const reading = yield* begin(Stream.runDrain(events))
        const sent = yield* begin(tally.rpc.Hold({ label: "sent", gate: "never" }))
        yield* prepare(world)
        const later = yield* add(tally, "later")
        const subscribing = yield* begin(Effect.scoped(tally.events("blob")))
        yield* Scope.close(what === "client" ? clientScope : connectionScope, Exit.void)
        const reason = { _tag: "ClientClosed" as const }
        assert.strictEqual(yield* statusOf(tally), "closed ClientClosed")
        assert.deepStrictEqual(yield* failure(sent), new ConnectionError.ConnectionClosed({ reason, sent: "maybe" }))
        const lastError = yield* failure(later)
        assert.instanceOf(lastError, ConnectionError.ConnectionClosed)
        assert.strictEqual(lastError.sent, moment === "connected" ? "maybe" : "no")
        assert.instanceOf(yield* failure(reading), ConnectionError.ConnectionClosed)
        const subscribed = yield* ended(subscribing)
        if (Exit.isFailure(subscribed)) {
          assert.strictEqual(Cause.failureOption(subscribed.cause)._tag, "Some")
        } else assert.strictEqual(moment, "connected")
        assert.strictEqual(yield* world.network.links, 0)
        if (what === "connection") {
          // only the client itself is left, and it does nothing
          const dials = yield* world.network.dials
          yield* pass("10 minutes")
          assert.strictEqual(yield* world.network.dials, dials)
          yield* Scope.close(clientScope, Exit.void)
        }
        yield* settle
        assert.deepStrictEqual((yield* supervisor.value).map((fiber) => fiber.id().id), [])
      }))
  }
}

it.scoped("C11 A5 a connection that is closed is over at the server at once, and its call is interrupted", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    for (const who of ["ann", "bob"]) {
      const connectionScope = yield* Scope.make()
      const tally = yield* Scope.extend(client.connect(Tally, "a", { params: { who } }), connectionScope)
      const call = yield* begin(tally.rpc.Hold({ label: who, gate: "never" }))
      yield* Scope.close(connectionScope, Exit.void)
      yield* failure(call)
      assert.strictEqual(world.trace.count(`interrupted ${who}`), 1)
      assert.deepStrictEqual(world.trace.entries(`release ${who}`), [`release ${who} ClientClosed`])
      assert.deepStrictEqual(world.trace.entries(`disconnect ${who}`), [`disconnect ${who} ClientClosed`])
      assert.strictEqual(yield* world.network.links, 0)
    }
  }))

it.scoped("C11 the last connection takes the link with it, and the next one gets a new one", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    for (const round of [1, 2, 3]) {
      const connectionScope = yield* Scope.make()
      yield* Scope.extend(client.connect(Tally, "a", options), connectionScope)
      assert.strictEqual(yield* world.network.links, 1)
      // closed and wanted again in one tick
      yield* Scope.close(connectionScope, Exit.void)
      if (round !== 2) yield* settle
      const tally = yield* result(
        yield* begin(
          Effect.scoped(
            Effect.flatMap(client.connect(Tally, "a", options), (tally) => tally.rpc.Add({ label: `${round}` }))
          )
        )
      )
      assert.strictEqual(tally, round)
      yield* pass("5 seconds")
      assert.strictEqual(yield* world.network.links, 0)
    }
    assert.strictEqual(world.trace.entries("acquire").length, world.trace.entries("release").length)
  }))

// --- pause and resume ------------------------------------------------------------------------------------------------

it.scoped("C4 pause closes the link and queues calls until resume, again and again", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const seen = yield* statuses(tally)
    for (const round of ["x", "y"]) {
      yield* client.pause
      yield* client.pause
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "waiting 0 Paused")
      assert.strictEqual(yield* statusOf(client), "waiting 0 Paused")
      assert.strictEqual(yield* world.network.links, 0)
      const dials = yield* world.network.dials
      const queued = [yield* add(tally, `${round}1`), yield* add(tally, `${round}2`)]
      yield* world.network.opportunity
      yield* pass("1 minute")
      assert.strictEqual(yield* world.network.dials, dials)
      yield* client.resume
      yield* client.resume
      yield* settle
      assert.strictEqual(yield* world.network.dials, dials + 1)
      for (const fiber of queued) yield* result(fiber)
    }
    assert.deepStrictEqual(seen, [
      "connected",
      "waiting 0 Paused",
      "connecting",
      "resumed",
      "waiting 0 Paused",
      "connecting",
      "resumed"
    ])
    assert.deepStrictEqual(world.labels(), ["x1", "x2", "y1", "y2"])
    assert.deepStrictEqual(world.trace.entries("acquire"), ["acquire ann"])
  }))

it.scoped("C4 pause and resume in one tick, while dialling, and while waiting", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client({ schedule: Schedule.spaced("500 millis") })
    const tally = yield* client.connect(Tally, "a", options)
    let count = 0
    const works = Effect.suspend(() =>
      Effect.gen(function*() {
        assert.match(yield* statusOf(tally), /resumed|connected/)
        assert.strictEqual(yield* result(yield* add(tally, `${count}`)), ++count)
        assert.strictEqual(yield* world.network.links, 1)
      })
    )
    for (let i = 0; i < 2; i++) {
      yield* client.pause
      yield* client.resume
      yield* settle
      yield* works

      yield* goOffline(world)
      yield* client.pause
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "waiting 0 Paused")
      yield* world.network.setReachability("reachable")
      yield* client.resume
      yield* settle
      yield* works

      yield* world.network.setReachability("silent")
      yield* world.network.cut
      yield* pass("1 second")
      assert.strictEqual(yield* statusOf(tally), "connecting")
      yield* client.pause
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "waiting 0 Paused")
      const dials = yield* world.network.dials
      yield* pass("1 minute")
      assert.strictEqual(yield* world.network.dials, dials)
      yield* world.network.setReachability("reachable")
      yield* client.resume
      yield* settle
      yield* works
    }
    // a client that is paused before it has ever dialled
    const other = yield* world.client()
    yield* other.pause
    const connecting = yield* begin(other.connect(Tally, "a", options))
    yield* pass("1 minute")
    assert.isTrue(yield* isRunning(connecting))
    yield* other.resume
    assert.strictEqual(yield* statusOf(yield* result(connecting)), "connected")
  }))
