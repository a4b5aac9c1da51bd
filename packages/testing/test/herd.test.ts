/** Many clients that lose their server at one moment: how they come back, to the millisecond, under `TestClock`. */
import { assert, it } from "@effect/vitest"
import { type Duration, Effect, TestClock } from "effect"
import { Tally } from "./support/tally.ts"
import { begin, makeWorld, pass, settle, statusOf, waitOf } from "./support/world.ts"

const clients = 100

/** All at once, and then what follows: step by step it would be a step for each of the clients' timers. */
const leap = (duration: Duration.DurationInput) => Effect.zipRight(TestClock.adjust(duration), settle)

const connectAll = (world: Effect.Effect.Success<ReturnType<typeof makeWorld>>) =>
  Effect.forEach(
    Array.from({ length: clients }, (_, i) => `${i % 10}`),
    (key) => Effect.flatMap(world.client(), ({ connect }) => connect(Tally, key, { params: { who: "ann" } }))
  )

/** How many of these times lie in the fullest window of so many milliseconds. */
const crowdOf = (times: ReadonlyArray<number>, windowMillis: number) =>
  Math.max(...times.map((from) => times.filter((time) => time >= from && time < from + windowMillis).length))

it.scoped("C12 100 clients that lose their links at one moment dial again spread out, and ever more so", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tallies = yield* connectAll(world)
    for (const _ of [1, 2]) {
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* settle
      const crowds: Array<number> = []
      for (const attempt of [1, 2, 3, 4]) {
        const full = 250 * 2 ** (attempt - 1)
        const waits = yield* Effect.forEach(tallies, waitOf)
        for (const wait of waits) assert.isTrue(wait <= full)
        crowds.push(crowdOf(waits, 25))
        // all of them find the server still gone, each at its own moment
        yield* leap(full)
      }
      // 100 clients over 125 ms, five windows of 25 ms: 20 in each, if they were perfectly spread
      assert.isAtMost(crowds[0]!, 40)
      assert.isAtMost(crowds[3]!, 12)
      yield* world.network.setReachability("reachable")
      yield* leap("30 seconds")
      for (const tally of tallies) assert.match(yield* statusOf(tally), /connected|resumed/)
      yield* leap("5 seconds")
    }
  }))

it.scoped("C12 clients of a server that goes away are told to come back one after the other", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ gateway: { retryAfter: "2 seconds", returnsPerSecond: 10 } })
    let server = yield* world.serve()
    const tallies = yield* connectAll(world)
    for (const _ of [1, 2]) {
      yield* pass("5 seconds")
      yield* server.stop
      yield* settle
      const waits = (yield* Effect.forEach(tallies, waitOf)).sort((a, b) => a - b)
      assert.isAtLeast(waits[0]!, 2000)
      // 100 links at ten a second, and the clients' own delay
      assert.isAtMost(waits.at(-1)!, 2000 + 9900 + 250)
      assert.isAtMost(crowdOf(waits, 1000), 12)
      server = yield* world.serve()
      yield* pass("13 seconds")
      for (const tally of tallies) assert.match(yield* statusOf(tally), /connected|resumed/)
    }
  }))

it.scoped("C12 clients that are to come back at no rate at all are told so in numbers that JSON has", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ gateway: { returnsPerSecond: 0 } })
    const server = yield* world.serve()
    const links = [yield* world.rawLink, yield* world.rawLink]
    for (const link of links) yield* link.send(JSON.stringify({ _tag: "Hello", version: 1 }))
    yield* begin(server.stop)
    yield* pass("10 seconds")
    const delays = links.map((link) => link.of("GoAway").map(({ retryAfterMillis }) => retryAfterMillis))
    assert.deepStrictEqual(delays, [[0], [Number.MAX_SAFE_INTEGER]])
  }))
