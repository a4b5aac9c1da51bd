/** Actors behind an HTTP server: one layer beside the other routes of an app. */
import type { Any } from "@troupe/contract/Definition"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Connections } from "./Connections.ts"
import * as Gateway from "./Gateway.ts"
import { toTarget } from "./internal/RoutePath.ts"
import { LinkListener } from "./LinkListener.ts"
import * as Origin from "./Origin.ts"

/** What the server can be told, beside the options of the gateway. */
export interface Options<Actors extends ReadonlyArray<Any>> extends Gateway.Options {
  /** Where clients connect: a path without any of `?#*:;`, which would be a defect. Default: `/actors`. */
  readonly path?: `/${string}`
  /** The contracts that can be reached. Each must be implemented, or the layer does not compile. */
  readonly actors: Actors
  /** Pages of these origins may connect, beside those of the same host. Default: none. */
  readonly origins?: ReadonlyArray<string>
}

/** The services of a list of contracts: each has to be provided by its implementation. */
export type Implementations<Actors extends ReadonlyArray<Any>> = Actors[number] extends infer Contract
  ? Contract extends Context.Tag<infer Self, any> ? Self : never
  : never

/** Serves actors over WebSockets. */
export const layer = <const Actors extends ReadonlyArray<Any>>(
  options: Options<Actors>
): Layer.Layer<never, never, LinkListener | Connections | Implementations<Actors>> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const path = toTarget(options.path ?? "/actors")
    const listener = yield* LinkListener
    const gateway = yield* Gateway.make(options)
    yield* listener.listen({
      path,
      messageBytesMax: gateway.openBytesMax,
      authorize: Origin.isAllowed(options.origins ?? []),
      accept: gateway.accept
    })
  }))
