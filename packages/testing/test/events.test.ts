import { assert, it } from "@effect/vitest"
import { ConnectionError, Gap } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { RawClient } from "@troupe/testing"
import { Chunk, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { NewerTally, Tally } from "./support/tally.ts"
import {
  atOnce,
  begin,
  collect,
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
const gap = new Gap.Gap()

/** Every event the server sends, by name, and every subscription the client asks for. */
const watch = ({ network }: World) =>
  Effect.gen(function*() {
    const sent: Array<string> = []
    yield* network.onMessage(({ frames }) => {
      for (const frame of frames) {
        if (frame._tag === "Message" && "event" in frame.payload) {
          sent.push(`${frame.payload._tag} ${frame.payload.event}`)
        }
      }
    })
    return sent
  })

const goOffline = ({ network }: World) =>
  network.setReachability("refused").pipe(Effect.zipRight(network.cut), Effect.zipRight(settle))

const goOnline = ({ network }: World) => Effect.zipRight(network.setReachability("reachable"), pass("31 seconds"))

/** The labels of events, with gaps in between. */
const labels = (events: ReadonlyArray<{ readonly label: string } | Gap.Gap>) =>
  events.map((event) => Gap.isGap(event) ? "gap" : event.label)

it.scoped("E1 a subscription is live when `events` returns, and waits for the server until then", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const other = yield* (yield* world.client()).connect(Tally, "a", { params: { who: "bob" } })
    for (const round of ["x", "y"]) {
      yield* Effect.scoped(Effect.gen(function*() {
        const hold = yield* begin(tally.rpc.Hold({ label: `${round} before`, gate: round }))
        const subscribing = yield* begin(tally.events("added"))
        assert.isTrue(yield* isRunning(subscribing), "it takes its place behind the call")
        yield* world.trace.open(round)
        yield* result(hold)
        const events = yield* result(subscribing)
        // nobody reads yet
        yield* result(yield* begin(other.rpc.Add({ label: `${round} 1` })))
        yield* result(yield* begin(other.rpc.Add({ label: `${round} 2` })))
        const items = yield* collect(events)
        yield* result(yield* begin(other.rpc.Add({ label: `${round} 3` })))
        assert.deepStrictEqual(labels(items), [`${round} 1`, `${round} 2`, `${round} 3`])
      }))
      yield* settle
    }
  }))

it.scoped("E1 only events that were subscribed to are sent", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", { ...options, events: ["tick"] })
    const sent = yield* watch(world)
    yield* result(yield* begin(tally.rpc.Add({ label: "x" })))
    yield* result(yield* begin(tally.rpc.Burst({ count: 2 })))
    assert.deepStrictEqual(sent, ["Event tick", "Event tick"])
  }))

it.scoped("E1 an event the server does not know is refused, every time, and the connection goes on", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(NewerTally, "a", options)
    for (let i = 1; i <= 2; i++) {
      assert.instanceOf(yield* failure(yield* begin(tally.events("unheard"))), ConnectionError.CallRejected)
      assert.strictEqual(yield* result(yield* begin(tally.rpc.Add({ label: "x" }))), i)
    }
    const events = yield* tally.events("added")
    const items = yield* collect(events)
    yield* result(yield* begin(tally.rpc.Add({ label: "y" })))
    assert.deepStrictEqual(labels(items), ["y"])
    const refused = yield* failure(yield* begin(client.connect(NewerTally, "a", { ...options, events: ["unheard"] })))
    assert.instanceOf(refused, ConnectionError.ConnectionClosed)
  }))

it.scoped("E1 what is sent before the first reader is kept for it, and only for it", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", { ...options, events: ["added", "tick"] })
    yield* result(yield* begin(tally.rpc.Add({ label: "1" })))
    yield* world.network.cut
    yield* pass("1 second")
    yield* result(yield* begin(tally.rpc.Add({ label: "2" })))
    const first = yield* collect(yield* tally.events("added"))
    const second = yield* collect(yield* tally.events("added"))
    yield* result(yield* begin(tally.rpc.Add({ label: "3" })))
    assert.deepStrictEqual(labels(first), ["1", "2", "3"])
    assert.deepStrictEqual(labels(second), ["3"])
  }))

