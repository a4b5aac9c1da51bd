/** Waiting for a condition; nothing here waits for a time. */
import { Effect } from "effect"

/** Reads again and again until what is read fits. */
export const eventually = <A, E, R>(read: Effect.Effect<A, E, R>, fits: (value: A) => boolean) => {
  const again: Effect.Effect<A, E, R> = Effect.flatMap(
    read,
    (value) => fits(value) ? Effect.succeed(value) : Effect.delay(again, "10 millis")
  )
  return Effect.timeout(again, "20 seconds")
}
