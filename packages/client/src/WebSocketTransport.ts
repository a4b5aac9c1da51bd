/** Links over the WebSockets of browsers, and of other platforms that have a global one. */
import { Transport } from "@troupe/contract/Transport"
import * as WebSocketLink from "@troupe/contract/WebSocketLink"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** A page, or a worker, which has no document. */
interface Page {
  readonly self?: EventTarget
  readonly document?: EventTarget & { readonly visibilityState?: string }
}

/** When the network is back, when the page is back from the cache of the browser, and when it is looked at again. */
const opportunities: ReadonlyArray<readonly [on: keyof Page, event: string, holds: (page: Page) => boolean]> = [
  ["self", "online", () => true],
  ["self", "pageshow", () => true],
  ["document", "visibilitychange", ({ document }) => document?.visibilityState === "visible"]
]

const listen = (target: EventTarget, event: string, listener: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => target.addEventListener(event, listener)),
    () => Effect.sync(() => target.removeEventListener(event, listener))
  )

const onOpportunity = (listener: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.forEach(opportunities, ([on, event, holds]) => {
    const page = globalThis as Page
    const target = page[on]
    return target ? listen(target, event, () => holds(page) && listener()) : Effect.void
  }, { discard: true })

/**
 * A transport over the sockets that `construct` makes; it is given an absolute `ws:` or `wss:` URL. In a browser, a wait
 * for the next dial ends when the network is back or the page is visible again.
 */
export const make = (
  options: WebSocketLink.Options,
  construct: (url: string) => WebSocketLink.Socket
): Transport["Type"] => ({ dial: WebSocketLink.dial(options, construct), onOpportunity })

const constructGlobal = (url: string): WebSocketLink.Socket => {
  if (typeof WebSocket === "undefined") {
    throw new Error("there is no global WebSocket; in Node before 22 use NodeWebSocketTransport of @troupe/node")
  }
  return new WebSocket(url)
}

/** A transport over the global `WebSocket`. In Node 20 use that of `@troupe/node`. */
export const layer = (options: WebSocketLink.Options): Layer.Layer<Transport> =>
  Layer.succeed(Transport, make(options, constructGlobal))