it.scoped("E1 what is kept for a first reader that never comes is bounded", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client({ eventBufferMax: 8 })
    const tally = yield* client.connect(Tally, "a", { ...options, events: ["tick"] })
    for (let i = 0; i < 3; i++) yield* result(yield* begin(tally.rpc.Burst({ count: 100 })))
    const items = yield* collect(yield* tally.events("tick"))
    assert.isAtMost(items.length, 8)
    assert.isTrue(Gap.isGap(items[0]))
    assert.strictEqual(items.at(-1), 100)
  }))

it.scoped("E2 short drops lose no event, repeat none and keep the order, without any code of the user", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", { ...options, events: ["tick"] })
    const other = yield* (yield* world.client(atOnce)).connect(Tally, "a", { params: { who: "bob" } })
    const added = yield* collect(yield* tally.events("added"))
    const ticks = yield* collect(yield* tally.events("tick"))
    const seen = yield* statuses(tally)
    const expected: Array<string> = []
    const say = (label: string) =>
      Effect.zipRight(
        Effect.flatMap(begin(other.rpc.Add({ label })), result),
        Effect.sync(() => void expected.push(label))
      )
    for (const round of ["x", "y", "z"]) {
      yield* say(`${round} before`)
      // the next event does not arrive
      yield* world.network.onMessage(({ carries, from }) =>
        from === "server" && carries("Event") ? "cut-before" : undefined
      )
      yield* world.network.setReachability("silent")
      const lost = yield* begin(other.rpc.Add({ label: `${round} lost` }))
      expected.push(`${round} lost`)
      yield* world.network.onMessage(() => undefined)
      yield* world.network.setReachability("reachable")
      yield* pass("10 seconds")
      yield* result(lost)
      yield* world.network.cut
      yield* settle
      for (let i = 0; i < 3; i++) yield* say(`${round} away ${i}`)
      yield* pass("31 seconds")
      yield* say(`${round} after`)
      assert.deepStrictEqual(labels(added), expected)
    }
    assert.deepStrictEqual(added.map((event) => Gap.isGap(event) ? 0 : event.count), expected.map((_, i) => i + 1))
    assert.deepStrictEqual(ticks, [])
    assert.notInclude(seen.slice(1), "connected")
  }))

it.scoped("E3 a drop beyond the window is told: the status, a gap in each stream, and events again after it", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", { ...options, events: ["tick"] })
    const added = yield* collect(yield* tally.events("added"))
    const addedToo = yield* collect(yield* tally.events("added"))
    const ticks = yield* collect(yield* tally.events("tick"))
    const server = yield* (yield* world.client(atOnce)).connect(Tally, "a", { params: { who: "bob" } })
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      yield* result(yield* begin(server.rpc.Add({ label: `${round} before` })))
      yield* world.network.setReachability("silent")
      yield* world.network.cut
      yield* pass("130 seconds")
      yield* world.network.setReachability("reachable")
      yield* pass("10 seconds")
      yield* result(yield* begin(server.rpc.Add({ label: `${round} missed` })))
      yield* pass("31 seconds")
      assert.strictEqual(yield* statusOf(tally), "connected")
      yield* result(yield* begin(server.rpc.Add({ label: `${round} after` })))
      yield* result(yield* begin(server.rpc.Burst({ count: 1 })))
      expected.push(`${round} before`, "gap", `${round} after`)
      const known = labels(added).filter((label) => !label.endsWith("missed"))
      assert.deepStrictEqual(known, expected)
      assert.deepStrictEqual(labels(addedToo), labels(added))
    }
    assert.deepStrictEqual(ticks, [gap, 1, gap, 1])
  }))

