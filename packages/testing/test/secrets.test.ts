/** A whole run, with everything that can go wrong in it, and no secret of it in any log or span. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError } from "@troupe/contract"
import { MemoryTransport, RawClient, TestHost, TestKit, TestStore, TestTime } from "@troupe/testing"
import { Cause, Effect, Exit, Fiber, HashMap, Inspectable, Layer, Logger, LogLevel, Ref, Schema, Stream } from "effect"
import { inspect } from "node:util"
import * as Lab from "./support/lab.ts"
import { RecordingTracer } from "./support/tracer.ts"

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}
class Empty extends Schema.TaggedError<Empty>()("Empty", {}) {}

class Safe extends Actor.Tag<Safe>()("SecretSafe", {
  internal: RpcGroup.make(Rpc.make("Keep", { payload: { text: Schema.String }, success: Schema.Int, error: Empty }))
}) {}

class Bank extends Actor.Tag<Bank>()("SecretBank", {
  params: Schema.Struct({ token: Schema.String.pipe(Schema.minLength(20)) }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Put", { payload: { text: Schema.String }, success: Schema.Int, error: Empty }),
    Rpc.make("Pin", { payload: { pin: Schema.String.pipe(Schema.minLength(99)) } }),
    Rpc.make("Die", { payload: { text: Schema.String } }),
    Rpc.make("Bad", { payload: { text: Schema.String }, success: Schema.NonEmptyString }),
    Rpc.make("Wait", { payload: { text: Schema.String } }),
    Rpc.make("Watch", { payload: { text: Schema.String }, success: Schema.String, stream: true }),
    Rpc.make("Later", { payload: { text: Schema.String } }),
    Rpc.make("End")
  ),
  internal: RpcGroup.make(Rpc.make("Ring", { payload: { text: Schema.String } })),
  events: { put: Schema.String, moved: Actor.latest(Schema.String) }
}) {}

/** The same contract, as somebody sees it who does not know its rules. */
class Loose extends Actor.Tag<Loose>()("SecretBank", {
  params: Schema.Unknown,
  rpcs: RpcGroup.make(
    Rpc.make("Pin", { payload: { pin: Schema.Unknown } }),
    Rpc.make("Nothing", { payload: { text: Schema.String } })
  )
}) {}

const secret = (name: string) => `secret-${name}-hush`

const params = { token: secret("token-of-ann") }

const SafeLive = Safe.toLayer({ state: Schema.Int, initialState: () => 0 }, (safe) =>
  Effect.succeed(safe.behavior({
    internal: {
      Keep: ({ text }) => text === "" ? new Empty() : Ref.updateAndGet(safe.state, (count) => count + 1)
    }
  })))

const BankLive = Bank.toLayer(
  { state: Schema.Array(Schema.String), initialState: () => [], connection: Schema.String },
  (bank) =>
    Effect.gen(function*() {
      const safes = yield* Safe.client
      return bank.behavior({
        onBeforeConnect: ({ params: { token } }) => {
          if (token === secret("token-of-nobody")) return new Denied()
          // what it returns does not fit, and has the token in it
          if (token === secret("token-of-mistake")) return Effect.succeed({ token } as never)
          return Effect.succeed(token)
        },
        onConnect: () => Effect.acquireRelease(Effect.logDebug("comes"), () => Effect.logDebug("goes")),
        rpcs: {
          Put: ({ text }) =>
            safes.get("a").Keep({ text }).pipe(
              Effect.catchIf((error) => error._tag !== "Empty", Effect.die),
              Effect.zipLeft(Ref.update(bank.state, (all) => [...all, text])),
              Effect.zipLeft(bank.broadcast("put", text)),
              Effect.zipLeft(bank.broadcast("moved", text))
            ) as Effect.Effect<number, Empty>,
          Pin: () => Effect.void,
          Die: () => Effect.dieMessage("as it was asked to"),
          Bad: ({ text }) => Effect.as(bank.broadcast("put", 471_147_114_711 as never), text.slice(0, 0)),
          Wait: () => Effect.never,
          Watch: ({ text }) => Stream.concat(Stream.make(text, text), Stream.never),
          Later: ({ text }) => Effect.orDie(bank.alarm("1 minute", "Ring", { text })),
          End: () => bank.destroy
        },
        internal: { Ring: () => Effect.dieMessage("nobody listens") }
      })
    })
)

