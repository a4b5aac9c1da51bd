import { assert, it } from "@effect/vitest"
import { ActorClient, ClientOptions, type ConnectionStatus } from "@troupe/client"
import { ConnectionError, Link, Transport } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { RawClient, TestKit, TestTime } from "@troupe/testing"
import { Context, Deferred, Effect, Exit, Fiber, FiberRef, Layer, Logger, Schedule, Scope } from "effect"
import { Tally, Turned } from "./support/tally.ts"
import { Bank, Till, tillLive } from "./support/till.ts"
import {
  assertExponential,
  atOnce,
  begin,
  failure,
  isRunning,
  makeWorld,
  pass,
  result,
  settle,
  statuses,
  statusOf,
  waitOf,
  word,
  type World
} from "./support/world.ts"

const options = { params: { who: "ann" } }

const kit = TestKit.layer({ actors: [Till], implementations: tillLive() }).pipe(Layer.provideMerge(Bank.layer))

/** Every delay that would be waited for until the attempt `count`, of the connection or of the client. */
const takeDelays = (
  world: World,
  target: { readonly status: { readonly get: Effect.Effect<ConnectionStatus.ConnectionStatus> } },
  count: number
) =>
  Effect.gen(function*() {
    const delays: Array<number> = []
    for (let attempt = 1; attempt <= count; attempt++) {
      const current = yield* target.status.get
      assert.strictEqual(current._tag === "Waiting" && current.attempt, attempt, word(current))
      const wait = yield* waitOf(target as never)
      const dials = yield* world.network.dials
      // the dial is made at `retryAt`, not before
      yield* pass(wait - 1)
      assert.strictEqual(yield* world.network.dials, dials)
      yield* pass(1)
      assert.strictEqual(yield* world.network.dials, dials + 1)
      delays.push(wait)
    }
    return delays
  })

// --- C2 --------------------------------------------------------------------------------------------------------------

it.scoped("C2 the delays follow the exponential schedule, with jitter after the cap, in every outage", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    for (const _ of [1, 2]) {
      yield* pass("5 seconds")
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* settle
      const first = yield* tally.status.get
      assert.strictEqual(word(first), "waiting 1 LinkLost")
      assert.strictEqual(yield* statusOf(client), "waiting 1 LinkLost")
      const delays = yield* takeDelays(world, tally, 14)
      assertExponential(delays)
      const ratios = delays.map((delay, i) => delay / Math.min(250 * 2 ** i, 30_000))
      assert.isAbove(Math.max(...ratios) - Math.min(...ratios), 0.02, "there is jitter")
      const capped = ratios.slice(7)
      assert.isAbove(Math.max(...capped) - Math.min(...capped), 0.005, "there is jitter after the cap")
      assert.strictEqual(yield* statusOf(tally), "waiting 15 DialFailed")
      yield* world.network.setReachability("reachable")
      yield* pass("30 seconds")
      // the outage was longer than the resume window
      assert.strictEqual(yield* statusOf(tally), "connected")
    }
  }))

it.scoped("C2 the statuses of an outage, exactly", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client({ schedule: Schedule.spaced("1 second"), dialTimeout: "3 seconds" })
    const linkStatuses = yield* statuses(client)
    const tally = yield* client.connect(Tally, "a", options)
    const seen = yield* statuses(tally)
    const expected = ["connected"]
    for (const _ of [1, 2]) {
      // back at once
      yield* world.network.cut
      yield* pass("1 second")
      expected.push("waiting 1 LinkLost", "connecting", "resumed")
      assert.deepStrictEqual(seen, expected)
      yield* pass("5 seconds")
      // three dials are refused, one is not answered
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* pass("1 second")
      yield* pass("1 second")
      yield* world.network.setReachability("silent")
      yield* pass("1 second")
      yield* pass("3 seconds")
      expected.push("waiting 1 LinkLost", "connecting", "waiting 2 DialFailed", "connecting", "waiting 3 DialFailed")
      expected.push("connecting", "waiting 4 DialFailed")
      assert.deepStrictEqual(seen, expected)
      yield* world.network.setReachability("reachable")
      yield* pass("1 second")
      expected.push("connecting", "resumed")
      assert.deepStrictEqual(seen, expected)
      yield* pass("5 seconds")
      // away for longer than the resume window
      yield* client.pause
      yield* pass("121 seconds")
      yield* client.resume
      yield* settle
      expected.push("waiting 0 Paused", "connecting", "connected")
      assert.deepStrictEqual(seen, expected)
      // the server has lost what it knew
      yield* world.crash
      yield* pass("1 second")
      expected.push("waiting 1 LinkLost", "connecting", "connected")
      assert.deepStrictEqual(seen, expected)
      yield* pass("5 seconds")
    }
    assert.strictEqual(linkStatuses.at(-1), "connected")
    assert.notInclude(linkStatuses, "resumed", "a link is never resumed")
    const lastOf = yield* Effect.scoped(Effect.map(client.connect(Tally, "b", options), (other) => other.status))
    assert.strictEqual(word(yield* lastOf.get), "closed ClientClosed")
  }))

