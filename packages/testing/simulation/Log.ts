/**
 * The actors of the simulation: logs that keep every operation they are told, in order. The log is the linear order of
 * all operations on it, so that whatever a client was told can be compared with it.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor, Delivery } from "@troupe/contract"
import { Effect, HashMap, Random, Ref, Schema, Stream } from "effect"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { op: Schema.String }) {}

const op = { op: Schema.String }

/** Where the operation stands in the log. */
const Index = Schema.Int

const Entry = Schema.Struct({ log: Schema.String, op: Schema.String, index: Index })

export class Log extends Actor.Tag<Log>()("Log", {
  params: Schema.Struct({ name: Schema.String }),
  rpcs: RpcGroup.make(
    Rpc.make("Add", { payload: op, success: Index }),
    /** Keeps nothing and fails, and that is kept. */
    Rpc.make("Refuse", { payload: op, error: Refused }),
    /** Adds it if there is an odd number of others, and fails otherwise: run later, it may end differently. */
    Rpc.make("AddIfOdd", { payload: op, success: Index, error: Refused }),
    /** Makes a state that cannot be stored. */
    Rpc.make("Poison", { payload: op }),
    /** Adds it here, and to another log. */
    Rpc.make("Forward", { payload: { op: Schema.String, to: Schema.String }, success: Index }),
    Rpc.make("AddOnce", { payload: op, success: Index }).annotate(Delivery.Delivery, "at-most-once"),
    Rpc.make("AddAgain", { payload: op, success: Index }).annotate(Delivery.Delivery, "idempotent"),
    /** Adds it a while later, as an alarm. */
    Rpc.make("AddLater", { payload: op }),
    /** Disconnects whoever is connected then, and may be away, a while later. */
    Rpc.make("Dismiss"),
    Actor.forked(Rpc.make("AddBeside", { payload: op, success: Index })),
    Rpc.make("Length", { success: Schema.Int }),
    Rpc.make("All", { success: Schema.Array(Schema.String) }),
    Rpc.make("Follow", { payload: { from: Schema.Int, to: Schema.Int }, success: Entry, stream: true }),
    /** The numbers below `to`, some at a time. */
    Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true })
  ),
  internal: RpcGroup.make(
    Rpc.make("Receive", { payload: op, success: Index }),
    Rpc.make("Later", { payload: op }),
    Rpc.make("DismissAll")
  ),
  events: { added: Entry }
}) {}

/** What no log can keep. */
const poison = "poison"

const Op = Schema.String.pipe(Schema.filter((text) => text !== poison))

/** What the simulation watches beside what clients see. */
export interface Watch {
  readonly acquired: (connection: string) => void
  /** `onConnect` has succeeded. */
  readonly entered: (connection: string) => void
  readonly released: (connection: string) => void
  readonly left: (connection: string) => void
  /** How many connections of one client there are when one of them is opened. */
  readonly together: (connection: string, count: number) => void
}

/** `hesitation` is how often `onConnect` takes its time, and how often it dies then. */
export const logLive = (watch: Watch, hesitation: number) =>
  Log.toLayer(
    { state: Schema.Struct({ ops: Schema.Array(Op) }), initialState: () => ({ ops: [] }) },
    (log) =>
      Effect.gen(function*() {
        const logs = yield* Log.client
        const hesitate = Effect.gen(function*() {
          if ((yield* Random.next) >= hesitation) return
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 3000))
          if ((yield* Random.next) < hesitation) return yield* Effect.dieMessage("nobody may come in now")
        })
        const add = (op: string) =>
          Effect.gen(function*() {
            const index = yield* Ref.modify(log.state, ({ ops }) => [ops.length, { ops: [...ops, op] }])
            yield* log.broadcast("added", { log: log.key, op, index })
            return index
          })
        /** The second time nothing is added. */
        const addUnlessThere = (op: string) =>
          Effect.flatMap(Ref.get(log.state), ({ ops }) => ops.includes(op) ? Effect.succeed(ops.indexOf(op)) : add(op))
        return log.behavior({
          onConnect: ({ id, params }) =>
            Effect.gen(function*() {
              const all = HashMap.toValues(yield* Ref.get(log.connections))
              watch.together(`${log.key} ${id}`, all.filter((other) => other.params.name === params.name).length)
              yield* Effect.acquireRelease(
                Effect.sync(() => watch.acquired(`${log.key} ${id}`)),
                () => Effect.sync(() => watch.released(`${log.key} ${id}`))
              )
              if (hesitation > 0 && params.name !== "afterwards") yield* hesitate
              watch.entered(`${log.key} ${id}`)
            }),
          onDisconnect: ({ id }) => Effect.sync(() => watch.left(`${log.key} ${id}`)),
          rpcs: {
            Add: ({ op }) => add(op),
            Refuse: ({ op }) => Effect.zipRight(add(op), new Refused({ op })),
            AddIfOdd: ({ op }) =>
              Effect.flatMap(Ref.get(log.state), ({ ops }) => ops.length % 2 === 0 ? new Refused({ op }) : add(op)),
            Poison: ({ op }) => Ref.update(log.state, ({ ops }) => ({ ops: [...ops, op, poison] })),
            Forward: ({ op, to }) =>
              Effect.gen(function*() {
                const index = yield* add(op)
                yield* Effect.orDie(logs.get(to).Receive({ op }))
                return index
              }),
            AddOnce: ({ op }) => add(op),
            AddAgain: ({ op }) => addUnlessThere(op),
            AddLater: ({ op }) => Effect.orDie(log.alarm("3 seconds", "Later", { op }, { id: op })),
            Dismiss: () => Effect.orDie(log.alarm("2 seconds", "DismissAll")),
            AddBeside: ({ op }) => Effect.zipRight(Effect.sleep("1 second"), log.turn(add(op))),
            Length: () => Effect.map(Ref.get(log.state), ({ ops }) => ops.length),
            All: () => Effect.map(Ref.get(log.state), ({ ops }) => ops),
            Follow: ({ from, to }) =>
              Stream.repeatEffect(Effect.zipRight(Effect.sleep("100 millis"), Ref.get(log.state))).pipe(
                Stream.mapAccum(from, (next, { ops }) => {
                  const end = Math.min(ops.length, to)
                  return [
                    Math.max(next, end),
                    ops.slice(next, end).map((op, i) => ({ log: log.key, op, index: next + i }))
                  ]
                }),
                Stream.mapConcat((entries) => entries),
                Stream.take(to - from)
              ),
            Count: ({ to }) => Stream.rechunk(Stream.range(0, to - 1), 3)
          },
          internal: {
            Receive: ({ op }) => add(op),
            Later: ({ op }) => Effect.asVoid(add(op)),
            DismissAll: () =>
              Effect.flatMap(Ref.get(log.connections), (connections) =>
                Effect.forEach(HashMap.values(connections), (connection) => connection.disconnect("dismissed"), {
                  discard: true
                }))
          }
        })
      })
  )
