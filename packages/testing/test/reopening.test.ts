/**
 * A session that opens a connection while its old one still lives, as after a link that has gone silent: what is known of
 * its calls is joined, and runs no second time. The frames are written by hand.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestStore } from "@troupe/testing"
import { Effect, Ref } from "effect"
import { append, type Options, pass, Probe, run, settle } from "./support/lab.ts"
import { hello, type Json, open, rawLink, request } from "./support/raw.ts"

const params = { name: "ann" }

/** The answer in a frame, if there is one. */
const answerIn = ({ payload }: Json) => {
  const { _tag, exit, requestId } = (payload ?? {}) as Json
  return _tag === "Exit" ? [`${requestId}: ${(exit as Json).value}`] : []
}

/** One connection of the session, on a link of its own. */
const connection = Effect.gen(function*() {
  const { heard, say } = yield* rawLink
  yield* say(hello)
  let seq = 0
  return {
    open: (pending: ReadonlyArray<number>) => say(open(params, "main", pending)),
    /** Sends calls, for the first time or again: call `n` runs the script `n`. */
    call: (...calls: ReadonlyArray<number>) =>
      say(...calls.map((call) => request(++seq, "Run", { script: `${call}` }, call))),
    ping: say({ _tag: "Ping" }),
    interrupt: (call: number) =>
      say({ _tag: "Message", channel: 1, seq: ++seq, payload: { _tag: "Interrupt", requestId: String(call) } }),
    /** Says that all that was heard has arrived. */
    acknowledge: Effect.suspend(() => {
      const received = heard.filter(({ _tag }) => _tag === "Message").length
      return say({ _tag: "Ack", channel: 1, received })
    }),
    /** The answers that have arrived, by call: what was answered on an older connection comes when it is asked for. */
    answers: () => heard.flatMap(answerIn).sort((a, b) => parseInt(a) - parseInt(b)),
    has: (tag: string) => heard.some(({ _tag }) => _tag === tag),
    /** Why it was refused or has ended. */
    reason: () => heard.flatMap(({ reason }) => reason ? [(reason as { _tag: string })._tag] : [])[0]
  }
})

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

/** Call `n` says that it runs, waits for the gate `n`, appends, and answers with its place. */
const setScripts = (count: number) =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    // a test that fails must not wait for what it has held up
    yield* Effect.addFinalizer(() =>
      Effect.zipRight(control.release, Effect.forEach(numbers(count), (call) => probe.open(`${call}`)))
    )
    for (const call of numbers(count)) {
      probe.scripts[call] = (room) =>
        probe.note(`run ${call}`).pipe(
          Effect.zipRight(probe.wait(`${call}`)),
          Effect.onInterrupt(() => probe.note(`interrupted ${call}`)),
          Effect.zipRight(append(room, `${call}`)),
          Effect.map(({ items }) => `place ${items.length}`)
        )
    }
    return {
      runs: () => numbers(count).map((call) => probe.count(`run ${call}`)),
      openGates: (...calls: ReadonlyArray<number>) =>
        Effect.zipRight(Effect.forEach(calls, (call) => probe.open(`${call}`)), settle)
    }
  })

const answersTo = (count: number) => numbers(count).map((call) => `${call}: place ${call}`)

/** How far the calls are when the new connection sends them again. */
type Moment = "running" | "committing"

