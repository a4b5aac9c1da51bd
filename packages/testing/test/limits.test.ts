/** Bounds that belong to no other file: each has an option, and an answer that names it and its value. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError, Gap } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { MemoryTransport, TestKit } from "@troupe/testing"
import { Effect, Exit, Fiber, Schema, Stream } from "effect"
import { append, backend, connect, Lab, otherClient, pass, Probe, run, settle } from "./support/lab.ts"
import { hello, open, rawLink, request } from "./support/raw.ts"
import { Tally } from "./support/tally.ts"
import { makeWorld } from "./support/world.ts"

const counting = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

it.effect("E6 a client that reads gets answers that are together more than its outbox holds, in order", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const ann = yield* connect("ann")
      let runs = 0
      probe.scripts.long = () => Effect.sync(() => `${++runs}`.padEnd(600, "."))
      for (const round of [1, 2]) {
        const answers = yield* Effect.all(counting(20).map(() => ann.rpc.Run({ script: "long" })), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(answers.map((answer) => parseInt(answer)), counting(20 * round).slice(-20))
      }
      assert.strictEqual(runs, 40)
      assert.strictEqual((yield* ann.status.get)._tag, "Connected")
    }),
    { host: { outboxBytesMax: 1000 } }
  ))

it.effect("E6 the calls of a client that does not take its answers wait, and nobody else's do", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const mute = yield* rawLink
      const bob = yield* connect("bob")
      let runs = 0
      probe.scripts.long = () => Effect.sync(() => `${++runs}`.padEnd(600, "."))
      yield* mute.say(hello)
      yield* mute.say(open({ name: "mute" }))
      let acknowledged = 0
      for (const round of [1, 2]) {
        const before = runs
        yield* mute.say(...counting(6).map((n) => request(6 * (round - 1) + n, "Run", { script: "long" })))
        assert.strictEqual(runs - before, 2)
        assert.strictEqual((yield* bob.rpc.Me()).name, "bob")
        while (runs - before < 6) {
          acknowledged = mute.heard.filter(({ _tag }) => _tag === "Message").length
          yield* mute.say({ _tag: "Ack", channel: 1, received: acknowledged })
          yield* bob.rpc.Me()
        }
        yield* mute.say({ _tag: "Ack", channel: 1, received: 6 * round })
      }
      assert.isFalse(mute.heard.some(({ _tag }) => _tag === "Close"))
    }),
    { host: { outboxBytesMax: 1000 } }
  ))

it.effect("E6 an activation that is shut down does not wait for a client that does not take its answers", () =>
  Effect.gen(function*() {
    yield* run(
      Effect.gen(function*() {
        const probe = yield* Probe
        const mute = yield* rawLink
        probe.scripts.long = () => Effect.succeed("x".repeat(600))
        yield* mute.say(hello)
        yield* mute.say(open({ name: "mute" }))
        yield* mute.say(...counting(6).map((n) => request(n, "Run", { script: "long" })))
      }),
      { host: { outboxBytesMax: 1000 } }
    )
  }))

it.effect("B2 what is longer than outputBytesMax is a defect that names it: an answer, an event", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const ann = yield* connect("ann", { events: ["appended"] })
      probe.scripts.answer = (room) => Effect.as(append(room, "lost"), "x".repeat(5000))
      probe.scripts.event = (room) => Effect.as(room.broadcast("appended", { item: "x".repeat(5000) }), "sent")
      for (const round of [1, 2]) {
        for (
          const [script, what] of [["answer", "the reply of Lab.Run"], ["event", "the event appended of Lab"]] as const
        ) {
          assert.isTrue(Exit.isFailure(yield* Effect.exit(ann.rpc.Run({ script }))))
          const causes = probe.logs.filter(({ cause }) => cause.includes(`${what} is larger than outputBytesMax, 4000`))
          assert.strictEqual(causes.length, round)
        }
        assert.deepStrictEqual(yield* ann.rpc.Items(), [])
      }
      assert.strictEqual((yield* ann.status.get)._tag, "Connected")
    }),
    { host: { outputBytesMax: 4000 } }
  ))

it.effect("B2 a state near stateBytesMax is warned of, once; the turn after which it is larger fails alone", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const ann = yield* connect("ann")
      const warnings = () => probe.logs.filter(({ message }) => /the state has \d+ bytes/.test(message))
      const item = "x".repeat(200)
      const grown = JSON.stringify({ items: counting(4).map(() => item) }).length
      for (const count of [1, 2, 3]) assert.strictEqual(yield* ann.rpc.Append({ item }), count)
      assert.lengthOf(warnings(), 0)
      assert.strictEqual(yield* ann.rpc.Append({ item }), 4)
      assert.strictEqual(yield* ann.rpc.Append({ item: "y" }), 5)
      assert.lengthOf(warnings(), 1)
      assert.include(warnings()[0]!.message, `${grown} bytes`)
      const larger = yield* Effect.exit(ann.rpc.Append({ item }))
      assert.isTrue(Exit.isFailure(larger))
      assert.isTrue(probe.logs.some(({ cause }) => cause.includes("larger than stateBytesMax, 1000")))
      assert.strictEqual(yield* ann.rpc.Append({ item: "z" }), 6)
      assert.lengthOf((yield* ann.rpc.Items()).filter((item) => item === "z"), 1)
    }),
    { host: { stateBytesMax: 1000 } }
  ))

it.effect("X4 a number that JSON does not have is rejected", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", { params: { who: "ann" } })
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      const error = yield* Effect.flip(tally.rpc.Blow({ size: value }))
      assert.instanceOf(error, ConnectionError.CallRejected)
    }
  }).pipe(Effect.scoped))

it.effect("the calls of many actors that are committed together are all answered", () =>
  run(Effect.gen(function*() {
    const labs = yield* Lab
    const calls = counting(200).flatMap((key) => counting(3).map(() => labs.get(`${key}`).Add({ item: "x" })))
    const answers = yield* Effect.all(calls, { concurrency: "unbounded" })
    assert.deepStrictEqual(answers, counting(200).flatMap(() => [1, 2, 3]))
  })))

it.effect("B10 callsPerSecond: a client's calls are begun at the rate, the others wait and lose nothing", () =>
  run(
    Effect.gen(function*() {
      const ann = yield* connect("ann")
      const bob = yield* (yield* otherClient).connect(Lab, "main", { params: { name: "bob" } })
      for (const round of [0, 1]) {
        const calls = yield* Effect.fork(
          Effect.forEach(counting(30), (n) => ann.rpc.Append({ item: `${n}` }), { concurrency: "unbounded" })
        )
        yield* settle
        assert.strictEqual(yield* (yield* backend).Count(), 30 * round + 10)
        // another one is not slowed down
        assert.strictEqual((yield* bob.rpc.Me()).name, "bob")
        yield* pass("1 second")
        assert.strictEqual(yield* (yield* backend).Count(), 30 * round + 20)
        yield* pass("1 second")
        assert.deepStrictEqual(yield* Fiber.join(calls), counting(30 * round + 30).slice(-30))
        yield* pass("1 second")
      }
    }),
    { host: { callsPerSecond: 10 } }
  ))

it.effect("X2 refusalsPerSecond: a link that is refused again and again waits before the next is tried", () =>
  run(Effect.gen(function*() {
    const { heard, say } = yield* rawLink
    yield* say(hello)
    const refusals = () => heard.filter(({ _tag }) => _tag === "Refused").length
    const opens = (from: number) =>
      counting(25).map((n) => ({ ...open({ name: "ann" }), channel: from + n, contract: "Nobody" }))
    yield* say(...opens(0))
    assert.strictEqual(refusals(), 10)
    yield* say(...opens(100))
    assert.strictEqual(refusals(), 10)
    yield* pass("1 second")
    assert.strictEqual(refusals(), 20)
    yield* pass("4 seconds")
    assert.strictEqual(refusals(), 50)
    // it is not a ban
    yield* say({ ...open({ name: "ann" }), channel: 200 })
    assert.strictEqual(heard.at(-1)!._tag, "Opened")
  })))

it.effect("X2 an Open that is larger than openBytesMax is not sent: connect says which limit, and others go on", () =>
  run(Effect.gen(function*() {
    const ann = yield* connect("ann")
    for (const letter of ["x", "€"]) {
      const error = yield* Effect.flip(connect(letter.repeat(16_384)))
      assert.instanceOf(error, ConnectionError.ConnectionClosed)
      assert.deepStrictEqual((error as ConnectionError.ConnectionClosed).reason, {
        _tag: "LimitReached",
        limit: "openBytesMax",
        max: 16 * 1024
      })
    }
    assert.strictEqual((yield* ann.rpc.Me()).name, "ann")
    // many together are more than one message may hold
    const names = counting(20).map((n) => `${n}`.padEnd(4000, "€"))
    const all = yield* Effect.forEach(names, (name) => connect(name), { concurrency: "unbounded" })
    assert.deepStrictEqual(yield* Effect.forEach(all, ({ rpc }) => Effect.map(rpc.Me(), ({ name }) => name)), names)
  })))

/** More events than a connection may be opened with. */
const many = Array.from({ length: Frame.openEventsMax + 40 }, (_, i) => `event ${i}`)

