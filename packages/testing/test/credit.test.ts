import { assert, it } from "@effect/vitest"
import { ConnectionError } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { Effect, Exit, Fiber } from "effect"
import { NewerTally, Tally } from "./support/tally.ts"
import {
  atOnce,
  begin,
  ended,
  failure,
  makeWorld,
  pass,
  result,
  settle,
  statusOf,
  type World
} from "./support/world.ts"

const options = { params: { who: "ann" } }

/** Counts the requests that reach the server, and what of them is in flight. */
const watchRequests = (world: World) =>
  Effect.gen(function*() {
    const seen = { requests: 0, inFlight: 0, most: 0 }
    yield* world.network.onMessage(({ frames }) => {
      for (const frame of frames) {
        if (frame._tag !== "Message") continue
        if (frame.payload._tag === "Request") {
          seen.requests++
          seen.most = Math.max(seen.most, ++seen.inFlight)
        }
        if (frame.payload._tag === "Exit") seen.inFlight--
      }
    })
    return seen
  })

it.scoped("B8 the client holds back what exceeds the window, and sends it in call order as answers come", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 4 } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const seen = yield* watchRequests(world)
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      const hold = yield* begin(tally.rpc.Hold({ label: `${round}0`, gate: round }))
      const calls = []
      for (let i = 1; i <= 12; i++) calls.push(yield* Effect.fork(tally.rpc.Add({ label: `${round}${i}` })))
      yield* settle
      assert.strictEqual(seen.inFlight, 4)
      assert.strictEqual(yield* tally.pending.get, 13)
      yield* world.trace.open(round)
      assert.strictEqual(yield* result(hold), expected.length + 1)
      for (let i = 1; i <= 12; i++) assert.strictEqual(yield* result(calls[i - 1]!), expected.length + 1 + i)
      for (let i = 0; i <= 12; i++) expected.push(`${round}${i}`)
      assert.deepStrictEqual(world.labels(), expected)
      assert.strictEqual(yield* tally.pending.get, 0)
    }
    assert.strictEqual(seen.most, 4)
    assert.strictEqual(seen.requests, 26)
  }))

it.scoped("B8 C6 a call that is held back and interrupted is never sent; one in flight gives its credit back", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 2 } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const seen = yield* watchRequests(world)
    for (const round of ["x", "y"]) {
      const before = seen.requests
      const running = yield* begin(tally.rpc.Hold({ label: `${round} running`, gate: round }))
      const queued = yield* begin(tally.rpc.Hold({ label: `${round} queued`, gate: round }))
      const held = yield* begin(tally.rpc.Add({ label: `${round} held` }))
      const last = yield* begin(tally.rpc.Add({ label: `${round} last` }))
      assert.strictEqual(seen.requests - before, 2)
      yield* Fiber.interrupt(held)
      yield* settle
      assert.strictEqual(seen.requests - before, 2)
      yield* Fiber.interrupt(queued)
      yield* settle
      assert.strictEqual(seen.requests - before, 3, "the credit of the call that was queued at the server is back")
      yield* Fiber.interrupt(running)
      assert.isTrue(Exit.isSuccess(yield* ended(last)))
      assert.strictEqual(yield* tally.pending.get, 0)
      // the whole window is there again
      const again = [
        yield* begin(tally.rpc.Hold({ label: `${round} 1`, gate: round })),
        yield* begin(tally.rpc.Add({ label: `${round} 2` }))
      ]
      assert.strictEqual(seen.requests - before, 5)
      yield* world.trace.open(round)
      for (const fiber of again) yield* result(fiber)
    }
    assert.deepStrictEqual(world.labels(), ["x last", "x 1", "x 2", "y last", "y 1", "y 2"])
  }))

it.scoped("B8 the credit is counted right after a resume, and after a connection that was opened anew", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 3 } })
    yield* world.serve()
    const tally = yield* (yield* world.client(atOnce)).connect(Tally, "a", options)
    const labels: Array<string> = []
    const calls = []
    const call = (label: string, gate: string) =>
      Effect.tap(begin(tally.rpc.Hold({ label, gate })), () => void labels.push(label))
    for (let i = 0; i < 8; i++) calls.push(yield* call(`first ${i}`, "first"))
    for (const interruption of [world.network.cut, world.network.cut, world.crash, world.crash, world.network.cut]) {
      const seen = yield* watchRequests(world)
      yield* interruption
      yield* settle
      assert.match(yield* statusOf(tally), /connected|resumed/)
      assert.isAtMost(seen.requests, 3)
    }
    yield* world.trace.open("first")
    for (const fiber of calls) yield* result(fiber)
    assert.deepStrictEqual(world.labels(), labels)
    const seen = yield* watchRequests(world)
    for (let i = 0; i < 8; i++) calls.push(yield* call(`second ${i}`, "second"))
    assert.strictEqual(seen.inFlight, 3)
    yield* world.trace.open("second")
    for (const fiber of calls) yield* result(fiber)
    assert.deepStrictEqual(world.labels(), labels)
  }))

it.scoped("B8 rejected calls give their credit back", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 2 } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(NewerTally, "a", options)
    for (let i = 0; i < 7; i++) {
      const error = yield* failure(yield* begin(tally.rpc.Unheard()))
      assert.instanceOf(error, ConnectionError.CallRejected)
      assert.strictEqual(error.sent, "no")
    }
    assert.strictEqual(yield* result(yield* begin(tally.rpc.Add({ label: "x" }))), 1)
  }))

