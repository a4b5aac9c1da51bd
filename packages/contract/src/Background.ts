/** What runs fibers for as long as something lives, and not for whoever asked for it. For Troupe's own packages. */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"

/**
 * The services and `FiberRef`s of whoever asks. Its fibers can be interrupted, also if that is in a region where nothing
 * can: otherwise what lives there would wait for them at its end, for ever.
 */
export const runtime: Effect.Effect<Runtime.Runtime<never>> = Effect.map(
  Effect.runtime<never>(),
  Runtime.enableRuntimeFlag(RuntimeFlags.Interruption)
)
