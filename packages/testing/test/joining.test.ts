/**
 * A client that opens a second connection for its session while the first still lives, as after a link that only one side
 * knows to be dead. What it asks for again joins what is there: queued, running, on its way into the store, or recorded.
 */
import { assert, it } from "@effect/vitest"
import { Address } from "@troupe/contract"
import { TestStore } from "@troupe/testing"
import { Effect, Ref } from "effect"
import { append, type LabRoom, Probe, run, settle } from "./support/lab.ts"
import { hello, type Json, open, rawLink, request } from "./support/raw.ts"

type RawLink = Effect.Effect.Success<typeof rawLink>

const params = { name: "ann" }

/** The answers in what was heard: the number of the call, and the value. */
const answers = (heard: ReadonlyArray<Json>) =>
  heard.flatMap(({ _tag, payload }) => {
    if (_tag !== "Message") return []
    const { exit, requestId } = payload as { readonly requestId: string; readonly exit: Json }
    return [[Number(requestId), exit.value]]
  })

const closed = (heard: ReadonlyArray<Json>) =>
  heard.flatMap(({ _tag, reason }) => _tag === "Close" ? [(reason as Json)._tag] : [])

const isOpened = ({ heard }: RawLink) => heard.some(({ _tag }) => _tag === "Opened")

/** Opens a connection of the session on a link of its own, which asks for calls again once it stands. */
const reopen = (pending: ReadonlyArray<number>) =>
  Effect.tap(rawLink, (link) => link.say(hello, open(params, "main", pending)))

/** Notes that it runs, waits for a gate, and appends an item. */
const slow = (probe: typeof Probe.Service, name: string) => (room: LabRoom) =>
  probe.note(`${name} runs`).pipe(
    Effect.zipRight(probe.wait(name)),
    Effect.onInterrupt(() => probe.note(`${name} interrupted`)),
    Effect.zipRight(append(room, name)),
    Effect.as(name)
  )

/** Another client appends an item, and has its answer. */
const appendAs = (session: string) =>
  Effect.gen(function*() {
    const link = yield* rawLink
    yield* link.say(hello, { ...open({ name: session }), session })
    yield* link.say(request(1, "Append", { item: session }))
    yield* link.say({ _tag: "Ack", channel: 1, received: 1 })
  })

/** What the actor has, and what was interrupted. */
const outcome = Effect.gen(function*() {
  const probe = yield* Probe
  const link = yield* rawLink
  const session = "f".repeat(32)
  yield* link.say(hello, { ...open({ name: "reader" }), session })
  const heard = yield* link.say(request(1, "Items"))
  return { items: answers(heard)[0]?.[1], interrupted: probe.notes.filter((note) => note.endsWith("interrupted")) }
})

it.effect("C14 a call that runs, and one that is queued behind it, are joined by the newer connection", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    let old = yield* reopen([])
    let seq = 1
    const expected: Array<string> = []
    for (const round of [1, 2]) {
      const [runs, waits] = [2 * round - 1, 2 * round]
      const [name, item] = [`run ${round}`, `append ${round}`]
      probe.scripts[name] = slow(probe, name)
      yield* old.say(request(seq, "Run", { script: name }, runs), request(seq + 1, "Append", { item }, waits))
      assert.strictEqual(probe.count(`${name} runs`), 1)
      // twice, so that the second is overtaken before it stands
      const overtaken = yield* reopen([runs, waits])
      const next = yield* reopen([runs, waits])
      assert.deepStrictEqual(closed(old.heard), ["Superseded"])
      // the older connection cannot bring in anything any more, and hears nothing
      yield* old.say(request(seq + 2, "Append", { item: "from the older one" }, waits + 1))
      assert.deepStrictEqual([isOpened(overtaken), isOpened(next)], [false, false])
      yield* probe.open(name)
      yield* settle
      assert.deepStrictEqual([isOpened(overtaken), isOpened(next)], [false, true])
      yield* next.say(request(1, "Run", { script: name }, runs), request(2, "Append", { item }, waits))
      expected.push(name, item)
      assert.deepStrictEqual(answers(next.heard), [[runs, name], [waits, 2 * round]])
      assert.strictEqual(probe.count(`${name} runs`), 1)
      assert.deepStrictEqual(answers(old.heard).slice(2 * round - 2), [])
      assert.deepStrictEqual(yield* outcome, { items: expected, interrupted: [] })
      old = next
      seq = 3
    }
  })))