it.scoped("C2 a cut link is told with its code, and a reader of the status that comes late sees the present one first", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const _ of [1, 2]) {
      yield* world.network.cut
      yield* settle
      const status = yield* tally.status.get
      const cause = status._tag === "Waiting" ? status.cause : undefined
      assert.deepStrictEqual(cause, { _tag: "LinkLost", code: 1006, reason: "cut" } as never)
      assert.deepStrictEqual(yield* statuses(tally), [word(status)])
      yield* pass("5 seconds")
    }
  }))

// --- C3 --------------------------------------------------------------------------------------------------------------

it.scoped("C3 the schedule begins anew only after the link has been up for 5 seconds, again and again", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* pass("5 seconds")
    for (const round of [1, 2]) {
      // a link that stands for almost 5 seconds each time
      for (let attempt = 1; attempt <= 6; attempt++) {
        yield* world.network.cut
        yield* settle
        assert.strictEqual(yield* statusOf(tally), `waiting ${attempt} LinkLost`, `round ${round}`)
        const wait = yield* waitOf(tally)
        assert.isAtLeast(wait, 125 * 2 ** (attempt - 1) - 1)
        yield* pass(wait)
        assert.strictEqual(yield* statusOf(tally), "resumed")
        yield* pass("4990 millis")
      }
      yield* pass("10 millis")
    }
  }))

it.scoped("C3 a server that drops every link at once is dialled ever more seldom", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const before = yield* world.network.dials
    // every link is cut when it is greeted, or in the middle of the resume
    let dials = 0
    yield* world.network.onMessage(({ from }) => from === "server" && dials++ % 2 === 0 ? "cut-after" : undefined)
    yield* world.network.cut
    for (let i = 0; i < 120; i++) yield* pass("1 second")
    const inTwoMinutes = (yield* world.network.dials) - before
    // 0.25 + 0.5 + 1 + ... + 16 s, halved by the jitter, then one every 15 s at most
    assert.isAtMost(inTwoMinutes, 8 + Math.ceil((120 - 15.875) / 15))
    assert.isAtLeast(inTwoMinutes, 6)
    yield* world.network.onMessage(() => undefined)
    yield* pass("30 seconds")
    assert.match(yield* statusOf(tally), /connected|resumed/)
  }))

// --- C10 -------------------------------------------------------------------------------------------------------------

it.scoped("C10 a refusal is not retried: not at the first connect, and not later", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const denied = new Turned({ away: "today" })
    for (const _ of [1, 2]) {
      world.trace.preflight = denied
      const dials = yield* world.network.dials
      const preflights = world.trace.log.length
      assert.deepStrictEqual(yield* failure(yield* begin(client.connect(Tally, "a", options))), denied)
      yield* pass("10 minutes")
      assert.strictEqual(yield* world.network.dials, dials + 1)
      assert.strictEqual(
        world.trace.entries("preflight").length,
        world.trace.log.slice(0, preflights).filter((entry) => entry.startsWith("preflight")).length + 1
      )
      assert.strictEqual(yield* world.network.links, 0)

      world.trace.preflight = Effect.void
      const tally = yield* client.connect(Tally, "a", options)
      world.trace.preflight = denied
      yield* world.crash
      yield* pass("30 seconds")
      assert.strictEqual(yield* statusOf(tally), "closed Denied")
      const later = yield* world.network.dials
      yield* pass("10 minutes")
      assert.strictEqual(yield* world.network.dials, later)
      assert.strictEqual(yield* world.network.links, 0)
    }
  }))