/** All that is logged, in words: message, cause, annotations and spans. */
const keepLogs = (lines: Array<string>) =>
  Layer.merge(
    Logger.replace(
      Logger.defaultLogger,
      Logger.make((entry) => {
        const { annotations, cause, message, spans } = entry
        lines.push(JSON.stringify([message, Cause.pretty(cause), cause, HashMap.toEntries(annotations), [...spans]]))
      })
    ),
    Logger.minimumLogLevel(LogLevel.All)
  )

const spansOf = (tracer: RecordingTracer) =>
  JSON.stringify(
    tracer.spans.map(({ attributes, events, exit, name }) => [
      name,
      [...attributes],
      events,
      exit && Exit.isFailure(exit) ? [Cause.pretty(exit.cause), exit.cause] : "ok"
    ]),
    (_, value) => typeof value === "bigint" ? String(value) : value
  )

/** What a session is known by on the wire, both sides of it. */
const secretsIn = (text: string) => Array.from(text.matchAll(/"(?:session|token)":"([0-9a-f]{32})"/g), ([, id]) => id!)

const connect = (token: string, key = "a") =>
  ActorClient.connect(Bank, key, { params: { token }, events: ["put", "moved"] })

const run = Effect.gen(function*() {
  const network = yield* MemoryTransport.MemoryNetwork
  const host = yield* TestHost.TestHost
  const store = yield* TestStore.TestStore
  const wire: Array<string> = []
  yield* network.onMessage(({ text }) => void wire.push(text))

  const bank = yield* connect(params.token)
  const events = yield* Effect.fork(Stream.runDrain(yield* bank.events("put")))
  yield* bank.rpc.Put({ text: secret("text") })

  // refused: by the hook, by the schema, by the type of what the hook returns
  for (const token of [secret("token-of-nobody"), secret("token-of-mistake"), "secret-hush-short"]) {
    assert.isTrue(Exit.isFailure(yield* Effect.exit(connect(token as never))))
  }
  for (const params of [{ token: { secret: secret("object") } }, secret("params"), { [secret("field")]: 1 }]) {
    assert.isTrue(Exit.isFailure(yield* Effect.exit(ActorClient.connect(Loose, "a", { params }))))
  }
  const loose = yield* ActorClient.connect(Loose, "a", { params })
  for (const pin of [secret("pin"), { pin: secret("pin-of-object") }]) {
    const rejected = yield* Effect.flip(loose.rpc.Pin({ pin }))
    assert.instanceOf(rejected, ConnectionError.CallRejected)
    assert.include(rejected.message, "hush", "its own client is told what is wrong")
  }
  yield* Effect.flip(loose.rpc.Nothing({ text: secret("nothing") }))

  // calls that end badly
  yield* Effect.flip(bank.rpc.Put({ text: "" }))
  yield* Effect.exit(bank.rpc.Die({ text: secret("die") }))
  yield* Effect.exit(bank.rpc.Bad({ text: secret("bad") }))
  yield* Stream.runDrain(Stream.take(bank.rpc.Watch({ text: secret("stream") }), 1))
  yield* bank.rpc.Later({ text: secret("alarm") })
  const waits = yield* Effect.fork(bank.rpc.Wait({ text: secret("wait") }))
  yield* TestTime.pass("2 minutes")
  yield* Fiber.interrupt(waits)

  // strangers
  const raw = yield* RawClient.make
  yield* raw.say(RawClient.hello, RawClient.open(Bank, "a", { params, session: "5e".repeat(16) }))
  yield* raw.say({
    _tag: "Resume",
    channel: 2,
    contract: "SecretBank",
    key: "a",
    connectionId: 1,
    received: 0,
    resumption: 1,
    token: "7e".repeat(16)
  })
  yield* raw.say(RawClient.request(9, "Put", { text: secret("out of order") }))
  yield* raw.sayText(`[{"_tag":"Message","channel":1,"seq":1,"payload":"${secret("frame")}"}]`)
  yield* (yield* RawClient.make).sayText(secret("text that is no frame"))

  // a short drop, a long one, a store that fails, a crash, a restart, an end
  yield* network.cut
  yield* TestTime.pass("5 seconds")
  yield* bank.rpc.Put({ text: secret("after a drop") })
  yield* network.setReachability("refused")
  yield* network.cut
  const offline = yield* Effect.fork(bank.rpc.Put({ text: secret("offline") }))
  yield* TestTime.pass("10 minutes")
  yield* network.setReachability("reachable")
  yield* TestTime.pass("1 minute")
  yield* Fiber.join(offline)
  for (const how of ["failed", "superseded", "before"] as const) {
    yield* store.fail(how)
    const failed = yield* Effect.fork(bank.rpc.Put({ text: secret(`with a store that has ${how}`) }))
    yield* TestTime.pass("1 minute")
    yield* store.recover
    yield* TestTime.pass("1 minute")
    yield* Fiber.join(failed)
  }
  const crashed = yield* Effect.fork(bank.rpc.Put({ text: secret("crash") }))
  yield* host.crash
  yield* TestTime.pass("1 minute")
  yield* host.start
  yield* TestTime.pass("1 minute")
  yield* Fiber.join(crashed)
  yield* Effect.fork(host.stop)
  yield* TestTime.pass("1 minute")
  yield* host.start
  yield* TestTime.pass("1 minute")
  yield* bank.rpc.Put({ text: secret("after a restart") })
  yield* bank.rpc.End()
  yield* Fiber.await(events)
  return wire
})

