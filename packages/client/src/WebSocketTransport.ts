/** Links over the WebSockets of browsers, and of other platforms that have a global one. */
import { Transport } from "@troupe/contract/Transport"
import * as WebSocketLink from "@troupe/contract/WebSocketLink"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** When the network is back, and when the page is looked at again. */
const opportunities: ReadonlyArray<readonly [target: "window" | "document", event: string]> = [
  ["window", "online"],
  ["window", "pageshow"],
  ["document", "visibilitychange"]
]

const isHidden = (): boolean =>
  (globalThis as { readonly document?: { readonly visibilityState: string } }).document?.visibilityState === "hidden"

const onOpportunity = (listener: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.forEach(opportunities, ([target, event]) => {
    const source = (globalThis as { readonly [name: string]: any })[target] as EventTarget | undefined
    const heard = () => {
      if (!isHidden()) listener()
    }
    return Effect.acquireRelease(
      Effect.sync(() => source?.addEventListener(event, heard)),
      () => Effect.sync(() => source?.removeEventListener(event, heard))
    )
  }, { discard: true })

/** A transport over the global `WebSocket`. In Node 20 use that of `@troupe/node`. */
export const layer = (options: WebSocketLink.Options): Layer.Layer<Transport> =>
  Layer.succeed(Transport, { dial: WebSocketLink.dial(options, (url) => new WebSocket(url)), onOpportunity })
