/**
 * Clients and actors come and go in one process, without a socket, and the process says after some of them what it holds.
 * Its first argument is JSON: `Plan`.
 */
import type { ActorClient } from "@troupe/client"
import { Transport } from "@troupe/contract"
import { ActorHost, ActorStore, LocalTransport } from "@troupe/server"
import { Effect, Layer, Logger, type Scope } from "effect"
import * as V8 from "node:v8"
import { client } from "../utils/NodeTransport.ts"
import * as Vanishing from "../utils/Vanishing.ts"
import { call, failing, layerVisited, look, visit, Visited } from "../utils/Visited.ts"
import * as Vitals from "../utils/Vitals.ts"

/** What is to come and go. */
export interface Plan {
  /** `one`: all come to one actor, in which somebody stays. `many`: each comes to the next one of `keys`. */
  readonly actors: "one" | "many"
  readonly durability: "commit" | "memory"
  /** After how many cycles the process is looked at. */
  readonly looks: ReadonlyArray<number>
  /** How many cycles run at a time. */
  readonly atATime: number
  /** How many keys there are. */
  readonly keys: number
  /** How long answers are kept that no client has taken, in milliseconds. */
  readonly retentionMillis: number
  /** Where to write a heap snapshot after each look. */
  readonly snapshots?: string
}

const plan = JSON.parse(process.argv[2]!) as Plan

const watched = Vitals.watch("Visited")

/** A store that says yes to everything and keeps nothing: what grows is not in it. */
const forgetful = Layer.sync(ActorStore.ActorStore, () => {
  let epoch = 0
  const nextEpoch = Effect.sync(() => ++epoch)
  return {
    retentionMillis: plan.retentionMillis,
    nextEpoch,
    claim: () =>
      Effect.map(nextEpoch, (epoch) => ({ epoch, version: 0, incarnation: 0, state: undefined, alarms: [] })),
    replies: () => Effect.succeed([]),
    alarms: () => Effect.succeed([]),
    commit: (batch) => Effect.succeed(batch.map(() => ({ _tag: "committed" as const })))
  }
})

const resumeWindow = 30

const Live = LocalTransport.layer({ actors: [Visited] }).pipe(
  Layer.provide(layerVisited(plan.durability)),
  Layer.provideMerge(ActorHost.layer({ idleTimeout: 20, resumeWindow })),
  Layer.provide(forgetful),
  Layer.provide(Logger.remove(Logger.defaultLogger))
)

/** A client whose call is answered after it has vanished. */
const vanish = (transport: typeof Transport.Transport.Service, key: string) =>
  Effect.scoped(Effect.gen(function*() {
    const vanishing = Vanishing.over(transport)
    const { connect } = yield* client(vanishing.transport)
    const { rpc } = yield* connect(Visited, key, { params: { name: "ann" }, events: ["added"] })
    yield* rpc.Count()
    yield* vanishing.deafen
    yield* Effect.fork(rpc.Add({ text: "x".repeat(200) }))
    // a handler beside the turns goes on, and keeps its actor awake, until nobody can ask for it any more
    if (plan.actors === "one") yield* Effect.fork(rpc.Wait())
    yield* Effect.sleep(2)
    yield* vanishing.vanish
  }))

/** One that comes and goes, over a link of its own. */
const cycle = (transport: typeof Transport.Transport.Service, number: number) => {
  const key = plan.actors === "one" ? "a" : `${number % plan.keys}`
  const with_ = <E>(use: (client: typeof ActorClient.ActorClient.Service) => Effect.Effect<unknown, E, Scope.Scope>) =>
    Effect.scoped(Effect.flatMap(client(transport), use))
  switch (number % 25) {
    case 0:
      return with_((client) => visit(client, key))
    case 1:
      return with_((client) => failing(client, key).refused)
    case 2:
      return with_((client) => failing(client, key).undecodable)
    case 3:
      return with_((client) => failing(client, key).withoutActor)
    case 4:
      return with_((client) => failing(client, key).impatient)
    case 5:
    case 6:
      return vanish(transport, key)
    case 7:
    case 8:
    case 9:
      return with_((client) => look(client, key))
    default:
      return with_((client) => call(client, key))
  }
}

const program = Effect.gen(function*() {
  const transport = yield* Transport.Transport
  const shared = yield* client(transport)
  // in the way of the clients stands one that stays
  const staying = plan.actors === "one" ? 1 : 0
  if (staying) yield* shared.connect(Visited, "a", { params: { name: "stays" }, events: ["added"] })
  /** Waits until all have gone, and what was to end with them. A wait with a timeout would leave a timer itself. */
  const quiet: Effect.Effect<void> = Effect.suspend(() =>
    watched.connections() === staying && (staying === 1 || watched.activations() === 0)
      ? Effect.sleep(Math.max(plan.retentionMillis < 1000 ? plan.retentionMillis : 0, 2 * resumeWindow) + 50)
      : Effect.delay(quiet, 5)
  )
  let done = 0
  for (const look of plan.looks) {
    while (done < look) {
      const numbers = Array.from({ length: Math.min(plan.atATime, look - done) }, (_, i) => done + i)
      yield* Effect.forEach(numbers, (number) => Effect.orDie(cycle(transport, number)), {
        concurrency: "unbounded",
        discard: true
      })
      done += numbers.length
    }
    yield* quiet
    console.log(JSON.stringify({ cycles: done, ...watched.vitals() }))
    if (plan.snapshots) V8.writeHeapSnapshot(`${plan.snapshots}.${done}.heapsnapshot`)
  }
})

watched.supervised(program.pipe(Effect.provide(Live), Effect.scoped)).pipe(
  Effect.runPromise
).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  }
)
