/** What a conversation does, in memory, where time is the tests' own. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, Stream, TestClock } from "effect"
import { Busy } from "../src/contract.ts"
import * as FakeModel from "../src/server/FakeModel.ts"
import { Model, ModelError } from "../src/server/Model.ts"
import * as World from "./support/World.ts"

const question = "What survives?"
const whole = World.firstAnswer(question)

/** Lets an answer get somewhere: longer than the model thinks, shorter than it writes. */
const aWhile = TestClock.adjust("3 seconds")

it.scoped("a question is answered piece by piece, each once and in order", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    yield* world.serve
    const ada = yield* world.enter
    const { answer } = yield* ada.rpc.Ask({ text: question })
    const reader = yield* World.reader(ada, answer.id)
    assert.instanceOf(yield* Effect.flip(ada.rpc.Ask({ text: "And now?" })), Busy)
    yield* aWhile
    // many, but not one for each word: each is a commit
    assert.isAbove(reader.seen.pieces, 10)
    assert.isBelow(reader.seen.pieces, reader.seen.text.split(" ").length / 2)
    assert.isBelow(reader.seen.text.length, whole.length)
    yield* TestClock.adjust("1 minute")
    assert.strictEqual((yield* reader.ended).text, whole)
    assert.deepInclude((yield* ada.rpc.Read()).at(-1), { id: answer.id, text: whole, progress: "complete" })
    assert.deepStrictEqual(world.desk.prefixes, [0])
  }))

it.scoped("a question whose answer is lost on the way is asked once", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    yield* world.serve
    const ada = yield* world.enter
    let cut = false
    yield* world.network.onMessage(({ carries, from }) => {
      if (cut || from === "client" || !carries("Exit")) return
      cut = true
      return "cut-before"
    })
    const asking = yield* Effect.fork(ada.rpc.Ask({ text: question }))
    yield* TestClock.adjust("1 minute")
    const { answer } = yield* asking
    assert.isTrue(cut)
    assert.deepStrictEqual((yield* ada.rpc.Read()).map(({ id }) => id), [1, answer.id])
    assert.deepStrictEqual(world.desk.prefixes, [0])
  }))

it.scoped("several readers see the same, from wherever they begin", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    yield* world.serve
    const [ada, bob] = [yield* world.enter, yield* world.enter]
    const { answer } = yield* ada.rpc.Ask({ text: question })
    const first = yield* World.reader(ada, answer.id)
    yield* aWhile
    const late = yield* World.reader(bob, answer.id)
    const from = World.lastText(yield* bob.rpc.Read()).length
    const middle = yield* World.reader(bob, answer.id, { from })
    yield* TestClock.adjust("1 minute")
    assert.strictEqual((yield* first.ended).text, whole)
    assert.strictEqual((yield* late.ended).text, whole)
    assert.isAbove(from, 0)
    assert.strictEqual((yield* middle.ended).text, whole.slice(from))
    const after = yield* World.reader(bob, answer.id, { from: whole.length - 3 })
    assert.strictEqual((yield* after.ended).text, whole.slice(-3))
    assert.deepStrictEqual(world.desk.prefixes, [0])
  }))

it.scoped("each of many readers sees the end, however slow the others and the store are", () =>
  Effect.gen(function*() {
    const words = Stream.range(1, 9).pipe(Stream.rechunk(1), Stream.map((word) => `${word} `))
    const model = Layer.succeed(Model, { answer: () => Stream.tap(words, () => Effect.sleep("100 millis")) })
    const world = yield* World.make({ commit: "60 millis", model })
    yield* world.serve
    const ada = yield* world.enter
    const asking = yield* Effect.fork(ada.rpc.Ask({ text: question }))
    yield* TestClock.adjust("60 millis")
    const { answer } = yield* asking
    const pauses = [0, 0, 0, 0, 192, 223, 254, 285]
    const readers = yield* Effect.forEach(pauses, (pause) => World.reader(ada, answer.id, { pause }))
    yield* Effect.replicateEffect(TestClock.adjust("20 millis"), 200)
    for (const { ended } of readers) assert.strictEqual((yield* Effect.timeout(ended, 0)).text, "1 2 3 4 5 6 7 8 9 ")
  }))

it.scoped("an answer goes on after a restart of the server, from where it was, twice", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    const { stop } = yield* world.serve
    const ada = yield* world.enter
    const { answer } = yield* ada.rpc.Ask({ text: question })
    const reader = yield* World.reader(ada, answer.id)
    yield* aWhile
    yield* stop
    const again = yield* world.serve
    yield* World.passUntil(Effect.sync(() => world.desk.prefixes.length), (asked) => asked === 2)
    yield* aWhile
    yield* again.stop
    yield* world.serve
    yield* TestClock.adjust("2 minutes")
    assert.strictEqual((yield* reader.ended).text, whole)
    const [zero, once, twice] = world.desk.prefixes
    assert.strictEqual(zero, 0)
    assert.isAbove(once!, 0)
    assert.isAbove(twice!, once!)
    assert.strictEqual(world.desk.prefixes.length, 3)
  }))

it.scoped("an answer goes on after a crash, twice", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    let server = yield* world.serve
    const ada = yield* world.enter
    const { answer } = yield* ada.rpc.Ask({ text: question })
    const reader = yield* World.reader(ada, answer.id)
    for (const asked of [2, 3]) {
      yield* aWhile
      yield* server.crash
      server = yield* world.serve
      yield* World.passUntil(Effect.sync(() => world.desk.prefixes.length), (prefixes) => prefixes === asked)
    }
    yield* TestClock.adjust("2 minutes")
    assert.strictEqual((yield* reader.ended).text, whole)
    assert.deepInclude((yield* ada.rpc.Read()).at(-1), { text: whole, progress: "complete" })
  }))