class Many extends Actor.Tag<Many>()("Many", {
  rpcs: RpcGroup.make(Rpc.make("TellAll")),
  events: Object.fromEntries(many.map((name) => [name, Schema.String]))
}) {}

const ManyLive = Many.toLayer(
  { state: Schema.Void, initialState: () => undefined },
  (room) =>
    Effect.succeed(room.behavior({
      rpcs: { TellAll: () => Effect.forEach(many, (name) => room.broadcast(name, name), { discard: true }) }
    }))
)

it.scoped("a connection may have more events than it can be opened with", () =>
  Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    const other = yield* ActorClient.connect(Many, "other")
    const room = yield* ActorClient.connect(Many, "main", { events: many })
    const heard: Array<string> = []
    for (const name of many) {
      const events = yield* room.events(name)
      yield* Effect.forkScoped(
        Stream.runForEach(events, (item) => Effect.sync(() => void heard.push(Gap.isGap(item) ? "gap" : item)))
      )
    }
    yield* room.rpc.TellAll()
    yield* settle
    assert.deepStrictEqual(heard, many)
    heard.length = 0
    yield* network.setReachability("refused")
    yield* network.cut
    yield* pass("1 hour")
    yield* network.setReachability("reachable")
    yield* pass("1 minute")
    yield* room.rpc.TellAll()
    yield* settle
    assert.deepStrictEqual(heard.filter((item) => item !== "gap"), many)
    assert.strictEqual((yield* other.status.get)._tag, "Connected")
  }).pipe(
    Effect.provide(TestKit.layer({ actors: [Many], implementations: ManyLive, host: { subscriptionsMax: 1000 } }))
  ))
