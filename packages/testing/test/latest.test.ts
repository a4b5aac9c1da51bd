/** Events of which only the latest counts, to clients that keep up, that do not, and that are away. */
import { assert, it } from "@effect/vitest"
import { Gap } from "@troupe/contract"
import { MemoryTransport } from "@troupe/testing"
import { Chunk, Effect, Exit, Schedule, Scope, TestClock } from "effect"
import { client, connect, connectTo, type Options, pointItself, run } from "./support/board.ts"
import { atOnce, begin, collect, failure, pass, result, settle, statusOf } from "./support/world.ts"

/** While anything waits in a socket, its client does not keep up. */
const strict: Options = { gateway: { latestBufferedBytesMax: 0 } }

const retry = "50 millis"

type Connected = Effect.Effect.Success<ReturnType<typeof connect>>

const texts = (spots: ReadonlyArray<{ readonly who: string; readonly x: number }>) =>
  spots.map(({ who, x }) => `${who} ${x}`)

const cursors = (board: Connected) => Effect.flatMap(board.events("cursor"), collect)

const point = (board: Connected, x: number) => Effect.flatMap(begin(board.rpc.Point({ x })), result)

const points = (board: Connected, count: number) =>
  Effect.forEach(Array.from({ length: count }, (_, i) => i + 1), (x) => board.rpc.Point({ x }), { discard: true })

/** The frames a server sends that bring events, and how many acknowledgements it hears. */
const watch = Effect.gen(function*() {
  const network = yield* MemoryTransport.MemoryNetwork
  const seen = { sent: [] as Array<string>, acknowledgements: 0 }
  yield* network.onMessage(({ frames, from }) => {
    for (const frame of frames) {
      if (from === "client") { if (frame._tag === "Ack") seen.acknowledgements++ }
      else if ("payload" in frame && frame.payload._tag === "Event") {
        seen.sent.push(`${frame._tag} ${frame.payload.event}`)
      }
    }
  })
  return seen
})

/** The clients whose links stand stop reading; those that come later read. */
const stall = Effect.flatMap(
  MemoryTransport.MemoryNetwork,
  (network) => Effect.zipRight(network.setReading(false), settle)
)

const read = Effect.flatMap(
  MemoryTransport.MemoryNetwork,
  (network) => network.setReading(true).pipe(Effect.zipRight(settle), Effect.zipRight(pass(retry)))
)

/** How many sockets, or what they stand for, are looked at again soon. */
const looks = Effect.zipWith(
  TestClock.sleeps(),
  TestClock.currentTimeMillis,
  (sleeps, now) => Chunk.size(Chunk.filter(sleeps, (at) => at > now && at <= now + 50))
)

it.scoped("E7 who keeps up gets every one, in its place among what its turn sends, and acknowledges none", () =>
  run(Effect.gen(function*() {
    const ann = yield* connect("ann")
    const bob = yield* connect("bob")
    const toBob = yield* cursors(bob)
    const said = yield* Effect.flatMap(bob.events("said"), collect)
    const seen = yield* watch
    for (const x of [1, 2]) yield* result(yield* begin(ann.rpc.PointAndSay({ x })))
    assert.deepStrictEqual(seen.sent, [
      "Message said",
      "Latest cursor",
      "Message said",
      "Message said",
      "Latest cursor",
      "Message said"
    ])
    assert.deepStrictEqual(texts(toBob), ["ann 1", "ann 2"])
    assert.deepStrictEqual(said, ["before 1", "after 1", "before 2", "after 2"])
    seen.acknowledgements = 0
    yield* pointItself(3)
    yield* settle
    assert.deepStrictEqual(texts(toBob), ["ann 1", "ann 2", "the board 3"])
    assert.strictEqual(seen.acknowledgements, 0)
  })))

