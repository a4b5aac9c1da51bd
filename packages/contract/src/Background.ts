/** What runs fibers for as long as something lives, and not for whoever asked for it. For Troupe's own packages. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type * as Scope from "effect/Scope"

/**
 * The services and `FiberRef`s of whoever asks. Its fibers can be interrupted, also if that is in a region where nothing
 * can: otherwise what lives there would wait for them at its end, for ever.
 */
export const runtime: Effect.Effect<Runtime.Runtime<never>> = Effect.map(
  Effect.runtime<never>(),
  Runtime.enableRuntimeFlag(RuntimeFlags.Interruption)
)

/** Runs an effect in a fiber of its own. */
export type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>

/**
 * Forks fibers that are interrupted, and waited for, at the end of the scope: before what was added to it earlier, and after
 * what was added later. A scope for each, which is what a runtime can do, takes longer than most of them.
 */
export const fork: Effect.Effect<Fork, never, Scope.Scope> = Effect.zipWith(
  FiberSet.make<any, any>(),
  runtime,
  (fibers, runtime) => {
    const run = Runtime.runFork(runtime)
    return (effect) => {
      const fiber = run(effect)
      FiberSet.unsafeAdd(fibers, fiber)
      return fiber
    }
  }
)