it.scoped("E3 a lost server is told in the same way, also when it is lost again at once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client(atOnce)).connect(Tally, "a", options)
    const added = yield* collect(yield* tally.events("added"))
    const seen = yield* statuses(tally)
    for (const round of ["x", "y", "z"]) {
      yield* world.crash
      yield* settle
      yield* result(yield* begin(tally.rpc.Add({ label: round })))
    }
    assert.deepStrictEqual(labels(added), ["gap", "x", "gap", "y", "gap", "z"])
    assert.deepStrictEqual(seen.filter((status) => status.startsWith("conne") && status !== "connecting"), [
      "connected",
      "connected",
      "connected",
      "connected"
    ])
    // nobody has read in between: one gap says it
    yield* world.crash
    yield* settle
    yield* world.crash
    yield* settle
    yield* result(yield* begin(tally.rpc.Add({ label: "end" })))
    assert.deepStrictEqual(labels(added).slice(6).filter((label) => label !== "gap"), ["end"])
  }))

it.scoped("E3 E6 a client that is away while more is sent than its outbox holds finds a gap, never a silent loss", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { outboxBytesMax: 10_000 } })
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const blobs = yield* collect(yield* tally.events("blob"))
    const other = yield* (yield* world.client(atOnce)).connect(Tally, "a", { params: { who: "bob" } })
    for (const round of [1, 2]) {
      yield* client.pause
      yield* settle
      for (let i = 0; i < 4; i++) yield* result(yield* begin(other.rpc.Blow({ size: 3000 + round })))
      assert.strictEqual(world.trace.count("release ann SlowConsumer"), round)
      yield* client.resume
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "connected")
      yield* result(yield* begin(other.rpc.Blow({ size: round })))
      assert.deepStrictEqual(
        blobs.slice(2 * (round - 1)).map((item) => Gap.isGap(item) ? "gap" : item.length),
        ["gap", round]
      )
      yield* pass("5 seconds")
    }
  }))

it.scoped("E2 events are acknowledged by several, before they fill the outbox, and when nothing more comes", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { outboxBytesMax: 8192 } })
    yield* world.serve()
    const acknowledged: Array<number> = []
    yield* world.network.onMessage(({ frames, from }) => {
      for (const frame of frames)
        if (from === "client" && frame._tag === "Ack") acknowledged.push(frame.received)
    })
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const added = yield* collect(yield* tally.events("added"))
    for (const round of [1, 2]) {
      // it acknowledges nothing
      const other = yield* world.rawLink
      const session = `${round}`.repeat(32)
      yield* other.say(RawClient.hello, RawClient.open(Tally, "a", { params: { who: "bob" }, session }))
      acknowledged.length = 0
      for (let i = 1; i <= 100; i++) yield* other.say(RawClient.request(i, "Add", { label: `${round} ${i}` }))
      assert.lengthOf(added, round * 100)
      const first = added.length - 100
      assert.isAbove(acknowledged.length, 10, "at least for each 1024 bytes, of which a message has 100")
      assert.isBelow(acknowledged.length, 50)
      assert.isAbove(acknowledged.at(-1)!, first)
      yield* pass("31 seconds")
      assert.strictEqual(acknowledged.at(-1), 1 + round * 100, "the subscription, and all events")
    }
    assert.strictEqual(yield* statusOf(tally), "connected")
  }))

it.scoped("E3 a reader that falls behind finds a gap in the place of what it has lost, and does not hurt others", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client({ eventBufferMax: 4 })).connect(Tally, "a", options)
    const slow = yield* tally.events("tick")
    const fast = yield* collect(yield* tally.events("tick"))
    const burst = Effect.flatMap(begin(tally.rpc.Burst({ count: 3 })), result)
    for (const _ of [1, 2]) {
      for (let i = 0; i < 4; i++) yield* burst
      // what it has not read is replaced by one gap; what came last is there, and what comes next
      const items = yield* Effect.scoped(Effect.gen(function*() {
        const items = yield* collect(slow)
        const kept = [...items]
        assert.isAtMost(kept.length, 4)
        assert.strictEqual(kept.at(-1), 3)
        yield* burst
        assert.deepStrictEqual(items.slice(kept.length), [1, 2, 3])
        return kept
      }))
      assert.deepStrictEqual(items.filter(Gap.isGap), [gap])
      assert.deepStrictEqual(items[0], gap)
    }
    assert.deepStrictEqual(fast, Array.from({ length: 10 }, () => [1, 2, 3]).flat())
  }))

