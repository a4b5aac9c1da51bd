/** Waits for conditions of real sockets, processes and threads. */
import { type Duration, Effect, Schedule } from "effect"

/** Waits until a condition holds; a defect if it does not within a minute, or what is given. Needs the live clock. */
export const until = (
  condition: () => boolean | Promise<boolean>,
  what = condition.toString(),
  duration: Duration.DurationInput = "1 minute"
): Effect.Effect<void> =>
  Effect.promise(async () => condition()).pipe(
    Effect.flatMap((holds) => holds ? Effect.void : Effect.fail("not yet")),
    Effect.retry(Schedule.spaced("5 millis")),
    Effect.timeoutFail({ duration, onTimeout: () => new Error(`this never came true: ${what}`) }),
    Effect.orDie
  )
