/** What is asked for on a link does not wait until the server has said what it takes, unless it may be too long. */
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { type ConnectionError, Transport } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { Effect, Schedule } from "effect"
import { Tally } from "./support/tally.ts"
import { begin, failure, makeWorld, pass, result, statuses, type World } from "./support/world.ts"

const goAway = Frame.encode({ _tag: "GoAway", retryAfterMillis: 0 })

const welcome = Frame.encode({
  _tag: "Welcome",
  version: Frame.version,
  heartbeatMillis: 15_000,
  silenceMillis: 30_000,
  openBytesMax: 16_384,
  messageBytesMax: 16_384
})

/** The frames of each message that has been sent since, without messages inside of connections. */
const watch = ({ network }: World) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    yield* network.onMessage(({ frames, from }) => {
      const tags = frames.flatMap(({ _tag }) => _tag === "Message" || _tag === "Ack" ? [] : [_tag])
      if (tags.length > 0) seen.push(`${from} ${tags.join(" ")}`)
    })
    return seen
  })

it.scoped("a connection is opened, and resumed, in one exchange of messages with the server", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const seen = yield* watch(world)
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", { params: { who: "ann" } })
    assert.deepStrictEqual(seen, ["client Hello Open", "server Welcome Opened"])
    const status = yield* statuses(tally)
    for (const _ of [1, 2]) {
      seen.length = 0
      yield* world.network.cut
      yield* pass("1 second")
      assert.deepStrictEqual(seen, ["client Hello Resume", "server Welcome Resumed"])
    }
    assert.deepStrictEqual(status, [
      "connected",
      "waiting 1 LinkLost",
      "connecting",
      "resumed",
      "waiting 2 LinkLost",
      "connecting",
      "resumed"
    ])
    const other = yield* world.client()
    seen.length = 0
    yield* other.connect(Tally, "a", { params: { who: "bob" } })
    assert.deepStrictEqual(seen, ["client Hello Open", "server Welcome Opened"])
  }))

it.scoped("what may be too long waits for the greeting, and its parameters are evaluated once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const seen = yield* watch(world)
    const client = yield* world.client()
    let evaluated = 0
    const connect = (length: number) =>
      client.connect(Tally, "a", {
        params: Effect.sync(() => {
          evaluated++
          return { who: "x".repeat(length) }
        })
      })
    yield* connect(1000)
    assert.deepStrictEqual(seen, ["client Hello", "server Welcome", "client Open", "server Opened"])
    assert.strictEqual(evaluated, 1)
    yield* connect(10)
    const { reason } = (yield* failure(yield* begin(connect(20_000)))) as ConnectionError.ConnectionClosed
    assert.deepStrictEqual(reason, { _tag: "LimitReached", limit: "openBytesMax", max: 16 * 1024 })
    seen.length = 0
    yield* world.network.cut
    yield* pass("1 second")
    assert.deepStrictEqual(seen, ["client Hello Resume Resume", "server Welcome Resumed Resumed"])
    assert.strictEqual(evaluated, 3)
  }))

it.scoped("many connections that open, and come back, on one link are asked for in messages that any server takes", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    // less than a server may take
    yield* world.serve({ openBytesMax: 10 })
    let longest = 0
    yield* world.network.onMessage(({ carries, from, text }) => {
      if (from === "client" && (carries("Open") || carries("Resume"))) longest = Math.max(longest, text.length)
    })
    const client = yield* world.client()
    const names = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(300, "."))
    const connecting = names.map((who) => client.connect(Tally, "a", { params: { who } }))
    const all = yield* Effect.all(connecting, { concurrency: "unbounded" })
    yield* world.network.cut
    const adding = yield* begin(Effect.forEach(all, ({ rpc }, i) => rpc.Add({ label: `${i}` })))
    yield* pass("1 second")
    assert.deepStrictEqual(yield* result(adding), names.map((_, i) => i + 1))
    assert.isAtMost(longest, 1024)
    assert.isAbove(longest, 700)
  }))

it.scoped("a server that is going away is left at once, though it has been asked for a connection", () =>
  Effect.gen(function*() {
    const texts: Array<string> = []
    const transport = Transport.Transport.of({
      onOpportunity: () => Effect.void,
      dial: (handler) =>
        Effect.sync(() => ({
          // it has accepted the link, and begins to go before it hears what for
          send: (text) => {
            if (texts.push(text) === 1) handler.onMessage(Frame.join([goAway, welcome]))
          },
          close: () => {},
          buffered: () => 0
        }))
    })
    const client = yield* Effect.provideService(
      ActorClient.make({ schedule: Schedule.spaced("1 second") }),
      Transport.Transport,
      transport
    )
    yield* begin(client.connect(Tally, "a", { params: { who: "ann" } }))
    yield* pass("3 seconds")
    assert.lengthOf(texts, 2)
    for (const text of texts) assert.include(text, "Open")
  }))