it.scoped("C10 a server that goes away answers what it has, tells when to come back, and is not dialled before", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ gateway: { retryAfter: "7 seconds" } })
    let server = yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const seen = yield* statuses(tally)
    for (const round of ["x", "y"]) {
      yield* pass("5 seconds")
      const call = yield* begin(tally.rpc.Hold({ label: `${round}1`, gate: round }))
      const stopping = yield* begin(server.stop)
      assert.isTrue(yield* isRunning(stopping), "it waits for the call")
      const queued = yield* begin(tally.rpc.Add({ label: `${round}2` }))
      yield* world.trace.open(round)
      yield* pass("20 millis")
      assert.match(`${yield* result(call)}`, /1|3/)
      assert.isTrue(yield* isRunning(queued), "nothing new is sent to a server that goes")
      yield* result(stopping)
      assert.strictEqual(world.trace.count(`add ${round}2`), 0)
      assert.strictEqual(yield* statusOf(tally), "waiting 1 GoAway")
      const wait = yield* waitOf(tally)
      // what the server asks for, and then the client's own delay, so that not all come back at one moment
      assert.isAtLeast(wait, 7000)
      assert.isAtMost(wait, 7250)
      server = yield* world.serve()
      const dials = yield* world.network.dials
      const another = yield* begin(Effect.scoped(client.connect(Tally, "b", options)))
      yield* pass(wait - 1)
      assert.strictEqual(yield* world.network.dials, dials)
      yield* pass(1)
      assert.strictEqual(yield* world.network.dials, dials + 1)
      yield* result(queued)
      assert.isFalse(yield* isRunning(another))
      assert.strictEqual(yield* statusOf(tally), "connected")
    }
    assert.deepStrictEqual(world.labels(), ["x1", "x2", "y1", "y2"])
    assert.deepStrictEqual(seen, [
      "connected",
      "waiting 1 GoAway",
      "connecting",
      "connected",
      "waiting 1 GoAway",
      "connecting",
      "connected"
    ])
  }))

it.scoped("C10 a connect that meets a server which is going away succeeds with the next one", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    let server = yield* world.serve()
    const client = yield* world.client()
    for (const round of ["x", "y"]) {
      yield* Effect.scoped(Effect.gen(function*() {
        const tally = yield* client.connect(Tally, "a", options)
        const call = yield* begin(tally.rpc.Hold({ label: round, gate: round }))
        const stopping = yield* begin(server.stop)
        const connecting = yield* begin(client.connect(Tally, "b", options))
        yield* world.trace.open(round)
        yield* pass("20 millis")
        yield* result(call)
        yield* result(stopping)
        assert.isTrue(yield* isRunning(connecting))
        server = yield* world.serve()
        yield* pass("30 seconds")
        assert.strictEqual(yield* statusOf(yield* result(connecting)), "connected")
        assert.strictEqual(yield* statusOf(tally), "connected")
      }))
    }
  }))

it.scoped("C10 a client of another version is refused with a reason, on its link only", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const version of [0, 999]) {
      const raw = yield* world.rawLink
      yield* raw.send(Frame.encode({ _tag: "Hello", version }))
      assert.deepStrictEqual(raw.of("Refused").map(({ channel, reason }) => [channel, reason._tag]), [[
        0,
        "ProtocolViolation"
      ]])
      assert.deepStrictEqual(raw.heard.filter(({ _tag }) => _tag === "LinkClosed").map(({ code }) => code), [
        Link.codeViolation
      ])
      assert.strictEqual(yield* statusOf(tally), "connected")
    }
  }))