const reopen = (moment: Moment, options: Options) =>
  run(
    Effect.gen(function*() {
      const control = yield* TestStore.TestStore
      const calls = numbers(12)
      const { openGates, runs } = yield* setScripts(calls.length)
      let old = yield* connection
      yield* old.open([])
      yield* old.call(...calls)
      for (const round of [1, 2]) {
        // the first of these is running, the others are queued
        const first = (round - 1) * 4 + 1
        assert.deepStrictEqual(runs(), calls.map((call) => call <= first ? 1 : 0))
        const answered = old.answers()
        const next = yield* connection
        yield* next.open(calls)
        assert.strictEqual(old.reason(), "Superseded")
        assert.isFalse(next.has("Opened"), "it waits for its turn")
        // the hooks of the two connections and the calls take turns
        yield* openGates(first, first + 1, first + 2)
        assert.isTrue(next.has("Opened"))
        if (moment === "committing") {
          yield* control.hold
          yield* openGates(first + 3)
          yield* control.waiting
        }
        // now some are answered, the next one is running or committing, and the others are queued or running
        yield* next.call(...calls)
        assert.deepStrictEqual(next.answers(), answersTo(first + 2))
        const begun = moment === "committing" ? first + 4 : first + 3
        assert.deepStrictEqual(runs(), calls.map((call) => call <= begun ? 1 : 0))
        yield* control.release
        yield* openGates(first + 3)
        assert.deepStrictEqual(next.answers(), answersTo(first + 3))
        // the old link still stands: nothing is told on it, and nothing it says has an effect
        yield* old.interrupt(first + 4)
        yield* old.call(1, calls.length + 1)
        assert.deepStrictEqual(old.answers(), answered)
        old = next
      }
      yield* openGates(...calls)
      // each once, in order, and each is answered once, with the place it has
      assert.deepStrictEqual(runs(), calls.map(() => 1))
      assert.deepStrictEqual(old.answers(), answersTo(calls.length))
      const { notes } = yield* Probe
      assert.deepStrictEqual(notes.filter((note) => note.startsWith("interrupted")), [])
      const recorded = control.asked.flatMap(({ replies }) => replies.map(({ call }) => call))
      assert.deepStrictEqual(recorded, options.durability === "memory" ? [] : calls)
      const last = yield* connection
      yield* last.open(calls)
      yield* last.call(...calls)
      assert.deepStrictEqual(last.answers(), answersTo(calls.length), "all of them are known still")
      assert.deepStrictEqual(runs(), calls.map(() => 1))
    }),
    options
  )

describe("C14 opening anew while the old connection still lives joins what is known of the calls", () => {
  it.effect("C14 what is queued, running and answered", () => reopen("running", {}))
  it.effect("C14 what is committing", () => reopen("committing", {}))
  it.effect("C14 what is kept in memory only", () => reopen("running", { durability: "memory" }))
})

it.effect("C14 of two connections that a session opens at the same time the newer one stands, and each call runs once", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const calls = numbers(10)
    const { openGates, runs } = yield* setScripts(calls.length)
    let old = yield* connection
    yield* old.open([])
    yield* old.call(...calls)
    for (const round of [1, 2]) {
      probe.hooks.onBeforeConnect = () => Effect.as(probe.wait(`door ${round}`), { name: "ann", visits: 0 })
      const older = yield* connection
      yield* older.open(calls)
      const newer = yield* connection
      yield* newer.open(calls)
      assert.isUndefined(old.reason(), "the old one serves its client until another may stand")
      const first = (round - 1) * 4 + 1
      yield* openGates(first)
      assert.deepStrictEqual(old.answers().at(-1), answersTo(first).at(-1))
      yield* probe.open(`door ${round}`)
      yield* settle
      yield* openGates(first + 1, first + 2, first + 3)
      assert.strictEqual(older.reason(), "Superseded")
      assert.isFalse(older.has("Opened"))
      assert.strictEqual(old.reason(), "Superseded")
      assert.isTrue(newer.has("Opened"))
      yield* newer.call(...calls)
      old = newer
    }
    yield* openGates(...calls)
    assert.deepStrictEqual(runs(), calls.map(() => 1))
    assert.deepStrictEqual(old.answers(), answersTo(calls.length))
  })))

it.effect("C14 a call that the new connection does not ask for is cut off where it stands, and its number does not run again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const control = yield* TestStore.TestStore
    const { openGates, runs } = yield* setScripts(5)
    const old = yield* connection
    yield* old.open([])
    yield* old.call(1, 2, 3, 4)
    yield* control.hold
    yield* openGates(1)
    // 1 is committing, 2 is running, 3 and 4 are queued; the client has given up all but the last
    const next = yield* connection
    yield* next.open([4])
    yield* probe.seen("interrupted 2")
    yield* openGates(4)
    yield* control.release
    yield* settle
    yield* next.call(4, 5)
    yield* openGates(5)
    assert.deepStrictEqual(runs(), [1, 1, 0, 1, 1])
    // what had ended before it was given up has taken effect
    assert.deepStrictEqual(next.answers(), ["4: place 2", "5: place 3"])
  })))

