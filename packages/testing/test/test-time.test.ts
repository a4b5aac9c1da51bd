/** Time in tests: everything that is due happens at its time, with all that follows from it. */
import { assert, it } from "@effect/vitest"
import { TestTime } from "@troupe/testing"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option, Queue } from "effect"

/** Something that happens elsewhere, some turns of the event loop later, as an answer does. */
const elsewhere = Effect.repeatN(Effect.promise(() => Promise.resolve()), 20)

it.scoped("what follows from something that was due happens before more time passes", () =>
  Effect.gen(function*() {
    const notes: Array<string> = []
    const note = (what: string) => Effect.map(Clock.currentTimeMillis, (now) => void notes.push(`${what} at ${now}`))
    const queue = yield* Queue.unbounded<string>()
    yield* Effect.forkScoped(Effect.forever(
      Effect.flatMap(Queue.take(queue), (what) => Effect.zipRight(elsewhere, note(`answer to ${what}`)))
    ))
    for (const seconds of [1, 2, 60]) {
      yield* Effect.forkScoped(Effect.delay(
        Effect.zipRight(note("question"), Queue.offer(queue, `${seconds}`)),
        seconds * 1000
      ))
    }
    // one that begins a wait of its own
    yield* Effect.forkScoped(Effect.delay(Effect.zipRight(elsewhere, Effect.delay(note("later"), 500)), 1200))
    yield* TestTime.pass("1 minute")
    assert.deepStrictEqual(notes, [
      "question at 1000",
      "answer to 1 at 1000",
      "later at 1700",
      "question at 2000",
      "answer to 2 at 2000",
      "question at 60000",
      "answer to 60 at 60000"
    ])
    assert.strictEqual(yield* Clock.currentTimeMillis, 60_000)
    yield* TestTime.pass(0)
    assert.strictEqual(yield* Clock.currentTimeMillis, 60_000)
  }))

for (
  const [what, effect] of [
    ["a fiber yields 100 000 times", Effect.repeatN(Effect.yieldNow(), 100_000)],
    [
      "30 fibers yield 3000 times each",
      Effect.all(Array.from({ length: 30 }, () => Effect.repeatN(Effect.yieldNow(), 3000)), {
        concurrency: "unbounded",
        discard: true
      })
    ],
    [
      "promises wait for 50 turns of the event loop",
      Effect.repeatN(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), 50)
    ],
    [
      "one leads to the other",
      Effect.repeatN(
        Effect.zipRight(
          Effect.repeatN(Effect.yieldNow(), 3000),
          Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        ),
        5
      )
    ]
  ] as const
) {
  it.effect(`settled is what has no more to do: ${what}`, () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(effect)
      yield* TestTime.settle
      assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)))
    }))
}

it.effect("what goes round for ever is not waited for", () =>
  Effect.gen(function*() {
    const endless = () => Effect.forever(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))))
    const fibers = [yield* Effect.fork(Effect.forever(Effect.yieldNow())), yield* Effect.fork(endless())]
    yield* TestTime.settle
    yield* Fiber.interruptAll(fibers)
    yield* TestTime.settle
  }))

const messageOf = (effect: Effect.Effect<unknown>) =>
  Effect.map(
    Effect.exit(effect),
    (exit) => Exit.isFailure(exit) && Cause.isDie(exit.cause) ? Cause.prettyErrors(exit.cause)[0]!.message : undefined
  )

it.live("time cannot be passed under a clock that goes by itself", () =>
  Effect.gen(function*() {
    yield* TestTime.settle
    assert.strictEqual(
      yield* messageOf(TestTime.pass("3 minutes")),
      "time passes by itself here: `TestTime.pass` needs `TestClock`"
    )
  }))

it.effect("a time without end cannot be passed", () =>
  Effect.gen(function*() {
    const message = yield* messageOf(TestTime.pass(Duration.infinity))
    assert.strictEqual(message, "the time that passes is Infinity, and must be a finite duration")
    assert.include(yield* messageOf(TestTime.pass(NaN)), "the time that passes is NaN")
  }))
