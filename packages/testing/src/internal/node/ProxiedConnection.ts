/** One connection through a proxy: two sockets, a flow in each direction, and what is done to them. */
import type * as Net from "node:net"
import type { Conditions, CutAfter, Direction, RandomCuts } from "./Faults.ts"
import { Flow, timerMillisMax } from "./Flow.ts"

/** What all connections of a proxy have in common. */
export interface Shared {
  readonly bufferBytesMax: number
  readonly conditions: Readonly<Record<Direction, Conditions>>
  /** How many have been carried. */
  readonly bytes: Record<Direction, number>
  /** Those that stand: neither side has ended. */
  readonly connections: Set<ProxiedConnection>
  /** Those of which a side is open. */
  readonly open: Set<ProxiedConnection>
  cuts: number
  /** A number from 0 to 1. */
  readonly chance: () => number
  readonly drawEnd: () => "reset" | "close"
}

export class ProxiedConnection {
  private readonly flows: Record<Direction, Flow>
  private readonly timers = new Set<NodeJS.Timeout>()
  /** Of both directions together, until it is cut. */
  private bytesLeft = Infinity
  private onBytesUsed: () => void = () => {}

  constructor(
    private readonly client: Net.Socket,
    private readonly server: Net.Socket,
    private readonly proxy: Shared
  ) {
    this.flows = {
      toServer: this.flow("toServer", client, server),
      toClient: this.flow("toClient", server, client)
    }
  }

  blackHole(direction?: Direction): void {
    if (direction !== "toClient") this.flows.toServer.lose()
    if (direction !== "toServer") this.flows.toClient.lose()
  }

  cutAfter({ by = "reset", bytes, direction }: CutAfter): void {
    this.flows[direction].stopAfter(bytes, () => this.cut(by))
  }

  /** Draws where it will be cut. */
  cutRandomly({ bytesMax, deafMillisMax = 50, deafShare = 0.5, millisMax }: RandomCuts): void {
    const { chance, drawEnd } = this.proxy
    const deaf = chance() < deafShare
    const strike = () => deaf ? this.cutDeaf(chance() * deafMillisMax) : this.cut(drawEnd())
    if (bytesMax !== undefined) {
      this.bytesLeft = Math.ceil(chance() * bytesMax)
      this.onBytesUsed = strike
    }
    if (millisMax !== undefined) this.later(chance() * millisMax, strike)
  }

  cut(by: "reset" | "close"): void {
    if (this.proxy.connections.has(this)) this.proxy.cuts++
    this.end()
    for (const socket of [this.client, this.server]) {
      if (by === "reset") socket.resetAndDestroy()
      // what is not read would make a reset of it
      else socket.end().resume()
    }
  }

  /** It carries nothing any more, and nothing happens to it later. */
  end(): void {
    this.proxy.connections.delete(this)
    for (const timer of this.timers) clearTimeout(timer)
    this.flows.toServer.end()
    this.flows.toClient.end()
  }

  conditionsHaveChanged(): void {
    this.flows.toServer.conditionsHaveChanged()
    this.flows.toClient.conditionsHaveChanged()
  }

  /** Loses what the server says from now on, and everything a little later. */
  private cutDeaf(millis: number): void {
    this.blackHole("toClient")
    this.bytesLeft = Infinity
    this.later(millis, () => this.cut(this.proxy.drawEnd()))
  }

  private later(millis: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer)
      task()
    }, Math.min(timerMillisMax, millis))
    this.timers.add(timer)
  }

  private flow(direction: Direction, from: Net.Socket, to: Net.Socket): Flow {
    const { proxy } = this
    from.on("end", () => proxy.connections.delete(this))
    from.on("close", () => {
      proxy.connections.delete(this)
      if (to.destroyed) proxy.open.delete(this)
    })
    return new Flow(from, to, {
      bufferBytesMax: proxy.bufferBytesMax,
      conditions: () => proxy.conditions[direction],
      chance: proxy.chance,
      bytesLeft: () => this.bytesLeft,
      carried: (bytes) => {
        proxy.bytes[direction] += bytes
        this.bytesLeft -= bytes
        if (this.bytesLeft === 0) this.onBytesUsed()
      }
    })
  }
}
