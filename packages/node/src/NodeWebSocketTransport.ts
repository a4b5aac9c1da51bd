/** Links over WebSockets from Node, which has no `WebSocket` of its own before version 22. */
import { Transport } from "@troupe/contract/Transport"
import * as WebSocketLink from "@troupe/contract/WebSocketLink"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ClientSocket } from "./internal/ClientSocket.ts"

/** A transport over the sockets of `ws`, without compression. */
export const make = (options: WebSocketLink.Options): Transport["Type"] => ({
  dial: WebSocketLink.dial(options, (url) => new ClientSocket(url)),
  onOpportunity: () => Effect.void
})

/** The same as a layer. */
export const layer = (options: WebSocketLink.Options): Layer.Layer<Transport> => Layer.succeed(Transport, make(options))
