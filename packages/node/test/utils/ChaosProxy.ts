/**
 * A TCP proxy in front of a port that does to connections what networks do: cuts them, at any byte, sometimes so that the
 * answer is lost after the question was heard; refuses them; keeps them open and carries nothing.
 */
import { Effect, type Scope } from "effect"
import { PCGRandom } from "effect/Utils"
import * as Net from "node:net"

/** Where a connection is cut, drawn anew for each. All are upper bounds of a uniform draw. */
export interface Cutting {
  /** After so many bytes, of both directions together. Default: no such cut. */
  readonly bytesMax?: number
  /** After so many milliseconds. Default: no such cut. */
  readonly millisMax?: number
  /** How many of the cuts lose the direction from the server first, from 0 to 1. Default: 0.5. */
  readonly deafShare?: number
  /** How long such a connection still carries what the client says. Default: 50. */
  readonly deafMillisMax?: number
}

export interface ChaosProxy {
  /** Where clients connect, on 127.0.0.1. */
  readonly port: number
  /** Cuts all connections now, and returns how many there were. */
  readonly cut: Effect.Effect<number>
  /** New connections, and those that stand, are cut at random points; `undefined` ends that for new ones. */
  readonly cutRandomly: (cutting: Cutting | undefined) => Effect.Effect<void>
  /** While set, new connections are reset at once. Those that stand are not touched. */
  readonly setRefusing: (refusing: boolean) => Effect.Effect<void>
  /** The connections that stand carry nothing any more, and nobody is told. New ones are not touched. */
  readonly blackHole: Effect.Effect<number>
  /** While set, new connections are accepted and carry nothing. */
  readonly setSilent: (silent: boolean) => Effect.Effect<void>
  /** From now on the connections that stand lose what the server says, and still carry what the client says. */
  readonly deafen: Effect.Effect<number>
  /** From now on the connections that stand, and new ones, tell the client so many bytes a second at most. */
  readonly throttle: (bytesPerSecond: number) => Effect.Effect<void>
  /** When each connection was asked for, also those that were refused: milliseconds of one clock. */
  readonly asked: Effect.Effect<ReadonlyArray<number>>
  /** How many connections have been cut so far; those that the client or the server closed are not counted. */
  readonly cuts: Effect.Effect<number>
  /** How many connections there have been, without refused ones. */
  readonly accepted: Effect.Effect<number>
  /** How many stand now. */
  readonly connections: Effect.Effect<number>
}

export interface Options {
  /** The port in front of which it stands; a function is asked for each connection. */
  readonly target: number | (() => number)
  /** Where it listens. Default: any free port. */
  readonly port?: number
  /** Of the random draws. Default: 1. */
  readonly seed?: number
}

/** One connection: the two sockets, and what is done to it. */
class Connection {
  private readonly upstream: Net.Socket
  private readonly timers = new Set<NodeJS.Timeout>()
  private bytesLeft = Infinity
  private silent = false
  private deaf = false
  private bytesPerSecond = Infinity
  private ended = false

  constructor(private readonly client: Net.Socket, target: number, private readonly proxy: Proxy) {
    this.upstream = Net.connect({ port: target, host: "127.0.0.1", noDelay: true })
    this.pipe(client, this.upstream, () => this.silent)
    this.pipe(this.upstream, client, () => this.silent || this.deaf)
  }

  blackHole(): void {
    this.silent = true
  }

  deafen(): void {
    this.deaf = true
  }

  throttle(bytesPerSecond: number): void {
    this.bytesPerSecond = bytesPerSecond
  }

  /** Draws where it will be cut. */
  plan({ bytesMax, deafMillisMax = 50, deafShare = 0.5, millisMax }: Cutting): void {
    const { random } = this.proxy
    const deaf = random.number() < deafShare
    const strike = () => deaf ? this.cutDeaf(Math.ceil(random.number() * deafMillisMax)) : this.cut()
    if (bytesMax !== undefined) {
      this.bytesLeft = random.integer(bytesMax)
      this.onBytesUsed = strike
    }
    if (millisMax !== undefined) this.later(random.integer(millisMax), strike)
  }

  /** Loses what the server says from now on, and everything a little later. */
  private cutDeaf(millis: number): void {
    this.deaf = true
    this.bytesLeft = Infinity
    this.later(millis, () => this.cut())
  }

  cut(): void {
    if (this.ended) return
    this.proxy.cuts++
    this.end()
    // half of the cuts are a reset, the others look like an orderly end of the stream
    if (this.proxy.random.number() < 0.5) {
      this.client.resetAndDestroy()
      this.upstream.resetAndDestroy()
    } else {
      this.client.destroySoon()
      this.upstream.destroySoon()
    }
  }

