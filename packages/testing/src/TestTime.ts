/**
 * Time in tests. Under `TestClock` nothing that waits for a time goes on by itself, but messages, commits and fibers still
 * need their ticks of the event loop: `settle` gives them all they can use, and `pass` lets time go by in between.
 */
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"

/** A turn of the event loop, after all microtasks. Browsers have no `setImmediate`. */
const later: (task: () => void) => void = (globalThis as { readonly setImmediate?: (task: () => void) => void })
  .setImmediate ?? ((task) => void setTimeout(task, 0))

/** How many turns it takes. A message, its turn, its commit and its answer are microtasks, and need one altogether. */
const turns = 5

/**
 * Lets everything happen that can happen without time passing: fibers run up to where they wait, messages arrive, commits
 * are made, and so does what follows from them. It does not wait for files, sockets or threads.
 */
export const settle: Effect.Effect<void> = Effect.repeatN(
  Effect.async<void>((resume) => later(() => resume(Effect.void))),
  turns - 1
)

/**
 * Lets time go by under `TestClock`, from one thing that is due to the next, and everything happen at its time: a message
 * that is sent after a second arrives after a second. `TestClock.adjust` alone is at the end before it has arrived.
 */
export const pass = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.zipRight(settle, passUntil(now + Duration.toMillis(duration)))
  )

const passUntil = (end: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    const due = Chunk.toReadonlyArray(yield* TestClock.sleeps()).filter((time) => time < end)
    yield* TestClock.setTime(due.length === 0 ? end : Math.min(...due))
    yield* settle
    if (due.length > 0) yield* passUntil(end)
  })