it.scoped("a reader that has as much as it may when its connection is lost finds one gap", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client({ eventBufferMax: 3 })).connect(Tally, "a", options)
    const slow = yield* tally.events("tick")
    yield* result(yield* begin(tally.rpc.Burst({ count: 3 })))
    yield* world.crash
    yield* pass("31 seconds")
    assert.strictEqual(yield* statusOf(tally), "connected")
    assert.deepStrictEqual(yield* collect(slow), [gap])
  }))

it.scoped("E4 the end of the last reader ends the subscription; the next one begins another", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const sent = yield* watch(world)
    const burst = Effect.flatMap(begin(tally.rpc.Burst({ count: 1 })), result)
    for (const _ of [1, 2, 3]) {
      const first = yield* Scope.make()
      const second = yield* Scope.make()
      yield* Effect.asVoid(Scope.extend(tally.events("tick"), first))
      yield* Effect.asVoid(Scope.extend(tally.events("tick"), second))
      yield* burst
      assert.deepStrictEqual(sent.splice(0), ["Subscribe tick", "Subscribed tick", "Event tick"])
      yield* Scope.close(first, Exit.void)
      yield* burst
      assert.deepStrictEqual(sent.splice(0), ["Event tick"])
      yield* Scope.close(second, Exit.void)
      yield* burst
      assert.deepStrictEqual(sent.splice(0), ["Unsubscribe tick"])
    }
  }))

it.scoped("E4 a stream ends with its subscription", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    for (const _ of [1, 2]) {
      const subscription = yield* Scope.make()
      const reading = yield* begin(Stream.runCollect(yield* Scope.extend(tally.events("tick"), subscription)))
      yield* result(yield* begin(tally.rpc.Burst({ count: 2 })))
      yield* Scope.close(subscription, Exit.void)
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* result(reading)), [1, 2])
    }
  }))

it.scoped("E4 subscribing and ending again and again in one tick, online and offline, ends in what was asked for last", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const sent = yield* watch(world)
    const burst = Effect.flatMap(begin(tally.rpc.Burst({ count: 1 })), result)
    const steps = {
      online: [settle, settle],
      offline: [goOffline(world), goOnline(world)],
      "with another server": [Effect.zipRight(goOffline(world), world.crash), goOnline(world)]
    }
    for (const [where, [before, after]] of Object.entries(steps)) {
      yield* before!
      const fibers = []
      for (let i = 0; i < 3; i++) {
        // interrupted before it is acknowledged
        const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(tally.events("tick"), Effect.never)))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
        fibers.push(fiber)
      }
      const lastScope = yield* Scope.make()
      const last = yield* begin(Scope.extend(tally.events("tick"), lastScope))
      yield* after!
      const items = yield* collect(yield* result(last))
      yield* burst
      assert.deepStrictEqual(items, [1], where)
      yield* before!
      yield* Scope.close(lastScope, Exit.void)
      yield* after!
      sent.length = 0
      yield* burst
      assert.deepStrictEqual(sent, [], where)
    }
  }))

it.scoped("who has given up waiting for an event when a server was lost can wait for it at the next one", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* goOffline(world)
    yield* world.crash
    yield* Fiber.interrupt(yield* begin(tally.events("tick")))
    yield* goOnline(world)
    const ticks = yield* collect(yield* result(yield* begin(tally.events("tick"))))
    yield* result(yield* begin(tally.rpc.Burst({ count: 2 })))
    assert.deepStrictEqual(ticks, [1, 2])
  }))

it.scoped("who stops reading while its connection is being opened anew is sent nothing there", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const reading = yield* Scope.make()
    yield* Effect.asVoid(Scope.extend(tally.events("tick"), reading))
    world.trace.preflight = Deferred.await(world.trace.gate("opened"))
    yield* world.crash
    yield* pass("1 second")
    yield* Scope.close(reading, Exit.void)
    yield* world.trace.open("opened")
    yield* settle
    const sent = yield* watch(world)
    yield* result(yield* begin(tally.rpc.Burst({ count: 2 })))
    assert.deepStrictEqual(sent, [])
  }))