  destroy(): void {
    this.end()
    this.client.destroy()
    this.upstream.destroy()
  }

  private onBytesUsed: () => void = () => {}

  private end(): void {
    this.ended = true
    for (const timer of this.timers) clearTimeout(timer)
    this.proxy.connections.delete(this)
  }

  private later(millis: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer)
      task()
    }, millis)
    this.timers.add(timer)
  }

  /** Passes a piece on second by second; what follows waits in the network meanwhile. */
  private trickle(chunk: Buffer): void {
    this.upstream.pause()
    if (chunk.length === 0) return void this.upstream.resume()
    this.later(1000, () => {
      this.client.write(chunk.subarray(0, this.bytesPerSecond))
      this.trickle(chunk.subarray(this.bytesPerSecond))
    })
  }

  private pipe(from: Net.Socket, to: Net.Socket, isLost: () => boolean): void {
    from.on("data", (chunk: Buffer) => {
      if (this.ended || isLost()) return
      if (from === this.upstream && this.bytesPerSecond < Infinity) return this.trickle(chunk)
      const passed = chunk.subarray(0, this.bytesLeft)
      this.bytesLeft -= passed.length
      if (!to.write(passed)) {
        from.pause()
        to.once("drain", () => from.resume())
      }
      if (this.bytesLeft === 0) this.onBytesUsed()
    })
    from.on("error", () => {})
    from.on("close", () => {
      // a black hole does not even say that the other side has gone
      if (this.silent && from === this.upstream) return
      if (!this.ended) this.end()
      to.destroySoon()
    })
  }
}

class Proxy {
  readonly connections = new Set<Connection>()
  readonly random: PCGRandom
  readonly asked: Array<number> = []
  bytesPerSecond = Infinity
  cuts = 0
  accepted = 0
  refusing = false
  silent = false
  cutting: Cutting | undefined

  constructor(private readonly options: Options) {
    this.random = new PCGRandom(options.seed ?? 1)
  }

  readonly accept = (client: Net.Socket): void => {
    this.asked.push(performance.now())
    if (this.refusing) {
      client.on("error", () => {})
      client.resetAndDestroy()
      return
    }
    this.accepted++
    const { target } = this.options
    const connection = new Connection(client, typeof target === "number" ? target : target(), this)
    this.connections.add(connection)
    connection.throttle(this.bytesPerSecond)
    if (this.silent) connection.blackHole()
    if (this.cutting) connection.plan(this.cutting)
  }

  each(f: (connection: Connection) => void): Effect.Effect<number> {
    return Effect.sync(() => {
      const standing = Array.from(this.connections)
      standing.forEach(f)
      return standing.length
    })
  }
}

const listen = (proxy: Proxy, port: number) =>
  Effect.acquireRelease(
    Effect.async<Net.Server, Error>((resume) => {
      const server = Net.createServer({ noDelay: true }, proxy.accept)
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        for (const connection of proxy.connections) connection.destroy()
        server.close(() => resume(Effect.void))
      })
  )

/** A proxy that carries everything until it is told otherwise. It ends with the scope. */
export const make = (options: Options): Effect.Effect<ChaosProxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const proxy = new Proxy(options)
    const server = yield* Effect.orDie(listen(proxy, options.port ?? 0))
    return {
      port: (server.address() as Net.AddressInfo).port,
      cut: proxy.each((connection) => connection.cut()),
      cutRandomly: (cutting) =>
        Effect.suspend(() => {
          proxy.cutting = cutting
          return cutting ? Effect.asVoid(proxy.each((connection) => connection.plan(cutting))) : Effect.void
        }),
      setRefusing: (refusing) => Effect.sync(() => void (proxy.refusing = refusing)),
      setSilent: (silent) => Effect.sync(() => void (proxy.silent = silent)),
      blackHole: proxy.each((connection) => connection.blackHole()),
      deafen: proxy.each((connection) => connection.deafen()),
      throttle: (bytesPerSecond) =>
        Effect.suspend(() => {
          proxy.bytesPerSecond = bytesPerSecond
          return proxy.each((connection) => connection.throttle(bytesPerSecond))
        }),
      asked: Effect.sync(() => proxy.asked),
      cuts: Effect.sync(() => proxy.cuts),
      accepted: Effect.sync(() => proxy.accepted),
      connections: Effect.sync(() => proxy.connections.size)
    }
  })
