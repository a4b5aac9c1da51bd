/** Actors that count their calls, one for each durability, and servers of them. */
import { HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { NodeActors, SqliteStore } from "@troupe/node"
import { ActorHost, ActorServer, type HostOptions } from "@troupe/server"
import { Effect, Layer, Ref, Schema } from "effect"
import type * as Http from "node:http"

/** `count` is the state after the call, `builds` how often actors of this kind were built in the process. */
export const Counted = Schema.Struct({ count: Schema.Int, builds: Schema.Int })

const rpcs = RpcGroup.make(Rpc.make("Add", { success: Counted }))

export class Memory extends Actor.Tag<Memory>()("Memory", { rpcs }) {}
export class Commit extends Actor.Tag<Commit>()("Commit", { rpcs }) {}
export class Fsync extends Actor.Tag<Fsync>()("Fsync", { rpcs }) {}

const options = { state: Schema.Int, initialState: () => 0 }

const add = (state: Ref.Ref<number>, builds: number) => () =>
  Effect.map(Ref.updateAndGet(state, (count) => count + 1), (count) => ({ count, builds }))

const layerCounters = Layer.suspend(() => {
  const builds = { memory: 0, commit: 0, fsync: 0 }
  return Layer.mergeAll(
    Memory.toLayer(
      { ...options, durability: "memory" },
      (actor) => Effect.sync(() => actor.behavior({ rpcs: { Add: add(actor.state, ++builds.memory) } }))
    ),
    Commit.toLayer(
      { ...options, durability: "commit" },
      (actor) => Effect.sync(() => actor.behavior({ rpcs: { Add: add(actor.state, ++builds.commit) } }))
    ),
    Fsync.toLayer(
      { ...options, durability: "fsync" },
      (actor) => Effect.sync(() => actor.behavior({ rpcs: { Add: add(actor.state, ++builds.fsync) } }))
    )
  )
})

/** Serves them from a store file. */
export const layerServer = (
  server: Http.Server,
  port: number,
  store: SqliteStore.Options,
  host: HostOptions.Options
) =>
  HttpLayerRouter.serve(ActorServer.layer({ actors: [Memory, Commit, Fsync], drainTimeout: 0 }), {
    disableListenLog: true,
    disableLogger: true
  }).pipe(
    Layer.provide(layerCounters),
    Layer.provide(ActorHost.layer(host)),
    Layer.provide(SqliteStore.layer(store)),
    Layer.provide(NodeActors.layer(() => server, { port, host: "127.0.0.1" }))
  )