it.scoped("C10 a server that refuses the client as a whole is not dialled again", () =>
  Effect.gen(function*() {
    let dials = 0
    const refusing = Layer.succeed(Transport.Transport, {
      onOpportunity: () => Effect.void,
      dial: (handler) =>
        Effect.sync(() => {
          dials++
          const reason = { _tag: "ProtocolViolation", issue: "too old" } as const
          return {
            send: () =>
              queueMicrotask(() =>
                handler.onMessage(Frame.join([Frame.encode({ _tag: "Refused", channel: 0, reason })]))
              ),
            close: () => {},
            buffered: () => 0
          }
        })
    })
    const context = yield* Layer.build(Layer.provide(ActorClient.layer(), refusing))
    const client = Context.get(context, ActorClient.ActorClient)
    for (const count of [1, 2]) {
      const error = yield* failure(yield* begin(client.connect(Tally, "a", options)))
      assert.deepStrictEqual(
        error,
        new ConnectionError.ConnectionClosed({ reason: { _tag: "ProtocolViolation", issue: "too old" }, sent: "no" })
      )
      yield* pass("10 minutes")
      assert.strictEqual(dials, count)
    }
  }))

it.scoped("C2 a transport that dies is dialled again, and what it died of is not shown", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const { transport } = yield* world.network.line()
    let dials = 0
    const dying = Layer.succeed(Transport.Transport, {
      ...transport,
      dial: (handler) => ++dials <= 3 ? Effect.die(new Error("secret")) : transport.dial(handler)
    })
    const context = yield* Layer.build(Layer.provide(ActorClient.layer(), dying))
    const client = Context.get(context, ActorClient.ActorClient)
    const connecting = yield* begin(client.connect(Tally, "a", options))
    const status = yield* client.status.get
    assert.strictEqual(status._tag, "Waiting")
    assert.notInclude(JSON.stringify(status), "secret")
    assert.strictEqual(word(status), "waiting 1 DialFailed")
    yield* pass("10 seconds")
    const tally = yield* result(connecting)
    assert.strictEqual(dials, 4)
    assert.strictEqual(word(yield* tally.status.get), "connected")
  }))

// --- C13 -------------------------------------------------------------------------------------------------------------

it.scoped("C13 a dial that hangs is abandoned after 10 seconds, whether the socket or the greeting hangs", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* pass("5 seconds")
    for (const hang of ["socket", "greeting"]) {
      if (hang === "socket") yield* world.network.setReachability("silent")
      else {
        yield* world.network.onMessage(({ carries }) => {
          if (carries("Hello")) Effect.runSync(world.network.setFrozen(true))
        })
      }
      yield* world.network.cut
      for (let attempt = 1; attempt <= 3; attempt++) {
        yield* settle
        assert.strictEqual(yield* statusOf(tally), `waiting ${attempt} ${attempt === 1 ? "LinkLost" : "DialFailed"}`)
        yield* world.network.setFrozen(false)
        yield* pass(yield* waitOf(tally))
        assert.strictEqual(yield* statusOf(tally), "connecting")
        yield* pass("9999 millis")
        assert.strictEqual(yield* statusOf(tally), "connecting")
        yield* pass("1 millis")
      }
      assert.strictEqual(yield* statusOf(tally), "waiting 4 DialFailed")
      assert.strictEqual(yield* world.network.links, 0, "what was dialled is closed")
      yield* world.network.setFrozen(false)
      yield* world.network.onMessage(() => undefined)
      yield* world.network.setReachability("reachable")
      yield* pass("10 seconds")
      assert.match(yield* statusOf(tally), /resumed|connected/)
      yield* pass("5 seconds")
    }
  }))

it.scoped("C13 an opportunity cuts a wait short, every time, and does nothing otherwise", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const { opportunity } = world.network
    yield* opportunity
    yield* settle
    assert.strictEqual(yield* world.network.dials, 0, "nobody wants a link yet")
    const tally = yield* client.connect(Tally, "a", options)
    for (const _ of [1, 2]) {
      const dials = yield* world.network.dials
      yield* opportunity
      yield* settle
      assert.strictEqual(yield* world.network.dials, dials, "a link that stands is left alone")
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* settle
      yield* opportunity
      yield* settle
      assert.strictEqual(yield* world.network.dials, dials + 1)
      assert.strictEqual(yield* statusOf(tally), "waiting 2 DialFailed")
      yield* world.network.setReachability("silent")
      yield* opportunity
      yield* settle
      yield* opportunity
      yield* opportunity
      yield* settle
      assert.strictEqual(yield* world.network.dials, dials + 2, "a dial on its way is left alone")
      yield* pass("10 seconds")
      assert.strictEqual(yield* statusOf(tally), "waiting 3 DialFailed")
      yield* world.network.setReachability("reachable")
      yield* opportunity
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "resumed")
      yield* pass("5 seconds")
    }
  }))

