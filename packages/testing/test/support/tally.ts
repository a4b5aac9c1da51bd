/** An actor that writes down every call in its state, so that a test sees what ran, how often, and in which order. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor, Delivery } from "@troupe/contract"
import { Deferred, Effect, Exit, HashMap, Ref, Schema } from "effect"

export class Turned extends Schema.TaggedError<Turned>()("Turned", { away: Schema.String }) {}
export class Refusal extends Schema.TaggedError<Refusal>()("Refusal", { label: Schema.String }) {}

export const Added = Schema.Struct({ label: Schema.String, count: Schema.Number })

const label = { label: Schema.String }
const gated = { label: Schema.String, gate: Schema.String }

const rpcs = RpcGroup.make(
  Rpc.make("Add", { payload: label, success: Schema.Number }),
  Rpc.make("AddAndFail", { payload: label, error: Refusal }),
  Rpc.make("Hold", { payload: gated, success: Schema.Number }),
  Rpc.make("HoldOn", { payload: gated, success: Schema.Number }),
  Rpc.make("Once", { payload: gated, success: Schema.Number }).annotate(Delivery.Delivery, "at-most-once"),
  Rpc.make("Again", { payload: gated, success: Schema.Number }).annotate(Delivery.Delivery, "idempotent"),
  Rpc.make("Others", { payload: label }),
  Rpc.make("Burst", { payload: { count: Schema.Number } }),
  Rpc.make("Blow", { payload: { size: Schema.Number } }),
  Rpc.make("Rename", { payload: { name: Schema.String } }),
  Rpc.make("WhoAmI", { success: Schema.Struct({ id: Schema.Number, name: Schema.String, online: Schema.Number }) }),
  Rpc.make("Leave", { payload: { reason: Schema.String } })
)

const definition = {
  params: Schema.Struct({ who: Schema.String }),
  connectError: Turned,
  rpcs,
  events: { added: Added, tick: Schema.Number, blob: Schema.String }
}

export class Tally extends Actor.Tag<Tally>()("Tally", definition) {}

/** The same actor, as a client of a newer version sees it: it knows an rpc and an event that the server does not. */
export class NewerTally extends Actor.Tag<NewerTally>()("Tally", {
  ...definition,
  rpcs: rpcs.add(Rpc.make("Unheard", { success: Schema.Number })),
  events: { ...definition.events, unheard: Schema.Number }
}) {}

/** What the tests see of the actor, and how they steer it. Shared by all servers of a test. */
export class Trace {
  /** What hooks and handlers did, in order. */
  readonly log: Array<string> = []
  /** Runs in `onBeforeConnect`. */
  preflight: Effect.Effect<void, Turned> = Effect.void
  private readonly gates = new Map<string, Deferred.Deferred<void>>()

  note(entry: string): Effect.Effect<void> {
    return Effect.sync(() => void this.log.push(entry))
  }

  count(entry: string): number {
    return this.log.filter((noted) => noted === entry).length
  }

  /** The entries that begin so. */
  entries(prefix: string): ReadonlyArray<string> {
    return this.log.filter((noted) => noted.startsWith(prefix))
  }

  gate(name: string): Deferred.Deferred<void> {
    const known = this.gates.get(name)
    if (known) return known
    const made = Effect.runSync(Deferred.make<void>())
    this.gates.set(name, made)
    return made
  }

  open(name: string): Effect.Effect<boolean> {
    return Deferred.succeed(this.gate(name), undefined)
  }
}

export const TallyState = Schema.Struct({ labels: Schema.Array(Schema.String) })

const endOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isSuccess(exit) ? (exit.value as { readonly _tag: string })._tag : "failed"

export const layerTally = (trace: Trace) =>
  Tally.toLayer(
    { state: TallyState, initialState: () => ({ labels: [] }), connection: Schema.Struct({ name: Schema.String }) },
    (room) =>
      Effect.gen(function*() {
        yield* Effect.acquireRelease(trace.note("build"), () => trace.note("unbuild"))
        const add = (label: string) =>
          Effect.gen(function*() {
            const count = yield* Ref.modify(
              room.state,
              ({ labels }) => [labels.length + 1, { labels: [...labels, label] }]
            )
            yield* room.broadcast("added", { label, count })
            return count
          })
        const hold = ({ label, gate }: { readonly label: string; readonly gate: string }) =>
          trace.note(`hold ${label}`).pipe(
            Effect.zipRight(Deferred.await(trace.gate(gate))),
            Effect.onInterrupt(() => trace.note(`interrupted ${label}`)),
            Effect.zipRight(add(label))
          )
        return room.behavior({
          onBeforeConnect: ({ params }) =>
            trace.note(`preflight ${params.who}`).pipe(
              Effect.zipRight(Effect.suspend(() => trace.preflight)),
              Effect.as({ name: params.who })
            ),
          onConnect: (connection) =>
            Effect.acquireRelease(
              trace.note(`acquire ${connection.params.who}`),
              (_, exit) => trace.note(`release ${connection.params.who} ${endOf(exit)}`)
            ),
          onDisconnect: (connection, reason) => trace.note(`disconnect ${connection.params.who} ${reason._tag}`),
          rpcs: {
            Add: ({ label }) => Effect.zipRight(trace.note(`add ${label}`), add(label)),
            AddAndFail: ({ label }) => Effect.zipRight(add(label), new Refusal({ label })),
            Hold: hold,
            HoldOn: (payload) => Effect.uninterruptible(hold(payload)),
            Once: hold,
            Again: hold,
            Others: ({ label }) =>
              Effect.flatMap(room.caller, (except) => room.broadcast("added", { label, count: 0 }, { except })),
            Burst: ({ count }) =>
              Effect.forEach(Array.from({ length: count }, (_, i) => i + 1), (i) => room.broadcast("tick", i), {
                discard: true
              }),
            Blow: ({ size }) => room.broadcast("blob", "x".repeat(size)),
            Rename: ({ name }) => Effect.flatMap(room.caller, ({ state }) => Ref.set(state, { name })),
            WhoAmI: () =>
              Effect.gen(function*() {
                const { id, state } = yield* room.caller
                const online = HashMap.size(yield* Ref.get(room.connections))
                return { id, name: (yield* Ref.get(state)).name, online }
              }),
            Leave: ({ reason }) => Effect.flatMap(room.caller, (caller) => caller.disconnect(reason))
          }
        })
      })
  )
