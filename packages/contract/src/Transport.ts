/** How a client reaches a server: the one service of the client that knows what a socket is. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Link, LinkHandler } from "./Link.ts"

/** No link could be opened. The client dials again on its schedule. */
export class DialError extends Schema.TaggedError<DialError>("@troupe/contract/DialError")("DialError", {
  message: Schema.String
}) {}

/** Opens links to one server. */
export class Transport extends Context.Tag("@troupe/contract/Transport")<Transport, {
  /** Opens a link. It is closed with the scope. The handler may be called before the effect returns. */
  readonly dial: (handler: LinkHandler) => Effect.Effect<Link, DialError, Scope.Scope>
  /**
   * Calls the listener at moments at which a dial has a better chance than before: the browser is online again, the tab
   * is visible again. A wait for the next dial is then cut short, and a link that stands has to show that it is alive.
   */
  readonly onOpportunity: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
}>() {}
