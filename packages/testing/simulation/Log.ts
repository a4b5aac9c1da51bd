/**
 * The actors of the simulation: logs that keep every operation they are told, in order. The log is the linear order of
 * all operations on it, so that whatever a client was told can be compared with it.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor, Delivery } from "@troupe/contract"
import { Effect, HashMap, Random, Ref, Schema, Stream } from "effect"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { op: Schema.String }) {}

const op = { op: Schema.String }

/** Where the operation stands in the log, counted through all its lives. */
const Index = Schema.Int

export const Entry = Schema.Struct({ log: Schema.String, op: Schema.String, index: Index })

/** What a log has had when it ended, in its last life, and how many operations were before that. */
export const Life = Schema.Struct({ base: Schema.Int, ops: Schema.Array(Schema.String) })

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
    /** Adds it, and the ring of a timer to come: in place of one that was set before. */
    Rpc.make("SetTimer", { payload: op, success: Index }),
    Rpc.make("CancelTimer", { payload: op, success: Index }),
    /** Disconnects whoever is connected then, and may be away, a while later. */
    Rpc.make("Dismiss"),
    /** Adds it here, and to another log, which ends with that. */
    Rpc.make("End", { payload: { op: Schema.String, to: Schema.String }, success: Index }),
    Actor.forked(Rpc.make("AddBeside", { payload: op, success: Index })),
    Rpc.make("Length", { success: Schema.Int }),
    Rpc.make("All", { success: Schema.Array(Schema.String) }),
    Rpc.make("Follow", { payload: { from: Schema.Int, to: Schema.Int }, success: Entry, stream: true }),
    /** The numbers below `to`, some at a time. */
    Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true })
  ),
  internal: RpcGroup.make(
    Rpc.make("Receive", { payload: op, success: Index }),
    Actor.forked(Rpc.make("ReceiveBeside", { payload: op, success: Index })),
    Rpc.make("Later", { payload: op }),
    Rpc.make("Ring", { payload: op }),
    Rpc.make("DismissAll"),
    Rpc.make("Finish", { payload: op, success: Life })
  ),
  events: { added: Entry, newest: Actor.latest(Entry) }
}) {}

/** The name of who looks at the logs when all is over. Nothing happens because of it. */
export const onlooker = "afterwards"

const timer = "timer"

/** What a timer adds that was set by an operation. */
export const ringOf = (op: string) => `ring of ${op}`

/** What is added when a connection has ended. */
const farewellOf = (id: number) => `farewell of ${id}`

/** The connection whose end has added it, if one has. */
export const connectionOf = (op: string): string | undefined => /^farewell of (\d+)$/.exec(op)?.[1]

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
  /** How many operations a log had in its lives that have ended. */
  readonly before: (log: string) => number
  /** A log has been told what another one has had when it ended with an operation. */
  readonly finished: (op: string, life: typeof Life.Type) => void
}

/** How logs behave. */
export interface Manners {
  readonly durability: "commit" | "memory"
  /** How often `onConnect` takes its time, and how often it dies then. */
  readonly hesitation: number
  /** Whether `onDisconnect` adds something. */
  readonly farewells: boolean
}

export const logLive = (watch: Watch, { durability, farewells, hesitation }: Manners) =>
  Log.toLayer(
    {
      durability,
      state: Schema.Struct({ base: Schema.Int, ops: Schema.Array(Op) }),
      initialState: (key) => ({ base: watch.before(key), ops: [] })
    },
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
            const index = yield* Ref.modify(
              log.state,
              ({ base, ops }) => [base + ops.length, { base, ops: [...ops, op] }]
            )
            yield* log.broadcast("added", { log: log.key, op, index })
            yield* log.broadcast("newest", { log: log.key, op, index })
            return index
          })
        const addBeside = (op: string) => Effect.zipRight(Effect.sleep("1 second"), log.turn(add(op)))
        const length = Effect.map(Ref.get(log.state), ({ base, ops }) => base + ops.length)
        /** The second time nothing is added. */
        const addUnlessThere = (op: string) =>
          Effect.flatMap(
            Ref.get(log.state),
            ({ base, ops }) => ops.includes(op) ? Effect.succeed(base + ops.indexOf(op)) : add(op)
          )
        return log.behavior({
          onConnect: ({ id, params }) =>
            Effect.gen(function*() {
              const all = HashMap.toValues(yield* Ref.get(log.connections))
              watch.together(`${log.key} ${id}`, all.filter((other) => other.params.name === params.name).length)
              yield* Effect.acquireRelease(
                Effect.sync(() => watch.acquired(`${log.key} ${id}`)),
                () => Effect.sync(() => watch.released(`${log.key} ${id}`))
              )
              if (hesitation > 0 && params.name !== onlooker) yield* hesitate
              watch.entered(`${log.key} ${id}`)
            }),
          onDisconnect: ({ id, params }) =>
            Effect.zipRight(
              Effect.sync(() => watch.left(`${log.key} ${id}`)),
              farewells && params.name !== onlooker ? add(farewellOf(id)) : Effect.void
            ),
          rpcs: {
            Add: ({ op }) => add(op),
            Refuse: ({ op }) => Effect.zipRight(add(op), new Refused({ op })),
            AddIfOdd: ({ op }) => Effect.flatMap(length, (length) => length % 2 === 0 ? new Refused({ op }) : add(op)),
            Poison: ({ op }) => Ref.update(log.state, ({ base, ops }) => ({ base, ops: [...ops, op, poison] })),
            Forward: ({ op, to }) =>
              Effect.gen(function*() {
                const index = yield* add(op)
                yield* Effect.orDie(logs.get(to).Receive({ op }))
                return index
              }),
            AddOnce: ({ op }) => add(op),
            AddAgain: ({ op }) => addUnlessThere(op),
            AddLater: ({ op }) => Effect.orDie(log.alarm("3 seconds", "Later", { op }, { id: op })),
            SetTimer: ({ op }) =>
              Effect.zipLeft(add(op), Effect.orDie(log.alarm("3 seconds", "Ring", { op }, { id: timer }))),
            CancelTimer: ({ op }) => Effect.zipLeft(add(op), log.cancelAlarm(timer)),
            Dismiss: () => Effect.orDie(log.alarm("2 seconds", "DismissAll")),
            End: ({ op, to }) =>
              Effect.gen(function*() {
                const index = yield* add(op)
                watch.finished(op, yield* Effect.orDie(logs.get(to).Finish({ op })))
                return index
              }),
            AddBeside: ({ op }) => addBeside(op),
            Length: () => length,
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
            ReceiveBeside: ({ op }) => addBeside(op),
            Later: ({ op }) => Effect.asVoid(add(op)),
            Ring: ({ op }) => Effect.asVoid(add(ringOf(op))),
            Finish: ({ op }) => Effect.zipRight(Effect.zipRight(add(op), log.destroy), Ref.get(log.state)),
            DismissAll: () =>
              Effect.flatMap(Ref.get(log.connections), (connections) =>
                Effect.forEach(HashMap.values(connections), (connection) => connection.disconnect("dismissed"), {
                  discard: true
                }))
          }
        })
      })
  )
