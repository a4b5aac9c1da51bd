/** How long to wait before trying again what has failed, by the number of failures: what clients do when they dial. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

const base = Duration.toMillis("250 millis")
const cap = Duration.toMillis("30 seconds")

/** Whole milliseconds: they double from 250 up to 30 s, and vary by half, so that many do not try at the same time. */
export const millis = (failures: number): Effect.Effect<number> =>
  Effect.map(Random.next, (random) => Math.ceil(Math.min(cap, base * 2 ** Math.min(failures, 30)) * (0.5 + random / 2)))
