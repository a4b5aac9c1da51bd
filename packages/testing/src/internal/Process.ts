/** The lives of a host, one after another. */
import type { ActorHost } from "@troupe/contract/ActorHost"
import { Flush } from "@troupe/contract/Flush"
import { ActorStore } from "@troupe/server/ActorStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import type { Scheduler } from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { MemoryNetwork } from "../MemoryTransport.ts"
import { Life, type World } from "./Life.ts"

/** In real time: at the end of a test nobody lets any other pass. */
const stopMillis = 500

const waited = Effect.async<void>((resume) => {
  const timer = setTimeout(() => resume(Effect.void), stopMillis)
  return Effect.sync(() => clearTimeout(timer))
})

export class Process<E, R> {
  /** The host of the present life; undefined while it is being built. */
  host: ActorHost["Type"] | undefined
  life: Life | undefined

  /** A process that is not running yet. What is built needs services of outside; the rest of it is the process. */
  constructor(
    private readonly build: Effect.Effect<ActorHost["Type"], E, R | Scope.Scope>,
    private readonly outside: Context.Context<Exclude<R, Scope.Scope>>,
    private readonly world: World
  ) {}

  /** A process in the world of a test, which ends with its scope. */
  static inTest<E, R>(
    build: Effect.Effect<ActorHost["Type"], E, R | Scope.Scope>
  ): Effect.Effect<Process<E, R>, never, Exclude<R, Scope.Scope> | ActorStore | MemoryNetwork | Scope.Scope> {
    return Effect.gen(function*() {
      const runtime = yield* Effect.runtime<never>()
      const clock = yield* Effect.clock
      const process = new Process(build, yield* Effect.context<Exclude<R, Scope.Scope>>(), {
        runtime,
        scheduler: yield* Effect.withFiberRuntime<Scheduler>((fiber) => Effect.succeed(fiber.currentScheduler)),
        clock,
        after: (duration, task) => {
          const fiber = Runtime.runFork(runtime)(Effect.zipRight(clock.sleep(duration), Effect.sync(task)), {
            immediate: false
          })
          return () => fiber.unsafeInterruptAsFork(FiberId.none)
        },
        flush: yield* Flush,
        store: yield* ActorStore,
        network: yield* MemoryNetwork
      })
      yield* Effect.addFinalizer(() => Effect.interruptible(Effect.raceFirst(process.stop, waited)))
      return process
    })
  }

  get running(): boolean {
    return this.host !== undefined
  }

  readonly start: Effect.Effect<void, E> = Effect.suspend(() => {
    if (this.life) return Effect.dieMessage("the host is running already")
    const life = this.life = new Life(this.world)
    // what it finds instead of the world's comes last, so that it finds that
    const services = Context.merge(this.outside, life.services)
    return life.run(Effect.provide(Scope.extend(this.build, life.scope), services)).pipe(
      Effect.map((host) => {
        this.host = host
      }),
      Effect.onError(() => this.end(life))
    )
  })

  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    const { life } = this
    if (!life) return Effect.void
    return life.run(Effect.exit(Scope.close(life.scope, Exit.void))).pipe(
      // it may have been killed meanwhile
      Effect.catchAllCause(() => Effect.succeed(Exit.void)),
      Effect.flatten,
      Effect.ensuring(this.end(life))
    )
  })

  readonly crash: Effect.Effect<void> = Effect.suspend(() => this.life ? this.end(this.life) : Effect.void)

  private end(life: Life): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.life === life) this.life = this.host = undefined
      return life.kill
    })
  }
}