// --- C9 --------------------------------------------------------------------------------------------------------------

it.scoped("C9 a link on which nothing comes is given up within the bound of the heartbeat, and calls go on", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of [1, 2]) {
      // an idle link lives
      const dials = yield* world.network.dials
      for (let i = 0; i < 8; i++) yield* pass("15 seconds")
      assert.strictEqual(yield* world.network.dials, dials)
      yield* world.network.setFrozen(true)
      const call = yield* begin(tally.rpc.Add({ label: `${round}` }))
      yield* pass("29 seconds")
      yield* pass("16 seconds")
      assert.match(yield* statusOf(tally), /^waiting|^connecting/)
      yield* world.network.setFrozen(false)
      // the dial that was made meanwhile is abandoned first
      yield* pass("10 seconds")
      yield* pass("31 seconds")
      assert.strictEqual(yield* result(call), round)
    }
    assert.deepStrictEqual(world.labels(), ["1", "2"])
  }))

it.scoped("C9 after an opportunity a link on which nothing comes is given up as soon as a dial would be", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* pass("5 seconds")
    for (const round of [1, 2]) {
      yield* world.network.setFrozen(true)
      const call = yield* begin(tally.rpc.Add({ label: `${round}` }))
      // more than one is no reason for more patience
      for (const wait of ["4 seconds", "5 seconds", "999 millis"] as const) {
        yield* world.network.opportunity
        yield* pass(wait)
        assert.match(yield* statusOf(tally), /resumed|connected/)
      }
      yield* pass("1 millis")
      assert.strictEqual(yield* statusOf(tally), "waiting 1 LinkLost")
      yield* world.network.setFrozen(false)
      yield* world.network.opportunity
      yield* settle
      assert.strictEqual(yield* result(call), round)

      // one that answers lives on
      const dials = yield* world.network.dials
      for (let i = 0; i < 8; i++) {
        yield* world.network.opportunity
        yield* pass("7 seconds")
      }
      assert.strictEqual(yield* world.network.dials, dials)
    }
    assert.deepStrictEqual(world.labels(), ["1", "2"])
  }))

it.scoped("C9 a client that says nothing of itself, as in a tab that is hidden, is asked, and keeps its link", () =>
  Effect.gen(function*() {
    const raw = yield* RawClient.make
    yield* raw.say(RawClient.hello)
    yield* raw.say(RawClient.open(Till, "shop"))
    for (let i = 1; i <= 8; i++) {
      yield* TestTime.pass("15 seconds")
      assert.strictEqual(raw.of("Ping").length, i)
      yield* raw.say({ _tag: "Pong" })
    }
    yield* TestTime.pass("29 seconds")
    assert.notStrictEqual(raw.heard.at(-1)!._tag, "LinkClosed")
    yield* TestTime.pass("1 second")
    assert.strictEqual(raw.heard.at(-1)!._tag, "LinkClosed")
  }).pipe(Effect.provide(kit)))

// --- A9 --------------------------------------------------------------------------------------------------------------

it.scoped("A9 parameters given as an effect are evaluated for every new connection, and not for a resume", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    let evaluated = 0
    const params = Effect.sync(() => ({ who: `ann${++evaluated}` }))
    const tally = yield* (yield* world.client(atOnce)).connect(Tally, "a", { params })
    for (const round of [1, 2, 3]) {
      assert.strictEqual((yield* result(yield* begin(tally.rpc.WhoAmI()))).name, `ann${round}`)
      yield* world.network.cut
      yield* settle
      yield* world.network.cut
      yield* settle
      assert.strictEqual(evaluated, round)
      yield* world.crash
      yield* settle
      assert.strictEqual(evaluated, round + 1)
    }
  }))

