/** A store file in which somebody has written: what is read back is an actor, or is refused, and nobody else is harmed. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorHost, LocalTransport } from "@troupe/server"
import { RawClient } from "@troupe/testing"
import { Effect, FastCheck as fc, Layer, Logger, Ref, Schema } from "effect"
import Database from "libsql"
import * as Directory from "./utils/Directory.ts"
import { until } from "./utils/until.ts"

const secret = "4711-is-a-secret"

const Entry = Schema.Struct({ at: Schema.Date, text: Schema.NonEmptyString })

class Kept extends Actor.Tag<Kept>()("Kept", {
  rpcs: RpcGroup.make(Rpc.make("Entries", { success: Schema.Array(Entry) }), Rpc.make("Add", { success: Schema.Int })),
  internal: RpcGroup.make(Rpc.make("Enter", { payload: { entry: Entry } }))
}) {}

const layerKept = Kept.toLayer(
  { state: Schema.Array(Entry), initialState: () => [] },
  (kept) =>
    Effect.succeed(kept.behavior({
      rpcs: {
        Entries: () => Ref.get(kept.state),
        Add: () =>
          Effect.map(
            Ref.updateAndGet(kept.state, (all) => [...all, { at: new Date(0), text: "added" }]),
            (all) => all.length
          )
      },
      internal: { Enter: ({ entry }) => Ref.update(kept.state, (all) => [...all, entry]) }
    }))
)

/** What a column may hold: anything that SQLite has, and most often a text that was a good one. */
const column = (good: string) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(good) },
    {
      weight: 5,
      arbitrary: fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 5 }), fc.string({ maxLength: 3 })).map(
        ([from, length, instead]) => good.slice(0, from) + instead + good.slice(from + length)
      )
    },
    { weight: 2, arbitrary: fc.nat({ max: good.length }).map((length) => good.slice(0, length)) },
    { weight: 2, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 50 }) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 1, arbitrary: fc.double({ noNaN: true }) }
  )

const session = "0123456789abcdef0123456789abcdef"

const entry = JSON.stringify({ at: new Date(0), text: secret })
const exit = JSON.stringify({ _tag: "Success", value: [JSON.parse(entry)] })

/** The same answer, as none of us writes it. */
const otherwise = [
  exit.replace("}", `,"more":1}`),
  `{"_tag":"Success","value":1,"value":[${entry}]}`,
  `{"_tag":"Success","value":[${entry}] , "_tag":"Success"}`,
  `{"value":[${entry}],"_tag":"Success"}`
]

const bodyOf = (first: string) => JSON.stringify([[session, 1, first], [session, 2, exit]])

const rows = fc.record({
  state: column(`[${entry}]`),
  body: fc.oneof(column(bodyOf(exit)), fc.constantFrom(...otherwise).map(bodyOf)),
  tag: fc.oneof(fc.constant("Enter"), fc.string({ maxLength: 10 })),
  payload: column(`{"entry":${entry}}`),
  due: fc.constantFrom(0, 1, 2 ** 52)
})

const count = 300

/** Asks for an answer that it has not got, and makes another call. Says what it came to. */
const visit = (i: number, row: unknown) =>
  Effect.gen(function*() {
    const raw = yield* RawClient.make
    const ended = () => raw.heard.find(({ _tag }) => _tag === "Refused" || _tag === "Close")
    const wait = (tag: string, times: number) =>
      until(
        () => ended() !== undefined || raw.heard.filter(({ _tag }) => _tag === tag).length >= times,
        `${times} ${tag} of ${i}: ${JSON.stringify(row)}`
      )
    yield* raw.say(RawClient.hello, RawClient.open(Kept, `${i}`, { session, opening: 9, pending: [1] }))
    yield* wait("Opened", 1)
    // what was recorded is told, or the call is run; the next one runs
    yield* raw.say(RawClient.request(1, "Add"), RawClient.request(2, "Add", undefined, { call: 3 }))
    yield* wait("Message", 2)
    yield* raw.close
    const end = ended()
    return end ? (end.reason as { readonly _tag: string })._tag : "Opened"
  }).pipe(
    // it came to an activation that an alarm had begun and that could not go on; a client tries again, too
    Effect.repeat({ while: (what) => what === "ActivationLost" })
  )

it.scopedLive("X3 rows that nobody of us has written are read, or refused without a word of what stands in them", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    // makes the tables
    yield* Effect.scoped(Layer.build(SqliteStore.layer({ filename })))
    const db = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(filename)),
      (db) => Effect.sync(() => db.close())
    )
    const insertActor = db.prepare(
      `INSERT INTO actor(name, key, incarnation, epoch, version, state, reply_seq, reply_at, reply_body)
       VALUES('Kept', ?, 0, 1, 1, ?, 1, ?, ?)`
    )
    const insertAlarm = db.prepare(
      `INSERT INTO alarm(name, key, id, due, tag, payload, attempt, firing) VALUES('Kept', ?, 'a', ?, ?, ?, 0, '1.1')`
    )
    const samples = fc.sample(rows, count)
    samples.forEach(({ body, due, payload, state, tag }, i) => {
      insertActor.run(`${i}`, state, Date.now(), body)
      insertAlarm.run(`${i}`, due, tag, payload)
    })
    const stateOf = db.prepare("SELECT state, version FROM actor WHERE key = ?")

    const logs: Array<string> = []
    const keepLogs = Logger.replace(
      Logger.defaultLogger,
      Logger.map(Logger.stringLogger, (line) => void logs.push(line))
    )
    const Live = ActorClient.layer().pipe(
      Layer.provideMerge(LocalTransport.layer({ actors: [Kept], refusalsPerSecond: Infinity })),
      Layer.provide(layerKept),
      Layer.provide(ActorHost.layer()),
      Layer.provide(SqliteStore.layer({ filename })),
      Layer.provide(keepLogs)
    )
    const told: Record<string, number> = {}
    yield* Effect.gen(function*() {
      const healthy = yield* ActorClient.connect(Kept, "healthy")
      for (let i = 0; i < count; i++) {
        const before = stateOf.raw().get(`${i}`)
        const what = yield* visit(i, samples[i]!)
        told[what] = (told[what] ?? 0) + 1
        if (what !== "Opened") {
          assert.strictEqual(what, "Unavailable")
          // nothing was changed, unless by an alarm that could be read
          if (samples[i]!.due > 1) assert.deepStrictEqual(stateOf.raw().get(`${i}`), before)
        }
        assert.strictEqual(yield* healthy.rpc.Add(), i + 1)
      }
    }).pipe(Effect.provide(Live), Effect.scoped)
    console.log(`rows: ${JSON.stringify(told)}`)
    assert.isAbove(told["Opened"] ?? 0, count / 20)
    assert.isAbove(told["Unavailable"] ?? 0, count / 20)
    assert.isAbove(logs.length, 0)
    assert.notInclude(logs.join("\n"), secret)
  }))
