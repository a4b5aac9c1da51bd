/** Everything that actors need to run in a test, in one layer: a host, a store, a network and a client, in memory. */
import * as ActorClient from "@troupe/client/ActorClient"
import type { Any } from "@troupe/contract/Definition"
import type { Transport } from "@troupe/contract/Transport"
import type { Implementations } from "@troupe/server/ActorServer"
import type { ActorStore } from "@troupe/server/ActorStore"
import * as Layer from "effect/Layer"
import * as MemoryTransport from "./MemoryTransport.ts"
import * as TestHost from "./TestHost.ts"
import * as TestStore from "./TestStore.ts"

/** What is put to the test, and the options of all that it runs on. */
export interface Options<Actors extends ReadonlyArray<Any>, E, R> extends TestHost.Options<Actors, E, R> {
  readonly client?: ActorClient.Options
}

/** What a test finds: the client and the directories of an application, and the controls. */
export type Provided<Actors extends ReadonlyArray<Any>> =
  | ActorClient.ActorClient
  | Implementations<Actors>
  | MemoryTransport.MemoryNetwork
  | TestHost.TestHost
  | TestStore.TestStore
  | ActorStore
  | Transport

/**
 * Runs actors under `TestClock`, without a socket and without a file.
 *
 * ```ts
 * import { Rpc, RpcGroup } from "@effect/rpc"
 * import { Actor } from "@troupe/contract"
 * import { TestKit } from "@troupe/testing"
 * import { Effect, Schema } from "effect"
 *
 * class Echo extends Actor.Tag<Echo>()("Echo", {
 *   rpcs: RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
 * }) {}
 *
 * const EchoLive = Echo.toLayer(
 *   { state: Schema.Void, initialState: () => undefined },
 *   (echo) => Effect.succeed(echo.behavior({ rpcs: { Say: ({ text }) => Effect.succeed(text) } }))
 * )
 *
 * export const TestLive = TestKit.layer({ actors: [Echo], implementations: EchoLive })
 * ```
 */
export const layer = <const Actors extends ReadonlyArray<Any>, E, R>(
  options: Options<Actors, E, R>
): Layer.Layer<Provided<Actors>, E, Exclude<TestHost.Outside<R>, ActorStore | MemoryTransport.MemoryNetwork>> =>
  // one above the other, so that the client leaves before the host stops
  ActorClient.layer(options.client).pipe(
    Layer.provideMerge(TestHost.layer(options)),
    Layer.provideMerge(Layer.merge(TestStore.layer, MemoryTransport.layer))
  ) as Layer.Layer<
    Provided<Actors>,
    E,
    Exclude<TestHost.Outside<R>, ActorStore | MemoryTransport.MemoryNetwork>
  >