it.scoped("who gives up waiting for an event is not sent it, also while the scope that it was asked for in is open", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const sent = yield* watch(world)
    const held = yield* begin(tally.rpc.Hold({ label: "held", gate: "gate" }))
    yield* Fiber.interrupt(yield* begin(tally.events("tick")))
    yield* world.trace.open("gate")
    yield* result(held)
    yield* settle
    assert.deepStrictEqual(sent, ["Subscribe tick", "Subscribed tick", "Unsubscribe tick"])
  }))

it.scoped("E4 events are subscribed to once, however often the connection is opened anew", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client(atOnce)).connect(Tally, "a", { ...options, events: ["tick"] })
    const ticks = yield* collect(yield* tally.events("tick"))
    const added = yield* collect(yield* tally.events("added"))
    for (let i = 0; i < 3; i++) {
      yield* i % 2 === 0 ? world.crash : world.network.cut
      yield* settle
      ticks.length = 0
      added.length = 0
      yield* result(yield* begin(tally.rpc.Burst({ count: 2 })))
      yield* result(yield* begin(tally.rpc.Add({ label: "x" })))
      assert.deepStrictEqual(ticks, [1, 2])
      assert.lengthOf(added, 1)
    }
  }))

it.scoped("E5 a broadcast can leave one out, and one of a failed turn is not sent", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const ann = yield* client.connect(Tally, "a", options)
    const bob = yield* client.connect(Tally, "a", { params: { who: "bob" } })
    const toAnn = yield* collect(yield* ann.events("added"))
    const toBob = yield* collect(yield* bob.events("added"))
    for (const round of ["x", "y"]) {
      yield* result(yield* begin(ann.rpc.Others({ label: `${round} of ann` })))
      yield* failure(yield* begin(ann.rpc.AddAndFail({ label: `${round} failed` })))
      yield* result(yield* begin(bob.rpc.Others({ label: `${round} of bob` })))
      yield* result(yield* begin(ann.rpc.Add({ label: round })))
    }
    assert.deepStrictEqual(labels(toAnn), ["x of bob", "x", "y of bob", "y"])
    assert.deepStrictEqual(labels(toBob), ["x of ann", "x", "y of ann", "y"])
    assert.deepStrictEqual(world.labels(), ["x", "y"])
  }))

it.scoped("E2 a stream ends with the reason when its connection is closed for good, after what has arrived", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    for (const reason of ["go", "away"]) {
      const tally = yield* client.connect(Tally, "a", options)
      const events = yield* tally.events("tick")
      yield* result(yield* begin(tally.rpc.Burst({ count: 2 })))
      yield* result(yield* begin(tally.rpc.Leave({ reason })))
      const items: Array<number | Gap.Gap> = []
      const error = yield* failure(
        yield* begin(Stream.runForEach(events, (item) => Effect.sync(() => void items.push(item))))
      )
      assert.deepStrictEqual(items, [1, 2])
      assert.deepStrictEqual(
        error,
        new ConnectionError.ConnectionClosed({ reason: { _tag: "Disconnected", reason }, sent: "no" })
      )
    }
  }))

it.scoped("a stream of events that is run twice at once: each event comes once, and both end", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const scope = yield* Scope.make()
    const tally = yield* Scope.extend(client.connect(Tally, "a", options), scope)
    const ticks = yield* Scope.extend(tally.events("tick"), scope)
    const seen: Array<unknown> = []
    const read = Stream.runForEach(ticks, (tick) => Effect.sync(() => void seen.push(tick)))
    // one that was interrupted is not waited for
    yield* Fiber.interrupt(yield* begin(read))
    const runs = [yield* begin(read), yield* begin(read)]
    yield* Fiber.interrupt(yield* begin(read))
    yield* result(yield* begin(tally.rpc.Burst({ count: 3 })))
    yield* result(yield* begin(tally.rpc.Burst({ count: 1 })))
    assert.deepStrictEqual(seen.slice().sort(), [1, 1, 2, 3])
    yield* Scope.close(scope, Exit.void)
    for (const run of runs) assert.isFalse(yield* isRunning(run))
  }))