it.effect("C14 a call that runs is joined once more by each newer connection, and answered to the newest only", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.scripts.wait = (room) =>
      probe.note("wait runs").pipe(
        Effect.zipRight(probe.wait("wait")),
        Effect.zipRight(append(room, "wait")),
        Effect.as("wait")
      )
    const links = [yield* reopen([])]
    yield* links[0]!.say(request(1, "Run", { script: "wait" }))
    for (const _ of [1, 2, 3]) links.push(yield* reopen([1]))
    yield* probe.open("wait")
    yield* settle
    for (const link of links) yield* link.say(request(1, "Run", { script: "wait" }))
    assert.deepStrictEqual(links.map(({ heard }) => answers(heard)), [[], [], [], [[1, "wait"]]])
    assert.strictEqual(probe.count("wait runs"), 1)
    assert.deepStrictEqual(yield* outcome, { items: ["wait"], interrupted: [] })
  })))

it.effect("C14 a call whose commit is on its way is joined by the newer connection, and answered after it", () =>
  run(Effect.gen(function*() {
    const control = yield* TestStore.TestStore
    let old = yield* reopen([])
    let seq = 1
    for (const round of [1, 2]) {
      const item = `item ${round}`
      yield* control.hold
      yield* old.say(request(seq, "Append", { item }, round))
      yield* control.waiting
      const next = yield* reopen([round])
      assert.deepStrictEqual([closed(old.heard), isOpened(next)], [["Superseded"], false])
      yield* control.release
      yield* settle
      assert.isTrue(isOpened(next))
      // the newer connection was there when the commit was done: the answer is its own, and is not given twice
      yield* next.say(request(1, "Append", { item }, round))
      assert.deepStrictEqual(answers(next.heard), [[round, round]])
      assert.deepStrictEqual(answers(old.heard).filter(([number]) => number === round), [])
      const { items } = yield* outcome
      assert.deepStrictEqual(items, Array.from({ length: round }, (_, i) => `item ${i + 1}`))
      old = next
      seq = 2
    }
  })))

it.effect("C14 a call that is recorded is answered again to the newer connection, also when its turn changed nothing", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    let runs = 0
    probe.scripts.read = (room) => Effect.map(Ref.get(room.state), ({ items }) => `${++runs}: ${items.length}`)
    let old = yield* reopen([])
    let seq = 1
    for (const round of [1, 2]) {
      const [appends, reads] = [2 * round - 1, 2 * round]
      const item = `item ${round}`
      const calls = (seq: number) => [
        request(seq, "Append", { item }, appends),
        request(seq + 1, "Run", { script: "read" }, reads)
      ]
      // answered, but the client has not heard it: nothing is acknowledged
      const first = answers(yield* old.say(...calls(seq)))
      assert.deepStrictEqual(first, [[appends, round], [reads, `${round}: ${round}`]])
      const next = yield* reopen([appends, reads])
      assert.deepStrictEqual(closed(old.heard), ["Superseded"])
      assert.deepStrictEqual(answers(yield* next.say(...calls(1))), first)
      const { items } = yield* outcome
      assert.deepStrictEqual(items, Array.from({ length: round }, (_, i) => `item ${i + 1}`))
      old = next
      seq = 3
    }
  })))

it.effect("C14 T7 an answer that nobody asks for any more takes no other of its commit from the store", () =>
  run(Effect.gen(function*() {
    const { hold, release, store, waiting } = yield* TestStore.TestStore
    const stored = Effect.map(
      store.replies(Address.make("Lab", "main")),
      (segments) => segments.flatMap(({ replies }) => replies.map(({ call }) => call))
    )
    let old = yield* reopen([])
    let seq = 1
    for (const round of [1, 2]) {
      const [before, kept, after] = [3 * round - 2, 3 * round - 1, 3 * round]
      yield* hold
      yield* old.say(...[before, kept, after].map((call, i) => request(seq + i, "Append", { item: `${call}` }, call)))
      yield* waiting
      const next = yield* reopen([kept])
      yield* release
      yield* settle
      // the next commit deletes what is not needed any more
      yield* next.say(request(1, "Append", { item: `${kept}` }, kept))
      yield* appendAs(`${round}`.repeat(32))
      assert.deepStrictEqual(answers(next.heard), [[kept, 5 * round - 3]])
      assert.include(yield* stored, kept)
      yield* next.say({ _tag: "Ack", channel: 1, received: 1 })
      yield* appendAs(`${round + 2}`.repeat(32))
      assert.notInclude(yield* stored, kept)
      old = next
      seq = 2
    }
  })))

it.effect("C14 what the newer connection does not ask for again is interrupted, and its number cannot run beside it", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    let old = yield* reopen([])
    for (const round of [1, 2]) {
      const name = `run ${round}`
      probe.scripts[name] = slow(probe, name)
      yield* old.say(request(1, "Run", { script: name }, round), request(2, "Append", { item: name }, round + 10))
      const next = yield* reopen([])
      yield* settle
      assert.isTrue(isOpened(next))
      assert.strictEqual(probe.count(`${name} interrupted`), 1)
      yield* old.say(request(3, "Run", { script: name }, round))
      assert.strictEqual(probe.count(`${name} runs`), 1)
      assert.deepStrictEqual((yield* outcome).items, [])
      old = next
    }
  })))
