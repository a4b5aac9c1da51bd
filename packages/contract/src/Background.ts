/** What runs fibers for as long as something lives, and not for whoever asked for it. For Troupe's own packages. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
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

/**
 * Runs an effect with all that a runtime has, services and `FiberRef`s, and nothing that the calling fiber has: in a fiber
 * of its own, which ends before it goes on.
 */
export const runIn = <R>(runtime: Runtime.Runtime<R>) => <A, E>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    Effect.sync(() => Runtime.runFork(runtime)(effect)),
    (fiber) => Effect.flatten(Fiber.await(fiber)),
    Fiber.interrupt
  )

/** Runs an effect in a fiber of its own, with what a runtime has instead of what the one has that made it. */
export type Fork = <A, E>(effect: Effect.Effect<A, E>, runtime?: Runtime.Runtime<never>) => Fiber.RuntimeFiber<A, E>

/**
 * Forks fibers that are interrupted, and waited for, at the end of the scope: before what was added to it earlier, and after
 * what was added later. A scope for each, which is what a runtime can do, takes longer than most of them.
 */
export const fork: Effect.Effect<Fork, never, Scope.Scope> = Effect.zipWith(
  FiberSet.make<any, any>(),
  runtime,
  (fibers, own) => (effect, runtime = own) => {
    const fiber = Runtime.runFork(runtime)(effect)
    FiberSet.unsafeAdd(fibers, fiber)
    return fiber
  }
)
