/**
 * A TCP proxy in front of a port, which does to connections what networks do: it cuts them, at any byte; it is slow, and
 * carries little; it loses what it is given and tells nobody. For tests over real sockets, in real time. Only for Node, and
 * so not in the index of the package.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Conditions, CutAfter, Direction, Options, RandomCuts } from "../internal/node/Faults.ts"
import { checkConditions, checkCutAfter, checkRandomCuts } from "../internal/node/Faults.ts"
import { listen } from "../internal/node/Listener.ts"
import { Proxy } from "../internal/node/Proxy.ts"

export type { Conditions, CutAfter, Direction, Options, RandomCuts } from "../internal/node/Faults.ts"

/**
 * The controls. What ends connections, or silences them, returns how many stood. Where one side has gone and the other has
 * not been told, that one is ended too. A number that makes no sense, as -1 bytes do, is a defect.
 */
export interface TcpProxy {
  /** Where clients connect. */
  readonly port: number
  /** Resets the connections that stand: both sides see an error, and what was on its way is lost. */
  readonly reset: Effect.Effect<number>
  /** Closes the connections that stand: both sides see an orderly end, and what was on its way is lost. */
  readonly close: Effect.Effect<number>
  /** One of the two for each connection that stands, by chance. */
  readonly cut: Effect.Effect<number>
  /** Cuts the connections that stand after so many more bytes. */
  readonly cutAfter: (cut: CutAfter) => Effect.Effect<number>
  /** Cuts the next connection after its first so many bytes. Asked for again, it is the connection after that. */
  readonly cutNextAfter: (cut: CutAfter) => Effect.Effect<void>
  /** Cuts the connections that stand, and new ones, at random points; `undefined` ends that for new ones. */
  readonly cutRandomly: (cuts: RandomCuts | undefined) => Effect.Effect<void>
  /**
   * The connections that stand lose everything that goes in this direction, also the news that a side has gone; nobody is
   * told. New ones are not touched. Default: both directions.
   */
  readonly blackHole: (direction?: Direction) => Effect.Effect<number>
  /** While set, new connections are accepted and are black holes. Those that stand are not touched. */
  readonly setSilent: (silent: boolean) => Effect.Effect<void>
  /** While set, new connections are reset at once. Those that stand are not touched. */
  readonly setRefusing: (refusing: boolean) => Effect.Effect<void>
  /** How connections carry this direction from now on, those that stand and new ones. Default: both directions. */
  readonly setConditions: (conditions: Conditions, direction?: Direction) => Effect.Effect<void>
  /** How many bytes have been carried so far, over all connections. */
  readonly bytes: Effect.Effect<Readonly<Record<Direction, number>>>
  /** How many connections have been cut so far; those that the client or the server closed are not counted. */
  readonly cuts: Effect.Effect<number>
  /** How many connections there have been, without refused ones. */
  readonly accepted: Effect.Effect<number>
  /** How many stand now: neither side of them has ended. */
  readonly connections: Effect.Effect<number>
}

/**
 * A proxy that carries everything until it is told otherwise, also the end of one direction while the other goes on. It ends
 * with the scope. A defect if it cannot listen.
 */
export const make = (options: Options): Effect.Effect<TcpProxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const proxy = yield* Effect.sync(() => new Proxy(options))
    const port = yield* listen(proxy, options)
    return {
      port,
      reset: proxy.cut(() => "reset"),
      close: proxy.cut(() => "close"),
      cut: proxy.cut(proxy.drawEnd),
      cutAfter: (cut) =>
        Effect.suspend(() => {
          checkCutAfter(cut)
          return proxy.each((connection) => connection.cutAfter(cut))
        }),
      cutNextAfter: (cut) =>
        Effect.sync(() => {
          checkCutAfter(cut)
          proxy.planned.push(cut)
        }),
      cutRandomly: (cuts) =>
        Effect.suspend(() => {
          if (cuts) checkRandomCuts(cuts)
          proxy.randomCuts = cuts
          return cuts ? Effect.asVoid(proxy.each((connection) => connection.cutRandomly(cuts))) : Effect.void
        }),
      blackHole: (direction) => proxy.each((connection) => connection.blackHole(direction)),
      setSilent: (silent) => Effect.sync(() => void (proxy.silent = silent)),
      setRefusing: (refusing) => Effect.sync(() => void (proxy.refusing = refusing)),
      setConditions: (conditions, direction) =>
        Effect.sync(() => {
          checkConditions(conditions)
          proxy.setConditions(conditions, direction)
        }),
      bytes: Effect.sync(() => ({ ...proxy.bytes })),
      cuts: Effect.sync(() => proxy.cuts),
      accepted: Effect.sync(() => proxy.accepted),
      connections: Effect.sync(() => proxy.connections.size)
    }
  })