it.scoped("B8 a call that cannot be interrupted keeps its credit at the server when its client has given it up", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 1 } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      const stubborn = yield* begin(tally.rpc.HoldOn({ label: `${round} stubborn`, gate: round }))
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* Fiber.interrupt(stubborn)
      yield* settle
      yield* pass("3 minutes")
      yield* world.network.setReachability("reachable")
      yield* pass("30 seconds")
      assert.strictEqual(yield* statusOf(tally), "connecting", "the turn of onConnect waits for the one that runs")
      const next = yield* begin(tally.rpc.Add({ label: `${round} next` }))
      yield* world.trace.open(round)
      assert.isTrue(Exit.isSuccess(yield* ended(next)), `${yield* ended(next)}`)
    }
    assert.strictEqual(yield* statusOf(tally), "connected")
    // what was given up is dropped as a whole when it ends
    assert.deepStrictEqual(world.labels(), ["x next", "y next"])
  }))

it.scoped("B8 a client that exceeds the window is cut off, and others notice nothing", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 2 } })
    yield* world.serve()
    const other = yield* (yield* world.client()).connect(Tally, "a", { params: { who: "bob" } })
    for (const round of ["x", "y"]) {
      const raw = yield* world.rawLink
      yield* raw.send(
        Frame.encode({ _tag: "Hello", version: Frame.version }),
        Frame.encode({
          _tag: "Open",
          channel: 1,
          session: round.repeat(32),
          contract: "Tally",
          key: "a",
          params: { who: `mallory ${round}` },
          events: [],
          opening: 1,
          settledBelow: 1,
          sentBelow: 1,
          pending: []
        })
      )
      assert.strictEqual(raw.of("Opened")[0]!.window, 2)
      const hold = (number: number) =>
        Frame.encodeMessage(1, number, Frame.encodeRequest(number, "Hold", { label: `${round}${number}`, gate: round }))
      yield* raw.send(hold(1), hold(2))
      assert.lengthOf(raw.of("Close"), 0)
      yield* raw.send(hold(3), hold(4))
      const close = raw.of("Close")
      assert.strictEqual(close[0]!.reason._tag, "ProtocolViolation")
      assert.strictEqual(
        world.trace.count(`disconnect mallory ${round} ProtocolViolation`),
        0,
        "the hook waits for the turn"
      )
      yield* world.trace.open(round)
      yield* settle
      assert.strictEqual(world.trace.count(`disconnect mallory ${round} ProtocolViolation`), 1)
      // neither what was too much nor what was queued has run
      assert.strictEqual(world.trace.count(`hold ${round}2`), 0)
      assert.strictEqual(world.trace.count(`hold ${round}3`), 0)
      assert.strictEqual((yield* result(yield* begin(other.rpc.WhoAmI()))).online, 1)
    }
  }))

it.scoped("B8 calls that went on from the connection before do not take from the credit of the next", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 4 } })
    yield* world.serve()
    for (const round of ["x", "y"]) {
      const raw = yield* world.rawLink
      const open = (channel: number, pending: ReadonlyArray<number>) =>
        Frame.encode({
          _tag: "Open",
          channel,
          session: round.repeat(32),
          contract: "Tally",
          key: round,
          params: { who: "ann" },
          events: [],
          opening: channel,
          settledBelow: 1,
          sentBelow: Number.MAX_SAFE_INTEGER,
          pending
        })
      const hold = (channel: number, seq: number, number: number) =>
        Frame.encodeMessage(
          channel,
          seq,
          Frame.encodeRequest(number, "HoldOn", { label: `${number}`, gate: `${round}${number}` })
        )
      yield* raw.send(Frame.encode({ _tag: "Hello", version: Frame.version }), open(1, []))
      yield* raw.send(hold(1, 1, 1), hold(1, 2, 2), hold(1, 3, 3), hold(1, 4, 4))
      yield* raw.send(open(2, [1, 2, 3, 4]))
      for (const number of [1, 2, 3]) {
        yield* world.trace.open(`${round}${number}`)
        yield* settle
      }
      // before the client has heard of the connection, the caller of the fourth has given it up
      assert.lengthOf(raw.of("Opened"), 2)
      yield* raw.send(
        Frame.encodeMessage(2, 1, Frame.encodeInterrupt(4)),
        hold(2, 2, 5),
        hold(2, 3, 6),
        hold(2, 4, 7),
        hold(2, 5, 8)
      )
      assert.deepStrictEqual(raw.of("Close").map(({ reason }) => reason._tag), ["Superseded"])
      for (const number of [4, 5, 6, 7, 8]) {
        yield* world.trace.open(`${round}${number}`)
        yield* settle
      }
      assert.deepStrictEqual(world.labels(round), ["1", "2", "3", "5", "6", "7", "8"])
    }
  }))

it.scoped("B8 a call that is too large leaves its credit to those behind it", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { window: 1 }, gateway: { messageBytesMax: 20_000 } })
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const large = { label: "x".repeat(30_000) }
    yield* client.pause
    const offline = [yield* begin(tally.rpc.Add(large)), yield* begin(tally.rpc.Add({ label: "after a pause" }))]
    yield* client.resume
    yield* pass("1 second")
    const held = yield* begin(tally.rpc.Hold({ label: "held", gate: "gate" }))
    const behind = [yield* begin(tally.rpc.Add(large)), yield* begin(tally.rpc.Add({ label: "after a call" }))]
    yield* world.trace.open("gate")
    yield* pass("1 second")
    yield* result(held)
    for (const [rejected, taken] of [offline, behind]) {
      assert.instanceOf(yield* failure(rejected!), ConnectionError.CallRejected)
      yield* result(taken!)
    }
    assert.deepStrictEqual(world.labels(), ["after a pause", "held", "after a call"])
  }))
