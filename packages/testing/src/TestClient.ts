/** Clients of a test, each with a line of its own, which can be cut, frozen and restored while those of others stand. */
import * as ActorClient from "@troupe/client/ActorClient"
import { Transport } from "@troupe/contract/Transport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type Line, MemoryNetwork } from "./MemoryTransport.ts"

/** What a client of a test can be told, beside the options of any client. */
export interface Options extends ActorClient.Options {
  /** The name of the server it dials. Default: `MemoryTransport.defaultName`. */
  readonly server?: string
}

/** A client, and its way to the server. */
export type TestClient = ActorClient.ActorClient["Type"] & {
  readonly line: Line
}

/**
 * A client on the network. It leaves with the scope; to let it vanish without a word, freeze its line before.
 */
export const make = (
  { server, ...options }: Options = {}
): Effect.Effect<TestClient, never, MemoryNetwork | Scope.Scope> =>
  Effect.gen(function*() {
    const line = yield* (yield* MemoryNetwork).line(server)
    const context = yield* Layer.build(
      Layer.fresh(Layer.provide(ActorClient.layer(options), Layer.succeed(Transport, line.transport)))
    )
    return { ...Context.get(context, ActorClient.ActorClient), line }
  })
