/** Effects that wait for a callback. For Troupe's own packages. */
import * as Effect from "effect/Effect"

/**
 * As `Effect.async`, but for an interruption of a fiber that yields between beginning and waiting, as it does after so many
 * operations: then `Effect.async` (3.22) has begun, and has not installed yet what cancels it.
 */
export const async = <A, E = never>(
  begin: (resume: (end: Effect.Effect<A, E>) => void) => (() => void) | void
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    let cancel: (() => void) | void
    const waiting = Effect.async<A, E>((resume) => {
      cancel = begin(resume)
    })
    return Effect.onInterrupt(waiting, () => Effect.sync(() => cancel?.()))
  })