it.scoped("the log says once that nobody can be reached, and only if nobody ever was", () =>
  Effect.gen(function*() {
    const logs: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => void logs.push(`${logLevel.label} ${String(message)}`))
    const logged = Layer.build(Logger.replace(Logger.defaultLogger, logger))
    const world = yield* makeWorld()
    yield* world.serve()
    const failing = Effect.gen(function*() {
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* pass("1 minute")
      yield* world.network.setReachability("reachable")
      yield* pass("1 minute")
    })
    yield* Effect.gen(function*() {
      yield* (yield* world.client()).connect(Tally, "a", options)
      yield* failing
      assert.deepStrictEqual(logs, [])
      const late = yield* world.client()
      yield* world.network.setReachability("refused")
      const connecting = yield* begin(late.connect(Tally, "a", options))
      yield* failing
      yield* failing
      assert.isFalse(yield* isRunning(connecting))
      assert.deepStrictEqual(logs, ["WARN connection refused; dialling goes on"])
    }).pipe(Effect.provide(yield* logged))
  }))

it.scoped("C13 an opportunity cuts the wait for parameters short", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    let fails = false
    let evaluated = 0
    const params = Effect.suspend(() => {
      evaluated++
      return fails ? Effect.fail("no token") : Effect.succeed({ who: "ann" })
    })
    const tally = yield* (yield* world.client()).connect(Tally, "a", { params })
    fails = true
    yield* world.crash
    yield* pass("2 minutes")
    assert.include(yield* statusOf(tally), "ParamsFailed")
    for (const works of [false, true]) {
      fails = !works
      const before = evaluated
      yield* world.network.opportunity
      yield* settle
      assert.strictEqual(evaluated, before + 1)
    }
    assert.strictEqual(yield* statusOf(tally), "connected")
    yield* world.network.opportunity
    yield* settle
    assert.strictEqual(yield* statusOf(tally), "connected")
  }))

it.scoped("A9 a provider runs with the services and the FiberRefs of its connect, each time", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const name = yield* FiberRef.make("nobody")
    const seen: Array<string> = []
    const params = Effect.tap(Effect.map(FiberRef.get(name), (who) => ({ who })), ({ who }) => void seen.push(who))
    const tally = yield* Effect.locally(client.connect(Tally, "a", { params }), name, "ann")
    yield* world.crash
    yield* pass("30 seconds")
    assert.strictEqual(yield* statusOf(tally), "connected")
    assert.deepStrictEqual(seen, ["ann", "ann"])
  }))

it.scoped("connects that fail leave nothing in their scope", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const scope = yield* Scope.make()
    const before = sizeOf(scope)
    for (let i = 0; i < 10; i++) {
      yield* Effect.flip(Scope.extend(client.connect(Tally, "a", { params: Effect.fail("no") }), scope))
      yield* Fiber.interrupt(
        yield* Effect.fork(Scope.extend(client.connect(Tally, "a", { params: Effect.never }), scope))
      )
    }
    assert.strictEqual(sizeOf(scope), before)
  }))

/** How much will be released with a scope: Effect does not tell. */
const sizeOf = (scope: Scope.CloseableScope): number => {
  const { state } = scope as unknown as { readonly state: { readonly finalizers: ReadonlyMap<object, unknown> } }
  return state.finalizers.size
}

