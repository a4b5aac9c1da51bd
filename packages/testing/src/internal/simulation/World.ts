/** What a simulation runs in: a time, a chance, a network and a store, and the runtime that makes Effect use them. */
import { Flush } from "@troupe/contract/Flush"
import { Secrets } from "@troupe/contract/Secrets"
import { ActorStore, type Commit, layerMemory } from "@troupe/server/ActorStore"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { MemoryNetwork } from "../../MemoryTransport.ts"
import type { World as Surroundings } from "../Life.ts"
import type { Sent } from "../Sent.ts"
import { Dice } from "./Dice.ts"
import { type Faults, none } from "./Faults.ts"
import { Logged } from "./Logged.ts"
import { SimulatedNetwork } from "./SimulatedNetwork.ts"
import { SimulatedStore } from "./SimulatedStore.ts"
import { Trace } from "./Trace.ts"
import { VirtualTime } from "./VirtualTime.ts"
import * as Who from "./Who.ts"

export interface WorldOptions {
  readonly seed: number
  readonly keepTrace: boolean
  readonly tasksMax: number
  /** A commit has been applied. */
  readonly onCommit: (commit: Commit) => void
  /** A message is handed to a link. */
  readonly onMessage: (sent: Sent) => void
}

/** The first of January 2026. */
const beginning = 1_767_225_600_000

export class World {
  readonly time: VirtualTime
  readonly dice: Dice
  readonly trace: Trace
  readonly network: SimulatedNetwork
  readonly store: ActorStore["Type"]
  readonly logged = new Logged()
  private readonly runtime: Runtime.Runtime<never>
  faults: Faults = none
  private healed = false
  /** Whoever waits for something to go wrong. */
  private readonly healing = new Set<() => void>()
  private secrets = 0

  constructor({ keepTrace, onCommit, onMessage, seed, tasksMax }: WorldOptions) {
    const time = this.time = new VirtualTime(beginning, tasksMax)
    this.dice = new Dice(seed)
    this.trace = new Trace(keepTrace, () => time.now - beginning)
    const around = { time, dice: this.dice, trace: this.trace, faults: () => this.faults }
    this.network = new SimulatedNetwork({ ...around, onMessage })
    const store = Context.get(
      Effect.runSync(Scope.extend(Layer.build(Layer.fresh(layerMemory)), Effect.runSync(Scope.make()))),
      ActorStore
    )
    this.store = new SimulatedStore({ ...around, store, onCommit }).service
    this.runtime = this.makeRuntime(seed)
  }

  private makeRuntime(seed: number): Runtime.Runtime<never> {
    const services = Context.make(Clock.Clock, this.time.clock).pipe(
      Context.add(Random.Random, Random.make(`simulation ${seed}`))
    )
    const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message }) => {
      if (LogLevel.lessThan(logLevel, LogLevel.Warning)) return
      const defect = Option.getOrUndefined(HashMap.get(annotations, "defect"))
      this.trace.add("log", this.logged.add(String(message), cause, defect))
    })
    const context = Context.make(Flush, { schedule: this.time.schedule, later: this.time.schedule }).pipe(
      Context.add(Secrets, { next: () => (++this.secrets).toString(16).padStart(32, "0") })
    ) as Context.Context<never>
    return Runtime.defaultRuntime.pipe(
      Runtime.setFiberRef(FiberRef.currentScheduler, this.time.scheduler),
      Runtime.setFiberRef(FiberRef.currentLoggers, HashSet.make(logger)),
      Runtime.setFiberRef(
        DefaultServices.currentServices,
        Context.merge(DefaultServices.liveServices, services)
      ),
      Runtime.updateContext(() => context)
    )
  }

  /** From now on nothing goes wrong any more. */
  heal(): void {
    this.trace.add("world", "heals")
    this.faults = none
    this.healed = true
    for (const heal of this.healing) heal()
  }

  /** Waits until something is to go wrong, or nothing is any more. Returns whether it is. */
  waitForFault(millis: number): Effect.Effect<boolean> {
    return Effect.async((resume) => {
      if (this.healed) return resume(Effect.succeed(false))
      const end = (fails: boolean) => () => {
        cancel()
        this.healing.delete(heal)
        resume(Effect.succeed(fails))
      }
      const heal = end(false)
      const cancel = this.time.after(millis, end(true))
      this.healing.add(heal)
    })
  }

  /** The runtime of something that it starts. */
  private runtimeOf(name: string): Runtime.Runtime<never> {
    return Runtime.setFiberRef(this.runtime, FiberRef.currentLogAnnotations, HashMap.make([Who.annotation, name]))
  }

  /** What is around a process of it. */
  aroundProcess(name: string, network: MemoryNetwork["Type"]): Surroundings {
    return {
      runtime: this.runtimeOf(name),
      scheduler: this.time.scheduler,
      clock: this.time.clock,
      after: (duration, task) => this.time.after(Duration.toMillis(duration), task),
      flush: { schedule: this.time.schedule, later: this.time.schedule },
      store: this.store,
      network
    }
  }

  /** Starts an effect, under a name. */
  begin<A, E>(name: string, effect: Effect.Effect<A, E>): Begun<A, E> {
    const fiber = Runtime.runFork(this.runtimeOf(name))(effect)
    return { exit: () => fiber.unsafePoll() }
  }

  /** Runs an effect to its end, which must not take longer. */
  finish<A>(name: string, effect: Effect.Effect<A>, millis: number): Exit.Exit<A> | null {
    const begun = this.begin(name, effect)
    this.time.run(() => begun.exit() !== null, this.time.now + millis)
    return begun.exit()
  }
}

/** An effect that has been started. */
export interface Begun<A, E> {
  /** Null while it runs. */
  readonly exit: () => Exit.Exit<A, E> | null
}
