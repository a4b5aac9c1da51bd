/**
 * An actor whose behaviour each test writes itself: what a handler or a hook does is looked up when it runs. `layer` puts
 * it behind a host, a gateway, an in-memory network and a client, with a store that can be held back and made to fail.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { ActorClient } from "@troupe/client"
import {
  type Activation,
  Actor,
  type Behavior,
  type Connection,
  type Contract,
  type DisconnectReason,
  type Request
} from "@troupe/contract"
import { ActorHost } from "@troupe/server"
import { MemoryTransport, TestClient, TestStore } from "@troupe/testing"
import {
  Cause,
  Context,
  Deferred,
  Effect,
  FiberId,
  HashMap,
  Layer,
  Logger,
  Option,
  Ref,
  Schema,
  type Scope
} from "effect"

export { pass, settle } from "@troupe/testing/TestTime"

export class Denied extends Schema.TaggedError<Denied>()("Denied", {
  reason: Schema.String,
  until: Schema.DateFromString
}) {}

export class Oops extends Schema.TaggedError<Oops>()("Oops", { code: Schema.Number }) {}

export class Lab extends Actor.Tag<Lab>()("Lab", {
  params: Schema.Struct({ name: Schema.NonEmptyString, level: Schema.optional(Schema.NumberFromString) }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Run", { payload: { script: Schema.String }, success: Schema.NonEmptyString, error: Oops }),
    Rpc.make("Append", { payload: { item: Schema.NonEmptyString }, success: Schema.Number }),
    Rpc.make("Items", { success: Schema.Array(Schema.String) }),
    Rpc.make("Me", {
      success: Schema.Struct({ id: Schema.Number, name: Schema.String, visits: Schema.Number, level: Schema.Number })
    })
  ),
  internal: RpcGroup.make(
    Rpc.make("Script", { payload: { script: Schema.String }, success: Schema.NonEmptyString, error: Oops }),
    Rpc.make("Count", { success: Schema.Number }),
    Rpc.make("Add", { payload: { item: Schema.String }, success: Schema.Number }),
    Rpc.make("Clear")
  ),
  events: {
    appended: Schema.Struct({ item: Schema.String }),
    whisper: Schema.Struct({ text: Schema.NonEmptyString })
  }
}) {}

export const State = Schema.Struct({ items: Schema.Array(Schema.String) })
export const Member = Schema.Struct({ name: Schema.String, visits: Schema.NonNegativeInt })

type Definition = Contract.DefinitionOf<Lab>
type Member = typeof Member.Type
export type LabRoom = Activation.Activation<Lab, Definition, typeof State.Type, Member>
export type LabConnection = Connection.Connection<Definition, Member>
type Handled = Request.Request<Lab>
type Caller = Connection.Caller<Lab> | Handled

/** What the tests see of the actors, and how they steer them. */
export class Probe extends Context.Tag("test/Probe")<Probe, {
  /** All notes so far, in order. */
  readonly notes: ReadonlyArray<string>
  readonly note: (entry: string) => Effect.Effect<void>
  /** Waits until a note has been made, so and so often. */
  readonly seen: (entry: string, times?: number) => Effect.Effect<void>
  readonly count: (entry: string) => number
  /** Closed until the test opens it; then it stays open. */
  readonly gate: (name: string) => Deferred.Deferred<void>
  readonly wait: (name: string) => Effect.Effect<void>
  readonly open: (name: string) => Effect.Effect<void>
  /** Everything that was logged. */
  readonly logs: ReadonlyArray<Log>
  /** What `Run` of a client does, by name of the script. */
  readonly scripts: { [name: string]: (room: LabRoom) => Effect.Effect<string, Oops, Caller> }
  /** What `Script` of a backend does. */
  readonly internals: { [name: string]: (room: LabRoom) => Effect.Effect<string, Oops, Handled> }
  readonly hooks: {
    build: (room: LabRoom) => Effect.Effect<void, string, Scope.Scope>
    onBeforeConnect: (
      room: LabRoom,
      options: { readonly params: Contract.Params<Lab>; readonly request: Behavior.ConnectRequest }
    ) => Effect.Effect<Member, Denied>
    onConnect: (room: LabRoom, connection: LabConnection) => Effect.Effect<unknown, never, Scope.Scope>
    onDisconnect: (
      room: LabRoom,
      connection: LabConnection,
      reason: DisconnectReason.DisconnectReason
    ) => Effect.Effect<unknown>
  }
}>() {}

export interface Log {
  readonly level: string
  readonly message: string
  readonly cause: string
  readonly defect: unknown
}

const makeProbe = (logs: Array<Log>): typeof Probe.Service => {
  const notes: Array<string> = []
  const listeners = new Set<() => void>()
  const gates = new Map<string, Deferred.Deferred<void>>()
  const count = (entry: string) => notes.filter((note) => note === entry).length
  const gate = (name: string) => {
    const known = gates.get(name) ?? Deferred.unsafeMake<void>(FiberId.none)
    gates.set(name, known)
    return known
  }
  return {
    notes,
    note: (entry) =>
      Effect.sync(() => {
        notes.push(entry)
        for (const listener of listeners) listener()
      }),
    seen: (entry, times = 1) =>
      Effect.async<void>((resume) => {
        const check = () => {
          if (count(entry) < times) return
          listeners.delete(check)
          resume(Effect.void)
        }
        listeners.add(check)
        check()
        return Effect.sync(() => listeners.delete(check))
      }),
    count,
    gate,
    wait: (name) => Deferred.await(gate(name)),
    open: (name) => Effect.asVoid(Deferred.succeed(gate(name), undefined)),
    logs,
    scripts: {},
    internals: {},
    hooks: {
      build: () => Effect.void,
      onBeforeConnect: (_, { params }) => Effect.succeed({ name: params.name, visits: 0 }),
      onConnect: () => Effect.void,
      onDisconnect: () => Effect.void
    }
  }
}

