/**
 * Links in memory, with the encoding of the real ones, and a network that can be told to fail. Everything runs under
 * `TestClock`: a link delivers at the end of the tick.
 */
import type { Any } from "@troupe/contract/Definition"
import { Flush } from "@troupe/contract/Flush"
import { Transport } from "@troupe/contract/Transport"
import type { Implementations } from "@troupe/server/ActorServer"
import type { Connections } from "@troupe/server/Connections"
import * as Gateway from "@troupe/server/Gateway"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Internal from "./internal/Network.ts"
import type { Controls } from "./internal/Route.ts"

export type { Fate } from "./internal/MemoryLink.ts"
export type { Controls, Reachability } from "./internal/Route.ts"
export type { Sent, Side, Tag } from "./internal/Sent.ts"

/** The way of one client to a server, which can fail while those of the others do not. */
export interface Line extends Controls {
  readonly transport: Transport["Type"]
}

/** Where servers listen, and lines lead, that have not been told otherwise. */
export const defaultName = "server"

/**
 * The network between the clients and the servers of a test. Its controls are those of all lines: a dial, or a message,
 * gets through if neither the network nor the line prevents it.
 */
export class MemoryNetwork extends Context.Tag("@troupe/testing/MemoryNetwork")<
  MemoryNetwork,
  Controls & {
    /**
     * Dials to this name reach this gateway until the scope closes. If several listen under one name, the last who came is
     * reached. Default: `defaultName`.
     */
    readonly listen: (
      accept: Gateway.Gateway["accept"],
      at?: string
    ) => Effect.Effect<void, never, Scope.Scope>
    /** A new line, to the server of this name. Default: `defaultName`. */
    readonly line: (to?: string) => Effect.Effect<Line>
  }
>() {}

const make = Effect.gen(function*() {
  const network = new Internal.Network((yield* Flush).schedule)
  yield* Effect.addFinalizer(() => network.end)
  const line = (to = defaultName) =>
    Effect.sync((): Line => {
      const { controls, transport } = new Internal.Line(network, to)
      return { ...controls, transport }
    })
  const { transport } = yield* line()
  return Context.make(MemoryNetwork, {
    ...network.controls,
    listen: (accept, at = defaultName) => network.listen(accept, at),
    line
  }).pipe(Context.add(Transport, transport))
})

/** A network, and the transport of a client on it. When it ends it dies of what a tap of `onMessage` has thrown. */
export const layer: Layer.Layer<MemoryNetwork | Transport> = Layer.scopedContext(make)

/** A gateway on the network, for as long as the layer lives. */
export const layerServer = <const Actors extends ReadonlyArray<Any>>(
  options: Gateway.Options & { readonly actors: Actors },
  /** The name that clients dial. Default: `defaultName`. */
  at?: string
): Layer.Layer<never, never, Connections | MemoryNetwork | Implementations<Actors>> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const network = yield* MemoryNetwork
    const gateway = yield* Gateway.make(options)
    yield* network.listen(gateway.accept, at)
  }))