it.scoped("X5 a whole run has no token, no parameter, no session and no value of a rejected call in logs or spans", () =>
  Effect.gen(function*() {
    const tracer = new RecordingTracer()
    const lines: Array<string> = []
    const Live = TestKit.layer({ actors: [Bank], implementations: Layer.provide(BankLive, SafeLive) }).pipe(
      Layer.provideMerge(keepLogs(lines))
    )
    const wire = yield* tracer.with(Effect.provide(Effect.scoped(run), Live))
    const told = { logs: lines.join("\n"), spans: spansOf(tracer) }
    // they do tell something
    assert.include(told.logs, "as it was asked to")
    assert.include(told.logs, "activation lost")
    assert.include(told.spans, "CallRejected")
    assert.isAbove(tracer.spans.length, 30)
    const sessions = new Set(secretsIn(wire.join("\n")))
    assert.isAbove(sessions.size, 8)
    for (const [where, text] of Object.entries(told)) {
      for (const secret of ["hush", "471147114711"]) assert.notInclude(text, secret, where)
      for (const id of sessions) assert.notInclude(text, id, where)
    }
  }))

it.effect("X5 what a handler logs of its connection, its state and its actor is a name, not the secrets behind it", () =>
  Lab.run(Effect.gen(function*() {
    const probe = yield* Lab.Probe
    const texts: Array<string> = []
    const shown = (value: unknown) => [inspect(value, { depth: 20 }), JSON.stringify(value), Inspectable.format(value)]
    probe.scripts["log"] = (room) =>
      Effect.gen(function*() {
        const connection = yield* room.caller
        const all = yield* Ref.get(room.connections)
        for (const value of [connection, connection.state, room.state, room.connections, all, room]) {
          texts.push(...shown(value), ...shown({ value }))
        }
        return "logged"
      })
    const ann = yield* Lab.connect("ann")
    yield* ann.rpc.Run({ script: "log" })
    assert.lengthOf(texts, 36)
    // tokens and the names of sessions are 32 hexadecimal digits
    for (const text of texts) assert.notMatch(text, /[0-9a-f]{32}/)
    for (const text of texts) assert.isBelow(text.length, 200)
    assert.include(texts[0], "_id: 'Connection'")
    assert.include(texts.at(-1), "\"key\": \"main\"")
  })))