it.effect("C14 E6 a session that is opened anew gets answers that are together more than its outbox holds, and runs on when it has them", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const control = yield* TestStore.TestStore
      yield* Effect.addFinalizer(() => control.release)
      let old = yield* connection
      yield* old.open([])
      for (const round of [1, 2]) {
        const calls = [1, 2, 3].map((n) => n + 3 * (round - 1))
        const runs = () => calls.map((call) => probe.count(`run ${call}`))
        // two answers are more than the outbox holds
        for (const call of calls) {
          probe.scripts[call] = (room) =>
            probe.note(`run ${call}`).pipe(
              Effect.zipRight(append(room, `${call}`)),
              Effect.as(`${call}`.repeat(600))
            )
        }
        yield* control.hold
        yield* old.call(...calls)
        assert.deepStrictEqual(runs(), [1, 1, 0])
        const next = yield* connection
        yield* next.open(calls)
        yield* control.release
        yield* settle
        assert.isTrue(next.has("Opened"))
        yield* next.call(...calls)
        assert.deepStrictEqual(next.answers(), calls.slice(0, 2).map((call) => `${call}: ${`${call}`.repeat(600)}`))
        assert.deepStrictEqual(runs(), [1, 1, 0])
        yield* next.acknowledge
        assert.deepStrictEqual(next.answers(), calls.map((call) => `${call}: ${`${call}`.repeat(600)}`))
        assert.deepStrictEqual(runs(), [1, 1, 1])
        yield* next.acknowledge
        old = next
      }
    }),
    { host: { outboxBytesMax: 1000 } }
  ))

/** A connection is overtaken by the next one of its session while its `onConnect` runs, which then succeeds or fails. */
const overtake = (second: "succeeds" | "fails", first: "succeeds" | "fails") =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const ends = (how: string) => how === "fails" ? Effect.dieMessage("not now") : Effect.void
    let opened = 0
    probe.hooks.onConnect = () =>
      Effect.suspend(() => {
        opened++
        if (opened === 2) return ends(second)
        if (opened > 2) return Effect.void
        return Effect.acquireRelease(probe.note("acquired"), () => probe.note("released")).pipe(
          Effect.zipRight(probe.wait("hook")),
          Effect.zipRight(ends(first))
        )
      })
    probe.hooks.onDisconnect = (_, __, { _tag }) => probe.note(`left: ${_tag}`)
    const before = yield* connection
    yield* before.open([])
    const after = yield* connection
    yield* after.open([])
    yield* probe.open("hook")
    yield* settle
    assert.strictEqual(probe.count("acquired"), 1)
    assert.strictEqual(probe.count("released"), 1)
    assert.strictEqual(probe.count("left: Superseded"), first === "fails" ? 0 : 1)
    return { probe, after }
  })

describe.each(["succeeds", "fails"] as const)(
  "a connection that is overtaken while its hook runs, which %s",
  (first) => {
    it.effect("C14 the next one stands, and calls on it run once, whatever comes after it", () =>
      run(Effect.gen(function*() {
        const { after, probe } = yield* overtake("succeeds", first)
        assert.isTrue(after.has("Opened"))
        probe.scripts["1"] = (room) => Effect.as(append(room, "x"), "done")
        yield* after.call(1)
        const last = yield* connection
        yield* last.open([1])
        yield* last.call(1)
        probe.scripts["2"] = (room) => Effect.map(Ref.get(room.state), ({ items }) => items.join())
        yield* last.call(2)
        assert.deepStrictEqual(last.answers(), ["1: done", "2: x"])
      })))

    it.effect("L1 its actor stays awake for as long as the next one stands, and no longer", () =>
      run(
        Effect.gen(function*() {
          const { after, probe } = yield* overtake("succeeds", first)
          for (let i = 0; i < 6; i++) {
            yield* after.ping
            yield* pass("20 seconds")
          }
          assert.isUndefined(after.reason())
          assert.strictEqual(probe.count("sleep main"), 0)
          yield* pass("10 minutes")
          assert.strictEqual(probe.count("sleep main"), 1)
        }),
        { idleTimeout: "1 minute" }
      ))

    it.effect("L1 its actor sleeps if the next one is refused", () =>
      run(
        Effect.gen(function*() {
          const { after, probe } = yield* overtake("fails", first)
          assert.isTrue(after.has("Refused"))
          yield* pass("10 minutes")
          assert.strictEqual(probe.count("sleep main"), 1)
        }),
        { idleTimeout: "1 minute" }
      ))
  }
)