it.scoped("E7 who does not keep up gets the newest of each sender and event when it has caught up", () =>
  run(
    Effect.gen(function*() {
      const slow = yield* connect("slow", atOnce)
      const toSlow = yield* cursors(slow)
      const typing = yield* Effect.flatMap(slow.events("typing"), collect)
      assert.strictEqual(yield* looks, 0)
      for (const round of [1, 2]) {
        toSlow.length = typing.length = 0
        yield* stall
        yield* Effect.scoped(Effect.gen(function*() {
          const ann = yield* connect("ann")
          const bob = yield* connect("bob")
          // on its way already, for a client that does not read
          yield* point(ann, 0)
          for (const board of [ann, bob]) {
            yield* result(yield* begin(points(board, 100)))
            yield* result(yield* begin(board.rpc.Type()))
          }
          yield* pointItself(7)
          yield* pointItself(8)
          // it is looked at again and again
          yield* pass("1 second")
          assert.deepStrictEqual(toSlow, [])
          assert.strictEqual(yield* looks, 1)
          const seen = yield* watch
          yield* read
          assert.deepStrictEqual(texts(toSlow), ["ann 0", "ann 100", "bob 100", "the board 8"], `round ${round}`)
          assert.deepStrictEqual(typing, ["ann", "bob"])
          assert.strictEqual(seen.sent.length, 6)
          yield* point(ann, 101)
          assert.strictEqual(texts(toSlow).at(-1), "ann 101")
        }))
        // nothing is looked at where nothing waits
        assert.strictEqual(yield* looks, 0)
        assert.strictEqual(yield* statusOf(slow), "connected")
      }
    }),
    // 300 cursors would be more than ten times as much
    { ...strict, host: { outboxBytesMax: 1000 } }
  ))

it.scoped("E7 nothing is replayed and no gap is left, whatever was sent while a client was away; it stays connected", () =>
  run(
    Effect.gen(function*() {
      const network = yield* MemoryTransport.MemoryNetwork
      const away = yield* connect("away", { schedule: Schedule.spaced("10 seconds") })
      const toAway = yield* cursors(away)
      const said = yield* Effect.flatMap(away.events("said"), collect)
      for (const round of [1, 2]) {
        // one of each waits for room when the link is lost
        yield* stall
        const ann = yield* connect("ann", atOnce)
        for (const x of [1, 2]) yield* point(ann, x)
        yield* pointItself(1)
        yield* network.cut
        yield* settle
        yield* result(yield* begin(points(ann, 100)))
        yield* result(yield* begin(ann.rpc.PointAndSay({ x: round })))
        yield* pass("10 seconds")
        assert.strictEqual(yield* statusOf(away), "resumed")
        assert.deepStrictEqual(toAway, [])
        assert.deepStrictEqual(said.slice(-2), [`before ${round}`, `after ${round}`])
        yield* stall
        const bob = yield* connect("bob")
        for (const x of [3, 4, 5]) yield* point(bob, x)
        yield* read
        assert.deepStrictEqual(texts(toAway.splice(0)), ["bob 3", "bob 5"])
      }
    }),
    { ...strict, host: { outboxBytesMax: 1000 } }
  ))

it.scoped("E7 no gap is left by a connection that is opened anew either", () =>
  run(
    Effect.gen(function*() {
      const network = yield* MemoryTransport.MemoryNetwork
      const away = yield* connect("away", { schedule: Schedule.spaced("1 minute") })
      const toAway = yield* cursors(away)
      const said = yield* Effect.flatMap(away.events("said"), collect)
      const ann = yield* connect("ann", atOnce)
      for (const x of [1, 2]) {
        yield* network.cut
        yield* pass("1 minute")
        assert.strictEqual(yield* statusOf(away), "connected")
        yield* result(yield* begin(ann.rpc.PointAndSay({ x })))
        assert.deepStrictEqual(texts(toAway.splice(0)), [`ann ${x}`])
        assert.deepStrictEqual(said.splice(0), [new Gap.Gap(), `before ${x}`, `after ${x}`])
      }
    }),
    { host: { resumeWindow: "10 seconds" } }
  ))