it.scoped("A9 a provider that fails later is a dial failure that is shown and retried, and calls wait meanwhile", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    let fails = false
    let evaluated = 0
    const params = Effect.suspend(() => {
      evaluated++
      return fails ? Effect.fail(new Turned({ away: "no token" })) : Effect.succeed({ who: "ann" })
    })
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", { params })
    const calls = []
    for (const round of [1, 2]) {
      yield* pass("5 seconds")
      fails = true
      evaluated = 0
      yield* world.crash
      yield* settle
      yield* pass(yield* waitOf(tally))
      calls.push(yield* begin(tally.rpc.Add({ label: `${round}` })))
      const delays: Array<number> = []
      for (let attempt = 1; attempt <= 5; attempt++) {
        const status = yield* tally.status.get
        assert.strictEqual(word(status), `waiting ${attempt} ParamsFailed`)
        assert.strictEqual(evaluated, attempt)
        if (status._tag === "Waiting" && status.cause._tag === "ParamsFailed")
          assert.include(status.cause.message, "no token")
        delays.push(yield* waitOf(tally))
        yield* pass(delays.at(-1)!)
      }
      assertExponential(delays)
      assert.strictEqual(yield* statusOf(client), "connected", "the link stands")
      fails = false
      yield* pass("30 seconds")
      assert.strictEqual(yield* statusOf(tally), "connected")
      assert.strictEqual(yield* result(calls.at(-1)!), round)
    }
    // the link is lost while the provider is asked for the parameters
    const hangs = yield* Deferred.make<void>()
    let asked = 0
    const slow = yield* client.connect(Tally, "b", {
      params: Effect.suspend(() =>
        asked++ === 1 ? Effect.as(Deferred.await(hangs), { who: "slow" }) : Effect.succeed({ who: "slow" })
      )
    })
    yield* world.crash
    yield* pass("30 seconds")
    assert.strictEqual(asked, 2)
    assert.strictEqual(yield* statusOf(slow), "connecting")
    yield* world.network.cut
    yield* pass("30 seconds")
    assert.strictEqual(asked, 3)
    assert.strictEqual(yield* statusOf(slow), "connected")
  }))

it.scoped("A9 a provider that fails at the first connect fails it with its own error", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const error = new Turned({ away: "no token" })
    for (const _ of [1, 2]) {
      const connecting = yield* begin(client.connect(Tally, "a", { params: Effect.fail(error) }))
      assert.deepStrictEqual(yield* failure(connecting), error)
      yield* pass("1 minute")
      assert.strictEqual(yield* world.network.links, 0)
    }
    assert.deepStrictEqual(world.trace.log, [])
  }))

// --- A8: two connections on one link ---------------------------------------------------------------------------------

it.scoped("A8 C2 a connection that is slow to open on a new link does not get in the way of the others", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client(atOnce)
    let slow = false
    const params = Effect.suspend(() => slow ? Effect.never : Effect.succeed({ who: "slow" }))
    const slowScope = yield* Scope.make()
    // the numbers of the channels on the next links depend on the order of connects
    yield* Scope.extend(client.connect(Tally, "slow", { params }), slowScope)
    const others = [yield* client.connect(Tally, "b", options), yield* client.connect(Tally, "c", options)]
    slow = true
    yield* world.crash
    yield* settle
    yield* world.network.cut
    yield* settle
    for (const other of others) assert.match(yield* statusOf(other), /connected|resumed/)
    // it has never been opened on this link: nothing is said about a channel that another one has
    yield* Scope.close(slowScope, Exit.void)
    yield* settle
    for (const other of others) {
      assert.match(yield* statusOf(other), /connected|resumed/)
      assert.strictEqual(yield* result(yield* begin(other.rpc.Add({ label: "x" }))), 1)
    }
  }))

it.scoped("A8 C2 a connection that opens late on a new link does not take the channel of another one", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client(atOnce)
    const gate = yield* Deferred.make<void>()
    let slow = false
    const params = Effect.suspend(() =>
      slow ? Effect.as(Deferred.await(gate), { who: "slow" }) : Effect.succeed({ who: "slow" })
    )
    const late = [
      yield* client.connect(Tally, "slow 1", { params }),
      yield* client.connect(Tally, "slow 2", { params })
    ]
    const others = [yield* client.connect(Tally, "b", options), yield* client.connect(Tally, "c", options)]
    slow = true
    yield* world.crash
    yield* settle
    yield* world.network.cut
    yield* settle
    yield* Deferred.succeed(gate, undefined)
    yield* settle
    for (const [i, tally] of [...late, ...others].entries()) {
      assert.match(yield* statusOf(tally), /connected|resumed/)
      assert.strictEqual(yield* result(yield* begin(tally.rpc.Add({ label: "x" }))), 1, `connection ${i}`)
    }
  }))

// --- the server cannot open the connection just now ------------------------------------------------------------------

