/**
 * One life of a host: what a process is. Everything in it runs on a scheduler of its own, and reaches the store, the
 * network and the clock through it. When it is killed the scheduler runs nothing more, as if the process were gone: no
 * fiber goes on, no finalizer runs, nothing is sent or stored.
 */
import type { ConnectRequest } from "@troupe/contract/Behavior"
import { Flush } from "@troupe/contract/Flush"
import * as Link from "@troupe/contract/Link"
import { ActorStore } from "@troupe/server/ActorStore"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import type * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { MemoryNetwork } from "../MemoryTransport.ts"

/** What is around a process, and stays when it is gone. */
export interface World {
  /** Runs what belongs to the world. */
  readonly runtime: Runtime.Runtime<never>
  readonly scheduler: Scheduler.Scheduler
  readonly clock: Clock.Clock
  /** Runs a task when so much time has passed, and never at once. Returns what cancels it. */
  readonly after: (duration: Duration.Duration, task: () => void) => () => void
  readonly flush: Flush["Type"]
  readonly store: ActorStore["Type"]
  readonly network: MemoryNetwork["Type"]
}

type Accept = (link: Link.Link, request: ConnectRequest) => Link.LinkHandler

export class Life {
  /** Closed when the process ends in good order. */
  readonly scope = Effect.runSync(Scope.make())
  private over = false
  /** What listens for it. */
  private readonly ears = Effect.runSync(Scope.make())
  private readonly links = new Set<Link.Link>()
  /** What it has asked of the world, and waits for. */
  private readonly asked = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  /** Cancels what it waits for to become of the time. */
  private readonly timers = new Set<() => void>()
  /** Who waits for something in it. */
  private readonly waiting = new Set<() => void>()

  constructor(private readonly world: World) {}

  // --- from outside --------------------------------------------------------------------------------------------------

  /** Runs an effect in it, with what the calling fiber has. A defect if the process is gone before it has ended. */
  enter<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.forkDaemon(restore(this.inside(effect))),
        (fiber) =>
          Effect.onInterrupt(restore(this.endOf(fiber)), () => {
            fiber.unsafeInterruptAsFork(FiberId.none)
            return Effect.exit(this.endOf(fiber))
          })
      )
    )
  }

  /** Runs an effect in it as a process does from its beginning: with what the world has. */
  run<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => this.endOf(Runtime.runFork(this.world.runtime)(this.inside(effect))))
  }

  private inside<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return effect.pipe(Effect.withClock(this.clock), Effect.withScheduler(this.scheduler))
  }

  /** Whoever waits for a fiber that does not run any more has to be told. */
  private endOf<A, E>(fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<A, E> {
    return Effect.async((resume) => {
      const crashed = () => resume(Effect.dieMessage("the host has crashed"))
      if (this.over) return crashed()
      this.waiting.add(crashed)
      fiber.addObserver((exit) => {
        this.waiting.delete(crashed)
        resume(exit)
      })
      return Effect.sync(() => this.waiting.delete(crashed))
    })
  }

  /** Ends it from one moment to the next. What it has asked of the world and not got is withdrawn. */
  readonly kill: Effect.Effect<void> = Effect.suspend(() => {
    if (this.over) return Effect.void
    this.over = true
    Effect.runSync(Scope.close(this.ears, Exit.void))
    for (const link of this.links) link.close(Link.codeAbnormal, "the host has crashed")
    for (const cancel of this.timers) cancel()
    for (const fiber of this.asked) fiber.unsafeInterruptAsFork(FiberId.none)
    for (const crashed of this.waiting) crashed()
    return Effect.asVoid(Fiber.awaitAll(this.asked))
  })

  // --- from inside ---------------------------------------------------------------------------------------------------

  private readonly scheduler: Scheduler.Scheduler = {
    shouldYield: (fiber) => this.over ? 0 : this.world.scheduler.shouldYield(fiber),
    scheduleTask: (task, priority, fiber) => {
      if (!this.over) this.world.scheduler.scheduleTask(this.alive(task), priority, fiber)
    }
  }

  /** A task that is not begun any more when it is over. */
  private alive(task: () => void): () => void {
    return () => {
      if (!this.over) task()
    }
  }

  /**
   * Asks for something that the world does. It is no fiber of the process that does it, so that a process that is killed
   * leaves no lock of the world's behind.
   */
  private ask<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.async((resume) => {
      if (this.over) return
      const fiber = Runtime.runFork(this.world.runtime)(effect)
      this.asked.add(fiber)
      fiber.addObserver((exit) => {
        this.asked.delete(fiber)
        resume(exit)
      })
      return Fiber.interrupt(fiber)
    })
  }

  private get clock(): Clock.Clock {
    const { clock } = this.world
    return {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanos: clock.currentTimeNanos,
      sleep: (duration) => this.sleep(duration)
    }
  }

  private sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (this.over) return
      const cancel = this.world.after(duration, () => {
        this.timers.delete(cancel)
        resume(Effect.void)
      })
      this.timers.add(cancel)
      return Effect.sync(() => {
        this.timers.delete(cancel)
        cancel()
      })
    })
  }

  private get store(): ActorStore["Type"] {
    const { store } = this.world
    return {
      retentionMillis: store.retentionMillis,
      nextEpoch: this.ask(store.nextEpoch),
      claim: (address) => this.ask(store.claim(address)),
      replies: (address) => this.ask(store.replies(address)),
      alarms: (query) => this.ask(store.alarms(query)),
      commit: (batch) => this.ask(store.commit(batch))
    }
  }

  /** Takes links, and gives them up when it is over. */
  private readonly accept = (accept: Accept): Accept => (link, request) => {
    const handler = accept({
      ...link,
      send: (text) => this.alive(() => link.send(text))(),
      close: (code, reason) => this.alive(() => link.close(code, reason))()
    }, request)
    this.links.add(link)
    return {
      onMessage: (text) => this.alive(() => handler.onMessage(text))(),
      onClose: (event) => {
        this.links.delete(link)
        this.alive(() => handler.onClose(event))()
      }
    }
  }

  private get network(): MemoryNetwork["Type"] {
    const { network, runtime } = this.world
    return {
      ...network,
      listen: (accept, at) =>
        Effect.acquireRelease(
          // by the world, because it is the world that has to end it when nothing runs here any more
          Effect.sync(() => Runtime.runSync(runtime)(Scope.extend(network.listen(this.accept(accept), at), this.ears))),
          () => Scope.close(this.ears, Exit.void)
        )
    }
  }

  /** The services it finds instead of the world's. */
  get services(): Context.Context<ActorStore | MemoryNetwork> {
    const { flush } = this.world
    const whileAlive = (schedule: (task: () => void) => void) => (task: () => void) => {
      if (!this.over) schedule(this.alive(task))
    }
    return Context.make(ActorStore, this.store).pipe(
      Context.add(MemoryNetwork, this.network),
      Context.add(Flush, { schedule: whileAlive(flush.schedule), later: whileAlive(flush.later) })
    ) as Context.Context<ActorStore | MemoryNetwork>
  }
}