it.scoped("who subscribes and leaves again and again says so once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const said: Array<string> = []
    yield* world.network.onMessage(({ frames }) => {
      for (const frame of frames) {
        if (frame._tag === "Message" && frame.payload._tag.includes("ubscribe")) said.push(frame.payload._tag)
      }
    })
    const comeAndGo = Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* begin(Scope.extend(tally.events("added"), scope))
      yield* Scope.close(scope, Exit.void)
    })
    yield* client.pause
    for (let i = 0; i < 20; i++) yield* comeAndGo
    yield* client.resume
    yield* pass("1 second")
    assert.deepStrictEqual(said, ["Subscribe", "Subscribed", "Unsubscribe"])
    // behind a turn that goes on, likewise; and who stays has what comes after its subscription
    said.length = 0
    const held = yield* begin(tally.rpc.Hold({ label: "held", gate: "gate" }))
    for (let i = 0; i < 20; i++) yield* comeAndGo
    const subscribing = yield* begin(tally.events("added"))
    assert.deepStrictEqual(said, ["Subscribe"])
    yield* world.trace.open("gate")
    yield* result(held)
    const added = yield* collect(yield* result(subscribing))
    yield* result(yield* begin(tally.rpc.Add({ label: "x" })))
    assert.deepStrictEqual(said, ["Subscribe", "Subscribed"])
    assert.deepStrictEqual(added.map((event) => "label" in event ? event.label : event._tag), ["x"])
  }))

it.scoped("subscriptionsMax counts what will be subscribed to, in order", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { subscriptionsMax: 1 } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    const scope = yield* Scope.make()
    yield* result(yield* begin(Effect.asVoid(Scope.extend(tally.events("added"), scope))))
    const held = yield* begin(tally.rpc.Hold({ label: "held", gate: "gate" }))
    const refused = yield* begin(tally.events("blob"))
    yield* Scope.close(scope, Exit.void)
    const taken = yield* begin(tally.events("tick"))
    yield* world.trace.open("gate")
    yield* result(held)
    assert.instanceOf(yield* failure(refused), ConnectionError.CallRejected)
    assert.isFalse(yield* isRunning(taken))
  }))

it.scoped("subscriptionsMax counts what a connection is opened with, in order", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { subscriptionsMax: 1 } })
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", { ...options, events: ["added", "tick"] })
    const added = yield* collect(yield* tally.events("added"))
    assert.instanceOf(yield* Effect.flip(tally.events("tick")), ConnectionError.CallRejected)
    yield* result(yield* begin(tally.rpc.Add({ label: "x" })))
    assert.lengthOf(added, 1)
  }))

it.scoped("subscriptions that wait for their turn have a bound", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    // of each of its three events a client may end a subscription and begin another before it hears of either
    for (const count of [6, 7]) {
      const raw = yield* world.rawLink
      yield* raw.say(RawClient.hello)
      yield* raw.say(RawClient.open(Tally, `${count}`, options))
      const said = [Frame.encodeRequest(1, "Hold", { label: "held", gate: `${count}` })]
      for (let i = 0; i < count; i++) {
        said.push(Frame.encodeSubscription(i % 2 === 0 ? "Subscribe" : "Unsubscribe", "added"))
      }
      yield* raw.send(...said.map((text, i) => Frame.encodeMessage(1, i + 1, text)))
      const [close] = raw.of("Close")
      assert.strictEqual(close?.reason._tag, count > 6 ? "ProtocolViolation" : undefined)
      yield* world.trace.open(`${count}`)
      yield* settle
      const answers = raw.of("Message").filter(({ payload }) => payload._tag === "Subscribed")
      assert.lengthOf(answers, count > 6 ? 0 : 3)
    }
  }))

it.scoped("what a client says that it will send again has a bound", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    for (const count of [4096, 4097]) {
      const raw = yield* world.rawLink
      yield* raw.say(RawClient.hello)
      const pending = Array.from({ length: count }, (_, i) => i + 1)
      // the link has to be proven first: before it is, no message may be so long
      yield* raw.say(RawClient.open(Tally, "a", options))
      yield* raw.say(RawClient.open(Tally, "b", { ...options, channel: 2, session: "b".repeat(32), pending } as never))
      assert.deepStrictEqual(
        raw.of("Refused").map(({ reason }) => reason._tag),
        count > 4096 ? ["ProtocolViolation"] : []
      )
    }
  }))
