/** The lives of a host, one after another. */
import { ActorHost } from "@troupe/contract/ActorHost"
import { Flush } from "@troupe/contract/Flush"
import { ActorStore } from "@troupe/server/ActorStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
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

  private constructor(
    private readonly layer: Layer.Layer<ActorHost, E, R>,
    private readonly outside: Context.Context<R>,
    private readonly world: World
  ) {}

  /** A process that is not running yet. What the layer needs is taken from here; the rest of it is the process. */
  static make<E, R>(
    layer: Layer.Layer<ActorHost, E, R>
  ): Effect.Effect<Process<E, R>, never, R | ActorStore | MemoryNetwork | Scope.Scope> {
    return Effect.gen(function*() {
      const process = new Process(layer, yield* Effect.context<R>(), {
        runtime: yield* Effect.runtime<never>(),
        scheduler: yield* Effect.withFiberRuntime<Scheduler>((fiber) => Effect.succeed(fiber.currentScheduler)),
        clock: yield* Effect.clock,
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
    return life.run(Effect.provide(Layer.buildWithScope(this.layer, life.scope), services)).pipe(
      Effect.map((context) => {
        this.host = Context.get(context, ActorHost)
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