it.scoped("E7 only what a turn that has succeeded sends, only to subscribers, except one, or to one", () =>
  run(Effect.gen(function*() {
    const ann = yield* connect("ann")
    const bob = yield* connect("bob")
    const eve = yield* connect("eve")
    const toAnn = yield* cursors(ann)
    const toBob = yield* cursors(bob)
    const seen = yield* watch
    for (const _ of [1, 2]) {
      yield* failure(yield* begin(ann.rpc.PointAndFail({ x: 1 })))
      assert.deepStrictEqual(seen.sent, [])
      yield* result(yield* begin(ann.rpc.PointForOthers({ x: 2 })))
      assert.deepStrictEqual(texts(toAnn.splice(0)), [])
      assert.deepStrictEqual(texts(toBob.splice(0)), ["ann 2"])
      const to = yield* result(yield* begin(bob.rpc.Me()))
      yield* result(yield* begin(ann.rpc.PointTo({ x: 3, to })))
      assert.deepStrictEqual(texts(toAnn.splice(0)), [])
      assert.deepStrictEqual(texts(toBob.splice(0)), ["ann 3"])
      yield* result(yield* begin(ann.rpc.PointTo({ x: 4, to: yield* result(yield* begin(eve.rpc.Me())) })))
      assert.deepStrictEqual(seen.sent.splice(0), ["Latest cursor", "Latest cursor"])
    }
  })))

it.scoped("E7 what waits is not sent any more when its sender has gone, or nobody wants it", () =>
  run(
    Effect.gen(function*() {
      const slow = yield* connect("slow")
      const toSlow = yield* cursors(slow)
      const ann = yield* connect("ann", atOnce)
      for (const _ of [1, 2]) {
        yield* stall
        const scope = yield* Scope.make()
        const bob = yield* Scope.extend(connect("bob"), scope)
        yield* begin(ann.rpc.Point({ x: 1 }))
        yield* settle
        yield* point(bob, 1)
        yield* begin(ann.rpc.Point({ x: 2 }))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        yield* settle
        yield* read
        assert.deepStrictEqual(texts(toSlow.splice(0)), ["ann 1", "ann 2"])
      }
      const typing = yield* Scope.make()
      yield* Effect.asVoid(Scope.extend(slow.events("typing"), typing))
      yield* stall
      const bob = yield* connect("bob")
      yield* point(bob, 1)
      yield* result(yield* begin(bob.rpc.Type()))
      yield* Scope.close(typing, Exit.void)
      yield* settle
      const seen = yield* watch
      yield* read
      assert.deepStrictEqual(seen.sent, ["Latest cursor"])
      assert.strictEqual(yield* statusOf(slow), "connected")
    }),
    strict
  ))

it.scoped("E7 a reader finds the newest of each sender since it has looked last, of as many as its buffer holds", () =>
  run(Effect.gen(function*() {
    const reader = yield* connect("reader", { eventBufferMax: 3 })
    const events = yield* reader.events("cursor")
    const boards = yield* Effect.forEach(["ann", "bob", "eve", "max"], (who) => connect(who))
    for (const round of [1, 2]) {
      for (const board of [...boards, ...boards.slice(1, 3)]) {
        for (const i of [1, 2]) yield* point(board, 10 * round + i)
      }
      // the one that has not moved for longest is out of date
      yield* Effect.scoped(Effect.gen(function*() {
        const items = yield* collect(events)
        assert.deepStrictEqual(texts(items), [
          `max ${10 * round + 2}`,
          `bob ${10 * round + 2}`,
          `eve ${10 * round + 2}`
        ])
      }))
    }
  })))

it.scoped("E7 all connections of a client that does not keep up get what has waited for them", () =>
  run(
    Effect.gen(function*() {
      const slow = yield* client()
      const boards = yield* Effect.forEach(["a", "b", "c"], (key) => connectTo(slow, key, "slow"))
      const heard = yield* Effect.forEach(boards, cursors)
      for (const round of [1, 2]) {
        yield* stall
        const ann = yield* client()
        for (const key of ["a", "b", "c"]) yield* result(yield* begin(points(yield* connectTo(ann, key, "ann"), 100)))
        yield* read
        for (const spots of heard) {
          assert.isAtMost(spots.length, 2 * round)
          assert.strictEqual(texts(spots).at(-1), "ann 100")
        }
      }
    }),
    strict
  ))
