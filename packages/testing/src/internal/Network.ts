/** The network in memory: who listens where, and the lines of the clients. */
import type { ConnectRequest } from "@troupe/contract/Behavior"
import * as Link from "@troupe/contract/Link"
import { DialError, type Transport } from "@troupe/contract/Transport"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Fate, MemoryLink, type Surroundings } from "./MemoryLink.ts"
import { Route } from "./Route.ts"
import { Sent } from "./Sent.ts"

export type Accept = (link: Link.Link, request: ConnectRequest) => Link.LinkHandler

export class Network extends Route {
  private readonly listeners: Array<{ readonly accept: Accept; readonly at: string }> = []

  /** What a tap has thrown first. */
  private thrown: Effect.Effect<void> = Effect.void

  constructor(readonly schedule: (task: () => void) => void) {
    super()
  }

  /** Dies of what a tap has thrown, if one has: a message arrives in no fiber that could. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => this.thrown)

  /** What a tap decides; nothing if it throws. */
  ask(tap: (sent: Sent) => Fate, sent: Sent): Fate {
    try {
      return tap(sent)
    } catch (error) {
      if (this.thrown === Effect.void) this.thrown = Effect.die(error)
    }
  }

  listen(accept: Accept, at: string): Effect.Effect<void, never, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => {
        const listener = { accept, at }
        this.listeners.push(listener)
        return listener
      }),
      (listener) => Effect.sync(() => this.listeners.splice(this.listeners.indexOf(listener), 1))
    ))
  }

  /** Who listens there: the last who has come. */
  at(name: string): Accept | undefined {
    for (let i = this.listeners.length - 1; i >= 0; i--) {
      if (this.listeners[i]!.at === name) return this.listeners[i]!.accept
    }
    return undefined
  }
}

/** The way of one client to a server. */
export class Line extends Route implements Surroundings {
  readonly schedule: Surroundings["schedule"]

  constructor(private readonly network: Network, private readonly to: string) {
    super()
    this.schedule = network.schedule
  }

  readonly transport: Transport["Type"] = {
    dial: (handler) =>
      Effect.flatMap(this.dial(handler), (link) =>
        Effect.as(
          Effect.addFinalizer(() => Effect.sync(() => link.end({ code: Link.codeNormal, reason: "" }))),
          link.client
        )),
    onOpportunity: (listener) => {
      const routes = [this, this.network]
      return Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => routes.forEach(({ opportunities }) => opportunities.add(listener))),
        () => Effect.sync(() => routes.forEach(({ opportunities }) => opportunities.delete(listener)))
      ))
    }
  }

  private dial(handler: Link.LinkHandler): Effect.Effect<MemoryLink, DialError> {
    return Effect.suspend(() => {
      this.dials++
      this.network.dials++
      const met = [this.network.reachability, this.reachability]
      if (met.includes("silent")) return Effect.never
      const accept = this.network.at(this.to)
      if (met.includes("refused") || !accept) return new DialError({ message: "connection refused" })
      const link = new MemoryLink(this, handler, accept)
      this.links.add(link)
      this.network.links.add(link)
      return Effect.succeed(link)
    })
  }

  // --- what a link asks ----------------------------------------------------------------------------------------------

  readonly isFrozen = (): boolean => this.frozen || this.network.frozen
  readonly isHeld = (): boolean => this.held || this.network.held

  readonly fate: Surroundings["fate"] = (from, text) => {
    const sent = new Sent(from, text)
    const ofNetwork = this.network.ask(this.network.tap, sent)
    return this.network.ask(this.tap, sent) ?? ofNetwork
  }

  readonly onGone = (link: MemoryLink): void => {
    this.links.delete(link)
    this.network.links.delete(link)
  }
}