/** Keeps what is logged, and prints nothing. */
const probeLayer: Layer.Layer<Probe> = Layer.unwrapEffect(Effect.sync(() => {
  const logs: Array<Log> = []
  const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message }) => {
    const text = Array.isArray(message) ? message.map(String).join(" ") : String(message)
    logs.push({
      level: logLevel.label,
      message: text,
      cause: Cause.pretty(cause),
      defect: Option.getOrUndefined(HashMap.get(annotations, "defect"))
    })
  })
  return Layer.merge(Layer.succeed(Probe, makeProbe(logs)), Logger.add(logger))
}))

export const append = (room: LabRoom, item: string) =>
  Ref.updateAndGet(room.state, ({ items }) => ({ items: [...items, item] }))

export interface LabOptions {
  readonly durability?: Behavior.Durability
  readonly idleTimeout?: "1 minute"
  readonly initialState?: (key: string) => typeof State.Type
}

/** The implementation: all of it goes through the probe. */
export const labLive = (options: LabOptions = {}) =>
  Lab.toLayer(
    { state: State, initialState: () => ({ items: [] }), connection: Member, ...options },
    (room) =>
      Effect.gen(function*() {
        const probe = yield* Probe
        yield* probe.note(`build ${room.key}`)
        yield* Effect.addFinalizer(() => probe.note(`sleep ${room.key}`))
        yield* probe.hooks.build(room)
        return room.behavior({
          onBeforeConnect: (options) => probe.hooks.onBeforeConnect(room, options),
          onConnect: (connection) => probe.hooks.onConnect(room, connection),
          onDisconnect: (connection, reason) => probe.hooks.onDisconnect(room, connection, reason),
          rpcs: {
            Run: ({ script }) => probe.scripts[script]!(room),
            Append: Effect.fnUntraced(function*({ item }) {
              const { items } = yield* append(room, item)
              yield* room.broadcast("appended", { item })
              return items.length
            }),
            Items: () => Effect.map(Ref.get(room.state), ({ items }) => items),
            Me: Effect.fnUntraced(function*() {
              const { id, params, state } = yield* room.caller
              const { name, visits } = yield* Ref.updateAndGet(
                state,
                (member) => ({ ...member, visits: member.visits + 1 })
              )
              return { id, name, visits, level: params.level ?? 0 }
            })
          },
          internal: {
            Script: ({ script }) => probe.internals[script]!(room),
            Count: () => Effect.map(Ref.get(room.state), ({ items }) => items.length),
            Add: ({ item }) => Effect.map(append(room, item), ({ items }) => items.length),
            Clear: () => Ref.set(room.state, { items: [] })
          }
        })
      })
  )

export interface Options extends LabOptions {
  readonly host?: NonNullable<Parameters<typeof ActorHost.layer>[0]>
  readonly client?: NonNullable<Parameters<typeof ActorClient.layer>[0]>
}

/** What outlives a host: the store, the network, and what the test sees. */
export const layerOutside = Layer.mergeAll(TestStore.layer, MemoryTransport.layer, probeLayer)

/** A host with one implementation, its gateway and a client. */
export const layerProcess = <E, R>(live: Layer.Layer<Lab, E, R>) =>
  ActorClient.layer().pipe(
    Layer.provideMerge(MemoryTransport.layerServer({ actors: [Lab] })),
    Layer.provideMerge(live),
    Layer.provideMerge(ActorHost.layer())
  )

/** One life of the process, on the store and network that are there. */
export const life = <A, E, R, E2, R2>(live: Layer.Layer<Lab, E2, R2>, body: Effect.Effect<A, E, R>) =>
  body.pipe(Effect.scoped, Effect.provide(layerProcess(live)))

/** Everything, in one process. */
export const layer = ({ client, host, ...options }: Options = {}) =>
  ActorClient.layer(client).pipe(
    Layer.provideMerge(MemoryTransport.layerServer({ actors: [Lab] })),
    Layer.provideMerge(labLive(options)),
    Layer.provideMerge(ActorHost.layer(host)),
    Layer.provideMerge(Layer.mergeAll(TestStore.layer, MemoryTransport.layer)),
    Layer.provideMerge(probeLayer)
  )

/** Runs a test with everything. Connections close before the services do. */
export const run = <A, E, R>(body: Effect.Effect<A, E, R>, options: Options = {}) =>
  body.pipe(Effect.scoped, Effect.provide(layer(options)))

type Params = Contract.Params<Lab>

/** Connects to the actor `main`, or to another. */
export const connect = (
  name: string,
  { events = [], key = "main", params = { name } }: {
    readonly key?: string
    readonly params?: Params
    readonly events?: ReadonlyArray<"appended" | "whisper">
  } = {}
) => ActorClient.connect(Lab, key, { params, events })

/** Another client, with a link of its own. */
export const otherClient = TestClient.make()

/** The internal rpcs of the actor `main`. */
export const backend = Effect.map(Lab, (labs) => labs.get("main"))