it.scoped("a reader whose network is away, for a moment or for long, finds what was written meanwhile", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    yield* world.serve
    for (const away of ["5 seconds", "5 minutes"] as const) { // the connection waits for two
      const ada = yield* world.enter
      const { answer } = yield* ada.rpc.Ask({ text: question })
      const reader = yield* World.reader(ada, answer.id)
      yield* aWhile
      const { text } = reader.seen
      yield* world.network.setReachability("refused")
      yield* world.network.cut
      yield* TestClock.adjust(away)
      assert.strictEqual(reader.seen.text, text)
      yield* world.network.setReachability("reachable")
      yield* TestClock.adjust("1 minute")
      const all = World.lastText(yield* ada.rpc.Read())
      assert.isAbove(all.length, text.length)
      assert.strictEqual((yield* reader.ended).text, all)
    }
  }))

it.scoped("who leaves does not stop the answer, and the actor does not fall asleep over it", () =>
  Effect.gen(function*() {
    const world = yield* World.make({ model: FakeModel.layer({ thinking: "10 minutes" }) })
    yield* world.serve
    const scope = yield* Scope.make()
    const ada = yield* Scope.extend(world.enter, scope)
    const { answer } = yield* ada.rpc.Ask({ text: question })
    yield* World.reader(ada, answer.id)
    yield* Scope.close(scope, Exit.void)
    // nobody is there
    yield* TestClock.adjust("11 minutes")
    assert.deepStrictEqual(world.desk, Object.assign(new World.Desk(), { prefixes: [0], working: 0 }))
    const bob = yield* world.enter
    assert.deepInclude((yield* bob.rpc.Read()).at(-1), { id: answer.id, text: whole, progress: "complete" })
  }))

it.scoped("an answer goes on after a restart without anybody there", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    const { stop } = yield* world.serve
    const scope = yield* Scope.make()
    yield* Effect.flatMap(Scope.extend(world.enter, scope), (ada) => ada.rpc.Ask({ text: question }))
    yield* Scope.close(scope, Exit.void)
    yield* aWhile
    yield* stop
    yield* TestClock.adjust("1 hour")
    yield* world.serve
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(world.desk.prefixes.length, 2)
    assert.strictEqual(world.desk.working, 0)
    const bob = yield* world.enter
    assert.strictEqual(World.lastText(yield* bob.rpc.Read()), whole)
  }))

it.scoped("Stop ends an answer where it is and drops the model; one that comes too late stops nothing else", () =>
  Effect.gen(function*() {
    const world = yield* World.make()
    yield* world.serve
    const [ada, bob] = [yield* world.enter, yield* world.enter]
    const { answer } = yield* ada.rpc.Ask({ text: question })
    const readers = [yield* World.reader(ada, answer.id), yield* World.reader(bob, answer.id)]
    yield* aWhile
    yield* bob.rpc.Stop({ answer: answer.id })
    for (const reader of readers) {
      const { text } = yield* reader.ended
      assert.deepInclude((yield* ada.rpc.Read()).at(-1), { text, progress: "stopped" })
      assert.isBelow(text.length, whole.length)
    }
    assert.strictEqual(world.desk.working, 0)

    const next = yield* ada.rpc.Ask({ text: "Again?" })
    yield* bob.rpc.Stop({ answer: answer.id })
    yield* TestClock.adjust("1 minute")
    const messages = yield* ada.rpc.Read()
    assert.deepInclude(messages.at(-1), { id: next.answer.id, progress: "complete" })
    assert.strictEqual(World.lastText(messages), FakeModel.answerTo(messages.slice(0, -1)))
    assert.strictEqual(messages.length, 4)
  }))

/** A model that says one word each time it is asked, and then fails, until it has said so many. */
const failing = (words: number, fail: Effect.Effect<never, ModelError>) =>
  Layer.succeed(Model, {
    answer: ({ answer }) => {
      const said = answer.length / 2
      const failed = Stream.fromEffect(Effect.delay(fail, "1 second"))
      return said === words ? Stream.empty : Stream.concat(Stream.make(`${said} `), failed)
    }
  })

const unavailable = new ModelError({ reason: "503" })

it.scoped("a model that fails is asked again, and goes on behind what it has written", () =>
  Effect.gen(function*() {
    const world = yield* World.make({ model: failing(3, unavailable) })
    yield* world.serve
    const ada = yield* world.enter
    yield* ada.rpc.Ask({ text: question })
    yield* TestClock.adjust("1 minute")
    assert.deepInclude((yield* ada.rpc.Read()).at(-1), { text: "0 1 2 ", progress: "complete" })
    assert.deepStrictEqual(world.desk.prefixes, [0, 2, 4, 6])
  }))

it.scoped("an answer that cannot be written to its end has failed, and the next question is taken", () =>
  Effect.gen(function*() {
    const bugs = [Effect.fail(unavailable), Effect.dieMessage("a bug in the model")]
    for (const bug of bugs) {
      const world = yield* World.make({ model: failing(9, bug) })
      yield* world.serve
      const ada = yield* world.enter
      for (const text of ["One?", "Two?"]) {
        const { answer } = yield* ada.rpc.Ask({ text })
        const reader = yield* World.reader(ada, answer.id)
        yield* TestClock.adjust("2 minutes")
        const { text: said } = yield* reader.ended
        assert.isAbove(said.length, 0)
        assert.deepInclude((yield* ada.rpc.Read()).at(-1), { id: answer.id, text: said, progress: "failed" })
      }
    }
  }))
