/** What can be done to messages on their way. The network is a route, and so is each line on it. */
import * as Effect from "effect/Effect"
import type { Fate, MemoryLink } from "./MemoryLink.ts"
import type { Sent, Side } from "./Sent.ts"

/** What a dial meets: a server, a refusal, or silence. */
export type Reachability = "reachable" | "refused" | "silent"

/** What can be done to the links of one client, or to all of a network. */
export interface Controls {
  /** Cuts the links: both sides see them close without a word. What was on its way is lost. */
  readonly cut: Effect.Effect<void>
  /** Only this side sees the links close. The other finds out when it sends, or by the silence. */
  readonly cutAt: (side: Side) => Effect.Effect<void>
  /** From now on, dials meet this. Default: `reachable`. Links that stand are not touched. */
  readonly setReachability: (reachability: Reachability) => Effect.Effect<void>
  /**
   * While set, links carry nothing in either direction, and nobody is told. What is sent is lost, and a link that has lost
   * something does not recover: both sides see it close when something is sent on it later.
   */
  readonly setFrozen: (frozen: boolean) => Effect.Effect<void>
  /** While `false`, the clients of the links that stand now read nothing: what they are sent waits, and counts as buffered. */
  readonly setReading: (reading: boolean) => Effect.Effect<void>
  /** From now on what is sent waits on its way, in order. */
  readonly hold: Effect.Effect<void>
  /** Delivers what has waited, and all that follows. */
  readonly release: Effect.Effect<void>
  /**
   * Called for each message before it is delivered; decides what becomes of it. If it throws, as with an assertion in it, the
   * message is delivered, and whatever runs with the network dies of that in the end: a test fails.
   */
  readonly onMessage: (tap: (sent: Sent) => Fate) => Effect.Effect<void>
  /** Called by clients as if the browser had come online. */
  readonly opportunity: Effect.Effect<void>
  /** How many dials there have been. */
  readonly dials: Effect.Effect<number>
  /** How many links stand, for both of their sides. */
  readonly links: Effect.Effect<number>
}

export class Route {
  readonly links = new Set<MemoryLink>()
  readonly opportunities = new Set<() => void>()
  reachability: Reachability = "reachable"
  frozen = false
  held = false
  dials = 0
  tap: (sent: Sent) => Fate = () => {}

  readonly controls: Controls = {
    cut: Effect.sync(() => this.links.forEach((link) => link.cut())),
    cutAt: (side) => Effect.sync(() => this.links.forEach((link) => link.cutAt(side))),
    setReachability: (reachability) => Effect.sync(() => void (this.reachability = reachability)),
    setFrozen: (frozen) => Effect.sync(() => void (this.frozen = frozen)),
    setReading: (reading) => Effect.sync(() => this.links.forEach((link) => link.setClientReading(reading))),
    hold: Effect.sync(() => void (this.held = true)),
    release: Effect.sync(() => {
      this.held = false
      this.links.forEach((link) => link.release())
    }),
    onMessage: (tap) => Effect.sync(() => void (this.tap = tap)),
    opportunity: Effect.sync(() => this.opportunities.forEach((listener) => listener())),
    dials: Effect.sync(() => this.dials),
    links: Effect.sync(() => Array.from(this.links).filter((link) => link.stands).length)
  }
}
