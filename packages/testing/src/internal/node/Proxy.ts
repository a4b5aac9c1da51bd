/** What a proxy knows of all its connections, and does to new ones. */
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import { Dice } from "../simulation/Dice.ts"
import type { Conditions, CutAfter, Direction, Options, RandomCuts } from "./Faults.ts"
import { checkOptions } from "./Faults.ts"
import { ProxiedConnection, type Shared } from "./ProxiedConnection.ts"

const reset = (socket: Net.Socket): void => {
  socket.on("error", () => {}).resetAndDestroy()
}

const directions: ReadonlyArray<Direction> = ["toServer", "toClient"]

export class Proxy implements Shared {
  readonly connections = new Set<ProxiedConnection>()
  readonly open = new Set<ProxiedConnection>()
  private readonly dice: Dice
  readonly bufferBytesMax: number
  readonly bytes: Record<Direction, number> = { toServer: 0, toClient: 0 }
  readonly conditions: Record<Direction, Conditions> = { toServer: {}, toClient: {} }
  /** Of connections to come, one each. */
  readonly planned: Array<CutAfter> = []
  randomCuts: RandomCuts | undefined
  refusing = false
  silent = false
  cuts = 0
  accepted = 0
  /** Of connections that stand, or of which one side does not know yet that the other has gone. */
  private readonly sockets = new Set<Net.Socket>()

  constructor(private readonly options: Options) {
    checkOptions(options)
    this.dice = new Dice(options.seed ?? 1)
    this.bufferBytesMax = options.bufferBytesMax ?? 256 * 1024
  }

  readonly accept = (client: Net.Socket): void => {
    if (this.refusing) return reset(client)
    this.accepted++
    const server = this.dial()
    if (!server) return reset(client)
    const connection = new ProxiedConnection(this.track(client), this.track(server), this)
    this.connections.add(connection)
    this.open.add(connection)
    if (this.silent) connection.blackHole()
    if (this.randomCuts) connection.cutRandomly(this.randomCuts)
    const planned = this.planned.shift()
    if (planned) connection.cutAfter(planned)
  }

  setConditions(conditions: Conditions, direction?: Direction): void {
    for (const each of direction ? [direction] : directions) this.conditions[each] = conditions
    for (const connection of this.open) connection.conditionsHaveChanged()
  }

  readonly chance = (): number => this.dice.fraction()

  readonly drawEnd = (): "reset" | "close" => this.chance() < 0.5 ? "reset" : "close"

  /** Also where one side has gone, and the other has not been told. */
  cut(draw: () => "reset" | "close"): Effect.Effect<number> {
    return Effect.sync(() => {
      const standing = this.connections.size
      for (const connection of Array.from(this.open)) connection.cut(draw())
      return standing
    })
  }

  each(f: (connection: ProxiedConnection) => void): Effect.Effect<number> {
    return Effect.sync(() => {
      const standing = Array.from(this.connections)
      standing.forEach(f)
      return standing.length
    })
  }

  end(): void {
    for (const connection of this.open) connection.end()
    for (const socket of this.sockets) socket.destroy()
  }

  /** Undefined if there is no port to dial: whoever asks for it stands in no call, so that nobody could catch it. */
  private dial(): Net.Socket | undefined {
    const { host = "127.0.0.1", target } = this.options
    try {
      const port = typeof target === "number" ? target : target()
      return Net.connect({ port, host, noDelay: true, allowHalfOpen: true })
    } catch {
      return undefined
    }
  }

  private track(socket: Net.Socket): Net.Socket {
    this.sockets.add(socket)
    socket.on("close", () => this.sockets.delete(socket))
    return socket
  }
}
