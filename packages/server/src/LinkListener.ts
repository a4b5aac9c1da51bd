/**
 * How a gateway gets its links from an HTTP server. Links are accepted by an upgrade listener of their own, because
 * through the platform's request handling an idle one costs a fiber and 48 KiB instead of 3.
 */
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type { Link, LinkHandler } from "@troupe/contract/Link"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** What a gateway wants to hear of. */
export interface LinkOptions {
  /** The path of the links, as it stands in requests. Upgrades of other paths are left to the rest of the application. */
  readonly path: `/${string}`
  /** Messages longer than this, in bytes, end their link before they are read, unless the link has been told otherwise. */
  readonly messageBytesMax: number
  /** Whether the request may be upgraded; `false` is answered with the status 403. */
  readonly authorize: (request: ConnectRequest) => boolean
  /** Called for each new link. */
  readonly accept: (link: Link, request: ConnectRequest) => LinkHandler
}

/** Accepts links. `NodeActors.layer` of `@troupe/node` provides it, with the HTTP server it listens on. */
export class LinkListener extends Context.Tag("@troupe/server/LinkListener")<LinkListener, {
  /** Accepts links of a path until the scope closes; the links themselves are left to the gateway. */
  readonly listen: (options: LinkOptions) => Effect.Effect<void, never, Scope.Scope>
}>() {}