it.scoped("C16 an activation that is lost while the link is healthy is opened anew, and its calls run once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const seen = yield* statuses(tally)
    for (const round of ["x", "y"]) {
      yield* pass("5 seconds")
      const links = yield* world.network.dials
      yield* world.store.fail("failed")
      const calls = [
        yield* begin(tally.rpc.Add({ label: `${round}1` })),
        yield* begin(tally.rpc.Add({ label: `${round}2` }))
      ]
      yield* pass("30 seconds")
      for (const fiber of calls) yield* result(fiber)
      assert.strictEqual(yield* world.network.dials, links, "the link is the same")
    }
    assert.deepStrictEqual(world.labels(), ["x1", "x2", "y1", "y2"])
    assert.deepStrictEqual(seen, ["connected", "connecting", "connected", "connecting", "connected"])
  }))

it.scoped("C16 a first connect that meets the loss of an activation opens anew", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      yield* world.store.fail("failed")
      // the turn of onConnect waits for the commit of the call before it
      const call = yield* Effect.fork(tally.rpc.Add({ label: round }))
      const connecting = yield* begin(client.connect(Tally, "a", { params: { who: "bob" } }))
      yield* pass("30 seconds")
      yield* result(call)
      assert.strictEqual(yield* statusOf(yield* result(connecting)), "connected")
    }
    assert.deepStrictEqual(world.labels(), ["x", "y"])
  }))

it.scoped("C16 a large call to an activation that has just been lost does not cost the link", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      yield* pass("5 seconds")
      yield* world.store.fail("failed")
      const large = round.repeat(40_000)
      const first = yield* Effect.fork(tally.rpc.Add({ label: `${round} first` }))
      // the server ends the connection while these are on their way
      const calls = []
      for (let i = 0; i < 12; i++) {
        yield* Effect.yieldNow()
        calls.push(yield* Effect.fork(tally.rpc.Add({ label: `${large}${i}` })))
        expected.push(`${large}${i}`)
      }
      yield* pass("30 seconds")
      assert.strictEqual(yield* statusOf(tally), "connected")
      yield* result(first)
      for (const fiber of calls) yield* result(fiber)
    }
    assert.lengthOf(world.labels(), 26)
  }))

it.scoped("C16 a store that keeps failing is tried again on the schedule, and the status says why", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const round of ["x", "y"]) {
      yield* pass("5 seconds")
      world.trace.preflight = Effect.die("a bug")
      yield* world.store.fail("failed")
      const call = yield* begin(tally.rpc.Add({ label: round }))
      for (let i = 0; i < 4; i++) {
        assert.strictEqual(yield* statusOf(tally), `waiting ${i + 1} NotOpened`)
        yield* pass(yield* waitOf(tally))
      }
      world.trace.preflight = Effect.void
      yield* pass("30 seconds")
      assert.strictEqual(yield* statusOf(tally), "connected")
      yield* result(call)
    }
    assert.deepStrictEqual(world.labels(), ["x", "y"])
  }))

it.scoped("C2 ClientOptions.defaults holds the schedule that is used", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.network.setReachability("refused")
    const client = yield* world.client({ schedule: ClientOptions.defaults.schedule })
    const connecting = yield* begin(Effect.scoped(client.connect(Tally, "a", options)))
    assertExponential(yield* takeDelays(world, client, 5))
    yield* Fiber.interrupt(connecting)
  }))

it.scoped("C10 a server that goes away in order is come back to soon, whatever had failed shortly before", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    let server = yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const _ of [1, 2]) {
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* pass("1 minute")
      yield* world.network.setReachability("reachable")
      // it is dialled within 30 seconds, and has to stay for 5 before the attempts are forgotten
      yield* pass("35 seconds")
      yield* world.network.cut
      yield* settle
      yield* pass("1 second")
      assert.match(yield* statusOf(tally), /connected|resumed/)
      yield* server.stop
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "waiting 1 GoAway")
      assertExponential([yield* waitOf(tally)])
      server = yield* world.serve()
      yield* pass("1 second")
      assert.match(yield* statusOf(tally), /connected|resumed/)
    }
  }))
