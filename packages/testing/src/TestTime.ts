/**
 * Time in tests. Under `TestClock` nothing that waits for a time goes on by itself, but messages, commits and fibers still
 * need their ticks of the event loop: `settle` gives them all they can use, and `pass` lets time go by in between.
 */
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Checked from "./internal/Checked.ts"
import { whenIdle } from "./internal/Idle.ts"

/**
 * Lets everything happen that can happen without time passing: fibers run up to where they wait, messages arrive, commits
 * are made, and so does what follows from them, until nothing goes on any more. It does not wait for files, sockets,
 * threads, or timers of JavaScript, and not for ever: after 200 rounds, in each of which a fiber can yield 2048 times, or a
 * promise wait for five turns of the event loop, it lets what still goes round go round.
 */
export const settle: Effect.Effect<void> = Effect.async<void>((resume) => whenIdle(() => resume(Effect.void)))

/**
 * Lets time go by under `TestClock`, from one thing that is due to the next, and everything happen at its time: a message
 * that is sent after a second arrives after a second. `TestClock.adjust` alone is at the end before it has arrived. A defect
 * under any other clock, as that of `it.scopedLive`, and for a time without end.
 */
export const pass = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.clockWith((clock) => {
    if (!("sleeps" in clock)) return Effect.dieMessage("time passes by itself here: `TestTime.pass` needs `TestClock`")
    const millis = Checked.millis("the time that passes", duration)
    const end = clock.unsafeCurrentTimeMillis() + millis
    return Effect.zipRight(settle, passUntil(end))
  })

const passUntil = (end: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    const due = Chunk.toReadonlyArray(yield* TestClock.sleeps()).filter((time) => time < end)
    yield* TestClock.setTime(due.length === 0 ? end : Math.min(...due))
    yield* settle
    if (due.length > 0) yield* passUntil(end)
  })
