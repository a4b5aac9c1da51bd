/** What a server process is built of, in the test kit and in the simulation. */
import { ActorHost } from "@troupe/contract/ActorHost"
import type { Any } from "@troupe/contract/Definition"
import * as Host from "@troupe/server/ActorHost"
import type { Implementations } from "@troupe/server/ActorServer"
import type { ActorStore } from "@troupe/server/ActorStore"
import type * as Gateway from "@troupe/server/Gateway"
import type * as HostOptions from "@troupe/server/HostOptions"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { layerServer, type MemoryNetwork } from "../MemoryTransport.ts"

export interface Options<Actors extends ReadonlyArray<Any>, E, R> {
  readonly actors: Actors
  readonly implementations: Layer.Layer<Implementations<Actors>, E, R>
  readonly name?: string | undefined
  readonly host?: HostOptions.Options | undefined
  readonly gateway?: Omit<Gateway.Options, "actors"> | undefined
}

/** What a server needs from outside. */
export type Outside<R> = ActorStore | MemoryNetwork | Exclude<R, ActorHost>

/**
 * A host, the implementations that register with it, and a gateway on the network. Layer by layer: a layer that is composed
 * of them is built in three times as many steps, and a simulation builds one for each life.
 */
export const build = <Actors extends ReadonlyArray<Any>, E, R>(
  { actors, gateway, host, implementations, name }: Options<Actors, E, R>
): Effect.Effect<ActorHost["Type"], E, Outside<R> | Scope.Scope> =>
  Effect.gen(function*() {
    const hosted = yield* Layer.build(Host.layer(host))
    yield* Effect.mapInputContext(Layer.build(implementations), (outside: Context.Context<any>) =>
      Context.merge(outside, hosted))
    yield* Effect.provide(Layer.build(layerServer({ ...gateway, actors }, name)), hosted)
    return Context.get(hosted, ActorHost)
  }) as Effect.Effect<ActorHost["Type"], E, Outside<R> | Scope.Scope>
