/** Time in tests: everything that is due happens at its time, with all that follows from it. */
import { assert, it } from "@effect/vitest"
import { TestTime } from "@troupe/testing"
import { Clock, Effect, Queue } from "effect"

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
