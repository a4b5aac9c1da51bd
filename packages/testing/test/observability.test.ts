/** What is seen of calls from outside: spans, metrics and logs. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { ActorClient, Metrics as ClientMetrics } from "@troupe/client"
import { Actor, ConnectionError } from "@troupe/contract"
import { ActorHost, Metrics } from "@troupe/server"
import { MemoryTransport, TestKit, TestStore, TestTime } from "@troupe/testing"
import {
  Cause,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  HashMap,
  Layer,
  Logger,
  Metric,
  MetricState,
  Ref,
  Schedule,
  Schema,
  type Scope,
  Stream,
  TestClock
} from "effect"
import { RecordingTracer } from "./support/tracer.ts"

class Sold extends Schema.TaggedError<Sold>()("Sold", {}) {}

class Stock extends Actor.Tag<Stock>()("ObservedStock", {
  internal: RpcGroup.make(Rpc.make("Take", { payload: { by: Schema.Int }, success: Schema.Int, error: Sold }))
}) {}

class Shop extends Actor.Tag<Shop>()("ObservedShop", {
  params: Schema.Struct({ token: Schema.String }),
  rpcs: RpcGroup.make(
    Rpc.make("Buy", { payload: { by: Schema.Int }, success: Schema.Int, error: Sold }),
    Rpc.make("Count", { success: Schema.Int }),
    Rpc.make("Wait", { success: Schema.String }),
    Rpc.make("Die"),
    Rpc.make("Watch", { success: Schema.Int, stream: true }),
    Actor.forked(Rpc.make("Long", { success: Schema.String })),
    Rpc.make("Later", { payload: { fails: Schema.Boolean } }),
    Rpc.make("Pin", { payload: { pin: Schema.String.pipe(Schema.minLength(40)) } })
  ),
  internal: RpcGroup.make(Rpc.make("Close", { payload: { fails: Schema.Boolean } })),
  events: { sold: Schema.Int }
}) {}

/** A part of it dies, the one that a connection names. */
class Frail extends Actor.Tag<Frail>()("ObservedFrail", {
  params: Schema.Struct({ part: Schema.Literal("onBeforeConnect", "onConnect", "release", "onDisconnect") })
}) {}

const FrailLive = Frail.toLayer({ state: Schema.Void, initialState: () => undefined }, (frail) => {
  const dies = (part: string, named: { readonly part: string }) =>
    part === named.part ? Effect.dieMessage(part) : Effect.void
  return Effect.succeed(frail.behavior({
    onBeforeConnect: ({ params }) => dies("onBeforeConnect", params),
    onConnect: ({ params }) =>
      Effect.zipRight(Effect.addFinalizer(() => dies("release", params)), dies("onConnect", params)),
    onDisconnect: ({ params }) => dies("onDisconnect", params)
  }))
})

/** What a test holds back, and what was logged. */
class Desk extends Context.Tag("test/Desk")<Desk, {
  readonly gate: Deferred.Deferred<void>
  readonly waits: Deferred.Deferred<void>
  readonly logs: Array<{ readonly message: string; readonly annotations: Record<string, unknown> }>
}>() {}

const StockLive = Stock.toLayer({ state: Schema.Int, initialState: () => 3 }, (stock) =>
  Effect.succeed(stock.behavior({
    internal: {
      Take: ({ by }) =>
        Effect.flatMap(Ref.get(stock.state), (left) =>
          left < by ? new Sold() : Effect.as(Ref.set(stock.state, left - by), left - by))
    }
  })))

const ShopLive = Shop.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (shop) =>
    Effect.gen(function*() {
      const { gate, waits } = yield* Desk
      const stocks = yield* Stock.client
      yield* Effect.log("build")
      const held = Effect.zipRight(Deferred.succeed(waits, undefined), Effect.interruptible(Deferred.await(gate)))
      return shop.behavior({
        onBeforeConnect: () => Effect.log("onBeforeConnect"),
        onConnect: () => Effect.acquireRelease(Effect.log("onConnect"), () => Effect.log("release")),
        onDisconnect: () => Effect.log("onDisconnect"),
        rpcs: {
          Buy: ({ by }) =>
            stocks.get("main").Take({ by }).pipe(
              Effect.catchTags({ ActorOverloaded: Effect.die, ActorUnavailable: Effect.die, CallTimeout: Effect.die }),
              Effect.catchTags({ ActorDestroyed: Effect.die, CallCycle: Effect.die }),
              Effect.zipLeft(Ref.update(shop.state, (sold) => sold + by)),
              Effect.zipLeft(shop.broadcast("sold", by)),
              Effect.withSpan("till")
            ),
          Count: () => Effect.zipRight(Effect.log("counting"), Ref.get(shop.state)),
          Wait: () => Effect.as(held, "waited"),
          Die: () => Effect.dieMessage("a secret of the server"),
          Watch: () => Stream.tap(Stream.make(1, 2, 3), () => Effect.withSpan(Effect.void, "value")),
          Long: () => Effect.as(held, "long"),
          Later: ({ fails }) => shop.alarm("1 minute", "Close", { fails }),
          Pin: () => Effect.void
        },
        internal: {
          Close: ({ fails }) => fails ? Effect.dieMessage("closed") : Ref.update(shop.state, (sold) => sold + 1)
        }
      })
    })
)

const keepLogs = (logs: Context.Tag.Service<Desk>["logs"]) =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ annotations, message }) =>
      void logs.push({ message: String(message), annotations: Object.fromEntries(HashMap.toEntries(annotations)) })
    )
  )

const makeDesk = Effect.gen(function*() {
  return { gate: yield* Deferred.make<void>(), waits: yield* Deferred.make<void>(), logs: [] } as typeof Desk.Service
})

/** Everything in one process, traced or not. */
const run = <A, E>(
  body: Effect.Effect<
    A,
    E,
    ActorClient.ActorClient | Desk | MemoryTransport.MemoryNetwork | TestStore.TestStore | Shop | Scope.Scope
  >,
  tracer?: RecordingTracer
) =>
  Effect.gen(function*() {
    const desk = yield* makeDesk
    const live = ActorClient.layer().pipe(
      Layer.provideMerge(MemoryTransport.layerServer({ actors: [Shop] })),
      Layer.provideMerge(Layer.provideMerge(ShopLive, StockLive)),
      Layer.provide(ActorHost.layer()),
      Layer.provideMerge(MemoryTransport.layer),
      Layer.provideMerge(TestStore.layer),
      Layer.provideMerge(Layer.succeed(Desk, desk)),
      Layer.provide(keepLogs(desk.logs))
    )
    const all = Effect.provide(Effect.scoped(body), live)
    return yield* tracer ? tracer.with(all) : all
  })

const connect = (key = "a") => ActorClient.connect(Shop, key, { params: { token: "a secret token" }, events: ["sold"] })

describe("spans", () => {
  it.effect("a call has one span at the client and one at the actor, joined, and so do its calls to other actors", () =>
    Effect.gen(function*() {
      const tracer = new RecordingTracer()
      yield* run(
        Effect.gen(function*() {
          const shop = yield* connect()
          for (const left of [2, 1]) {
            assert.strictEqual(yield* Effect.withSpan(shop.rpc.Buy({ by: 1 }), "page"), left)
          }
        }),
        tracer
      )
      for (const i of [0, 1]) {
        const page = tracer.of("page", "internal")[i]!
        const client = tracer.of("ObservedShop/Buy", "client")[i]!
        const server = tracer.of("ObservedShop/Buy", "server")[i]!
        const till = tracer.of("till", "internal")[i]!
        const outgoing = tracer.of("ObservedStock/Take", "client")[i]!
        const callee = tracer.of("ObservedStock/Take", "server")[i]!
        assert.deepStrictEqual(
          [client, server, till, outgoing, callee].map(({ parentId }) => parentId),
          [page, client, server, till, outgoing].map(({ spanId }) => spanId)
        )
        for (const span of [client, server, till, outgoing, callee]) {
          assert.strictEqual(span.traceId, page.traceId, span.name)
          assert.isTrue(span.exit && Exit.isSuccess(span.exit), span.name)
        }
        assert.deepStrictEqual(client.eventNames, ["sent"])
        assert.deepStrictEqual(server.eventNames, ["started", "ended", "committed"])
        assert.deepStrictEqual(callee.eventNames, ["started", "ended", "committed"])
        assert.strictEqual(server.attributes.get("rpc.service"), "ObservedShop")
        assert.strictEqual(server.attributes.get("rpc.method"), "Buy")
        assert.strictEqual(server.attributes.get("troupe.key"), "a")
        assert.isNumber(server.attributes.get("troupe.connection"))
        assert.strictEqual(callee.attributes.get("troupe.source"), "internal")
      }
      assert.lengthOf(tracer.spans, 2 * 6)
    }))

  it.effect("where no tracer is installed there are none, and nothing of them is on the wire", () =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const body = Effect.gen(function*() {
        const network = yield* MemoryTransport.MemoryNetwork
        yield* network.onMessage(({ text }) => void texts.push(text))
        const shop = yield* connect()
        yield* shop.rpc.Buy({ by: 1 })
        yield* Stream.runDrain(shop.rpc.Watch())
      })
      yield* run(body)
      assert.isAbove(texts.length, 3)
      assert.notInclude(texts.join(), "traceId")
      // and none where one is installed and switched off
      const tracer = new RecordingTracer()
      yield* Effect.withTracerEnabled(run(body, tracer), false)
      assert.lengthOf(tracer.spans, 0)
      assert.notInclude(texts.join(), "traceId")
    }))

  it.effect("they tell the time in the queue, waiting to come back, in the mailbox and until the commit", () =>
    Effect.gen(function*() {
      const tracer = new RecordingTracer()
      yield* run(
        Effect.gen(function*() {
          const network = yield* MemoryTransport.MemoryNetwork
          const store = yield* TestStore.TestStore
          const desk = yield* Desk
          const shop = yield* connect()
          yield* network.setReachability("refused")
          yield* network.cut
          yield* TestTime.settle
          const bought = yield* Effect.fork(shop.rpc.Buy({ by: 1 }))
          yield* TestTime.settle
          yield* TestClock.adjust("5 seconds")
          yield* network.setReachability("reachable")
          yield* TestClock.adjust("30 seconds")
          yield* Fiber.join(bought)
          // one waits for the other's turn, and both for a commit
          const waits = yield* Effect.fork(shop.rpc.Wait())
          yield* Deferred.await(desk.waits)
          const counts = yield* Effect.fork(shop.rpc.Later({ fails: false }))
          yield* TestTime.settle
          yield* TestClock.adjust("2 seconds")
          yield* store.hold
          yield* Deferred.succeed(desk.gate, undefined)
          yield* store.waiting
          yield* TestClock.adjust("3 seconds")
          yield* store.release
          yield* Fiber.join(waits)
          yield* Fiber.join(counts)
        }),
        tracer
      )
      const bought = tracer.of("ObservedShop/Buy", "client")[0]!
      assert.deepStrictEqual(bought.eventNames.filter((name) => name !== "waiting"), ["connected", "sent"])
      assert.isAbove(bought.eventNames.length, 4)
      assert.strictEqual(bought.attributeOf("waiting", "cause"), "DialFailed")
      assert.isAbove(bought.attributeOf("connected", "backoff.millis") as number, 1000)
      assert.isAtLeast(bought.attributeOf("sent", "queue.millis") as number, 5000)
      const waited = tracer.of("ObservedShop/Wait", "server")[0]!
      assert.strictEqual(waited.attributeOf("started", "mailbox.millis"), 0)
      assert.strictEqual(waited.attributeOf("ended", "turn.millis"), 2000)
      const later = tracer.of("ObservedShop/Later", "server")[0]!
      assert.strictEqual(later.attributeOf("started", "mailbox.millis"), 2000)
      assert.strictEqual(later.attributeOf("committed", "commit.millis"), 3000)
    }))

  it.effect("streams, handlers beside the turns, alarms, and calls that end badly have theirs", () =>
    Effect.gen(function*() {
      const tracer = new RecordingTracer()
      yield* run(
        Effect.gen(function*() {
          const desk = yield* Desk
          const shop = yield* connect()
          yield* Stream.runDrain(shop.rpc.Watch())
          yield* Stream.runDrain(Stream.take(shop.rpc.Watch(), 1))
          const long = yield* Effect.fork(shop.rpc.Long())
          yield* Deferred.await(desk.waits)
          yield* Fiber.interrupt(long)
          yield* Effect.exit(shop.rpc.Buy({ by: 9 }))
          yield* Effect.exit(shop.rpc.Die())
          yield* shop.rpc.Later({ fails: false })
          yield* TestTime.settle
          yield* TestClock.adjust("61 seconds")
          yield* TestTime.settle
        }),
        tracer
      )
      const streams = ["client", "server"].map((kind) => tracer.of("ObservedShop/Watch", kind as "client"))
      assert.deepStrictEqual(streams.map(({ length }) => length), [2, 2])
      assert.strictEqual(streams[1]![0]!.parentId, streams[0]![0]!.spanId)
      assert.strictEqual(tracer.of("value", "internal")[0]!.parentId, streams[1]![0]!.spanId)
      const long = tracer.of("ObservedShop/Long", "server")[0]!
      assert.isTrue(Exit.isInterrupted(long.exit!), "the handler was interrupted")
      assert.isTrue(Exit.isInterrupted(tracer.of("ObservedShop/Long", "client")[0]!.exit!))
      const failed = tracer.of("ObservedShop/Buy", "server")[0]!.exit as Exit.Failure<never, never>
      assert.deepStrictEqual(Array.from(Cause.failures(failed.cause), ({ _tag }: Sold) => _tag), ["Sold"])
      const died = tracer.of("ObservedShop/Die", "server")[0]!.exit as Exit.Failure<never, never>
      assert.include(Cause.pretty(died.cause), "a secret of the server", "who runs the server sees the cause")
      const diedOutside = tracer.of("ObservedShop/Die", "client")[0]!.exit as Exit.Failure<never, never>
      assert.notInclude(Cause.pretty(diedOutside.cause), "secret")
      const alarm = tracer.of("ObservedShop/Close", "server")[0]!
      assert.strictEqual(alarm.attributes.get("troupe.source"), "alarm")
      assert.deepStrictEqual(alarm.eventNames, ["started", "ended", "committed"])
      for (const span of tracer.spans) assert.strictEqual(span.status._tag, "Ended", span.name)
    }))

  it.effect("none stays open when an activation is lost, and the call that is sent again has another", () =>
    Effect.gen(function*() {
      const tracer = new RecordingTracer()
      yield* run(
        Effect.gen(function*() {
          const store = yield* TestStore.TestStore
          const desk = yield* Desk
          const shop = yield* connect()
          yield* store.fail("failed")
          const later = yield* Effect.fork(shop.rpc.Later({ fails: false }))
          const waits = yield* Effect.fork(shop.rpc.Wait())
          yield* TestTime.settle
          yield* TestClock.adjust("30 seconds")
          yield* TestTime.settle
          yield* Deferred.succeed(desk.gate, undefined)
          yield* Fiber.join(later)
          yield* Fiber.join(waits)
        }),
        tracer
      )
      const client = tracer.of("ObservedShop/Later", "client")
      const server = tracer.of("ObservedShop/Later", "server")
      assert.lengthOf(client, 1)
      assert.deepStrictEqual(client[0]!.eventNames, ["sent", "connected", "sent again"])
      assert.deepStrictEqual(server.map(({ eventNames }) => eventNames.includes("committed")), [false, true])
      for (const span of server) assert.strictEqual(span.parentId, client[0]!.spanId)
      for (const span of tracer.spans) assert.strictEqual(span.status._tag, "Ended", span.name)
    }))

  it.effect("X5 neither parameters nor the values of a parse error are in them, or in logs", () =>
    Effect.gen(function*() {
      const tracer = new RecordingTracer()
      const logs = yield* run(
        Effect.gen(function*() {
          const desk = yield* Desk
          const network = yield* MemoryTransport.MemoryNetwork
          const shop = yield* connect()
          // the client would not send what does not encode: somebody else's does
          yield* network.onMessage(() => {})
          const rejected = yield* Effect.exit(
            (yield* ActorClient.connect(Loose, "a", { params: { token: "a secret token" } })).rpc.Pin({
              pin: "471147114711"
            })
          )
          const error = Exit.isFailure(rejected) ? Cause.failureOption(rejected.cause) : undefined
          assert.isTrue(error?._tag === "Some" && error.value instanceof ConnectionError.CallRejected)
          assert.include(JSON.stringify(error), "471147114711", "its own client sees the value")
          const refused = yield* Effect.exit(
            ActorClient.connect(Loose, "a", { params: { token: 471_147_114_711 as never } })
          )
          assert.isTrue(Exit.isFailure(refused))
          yield* shop.rpc.Count()
          return desk.logs
        }),
        tracer
      )
      const told = JSON.stringify([
        logs,
        tracer.spans.map(({ attributes, events, exit, name }) => [
          name,
          [...attributes],
          events,
          exit && Exit.isFailure(exit) ? [Cause.pretty(exit.cause), exit.cause] : "ok"
        ])
      ], (_, value) => typeof value === "bigint" ? String(value) : value)
      assert.include(told, "CallRejected")
      assert.notInclude(told, "471147114711")
      assert.notInclude(told, "a secret token")
    }))
})

/** The same contract, as somebody sees it who does not know its rules. */
class Loose extends Actor.Tag<Loose>()("ObservedShop", {
  params: Schema.Struct({ token: Schema.String }),
  rpcs: RpcGroup.make(Rpc.make("Pin", { payload: { pin: Schema.String } })),
  events: { bought: Schema.Int }
}) {}

describe("metrics", () => {
  type AnyMetric = Metric.Metric<any, any, any>

  const tagged = <M extends AnyMetric>(metric: M, tags: Record<string, string>) =>
    Object.entries(tags).reduce<any>((all, [name, value]) => Metric.tagged(all, name, value), metric) as M

  const read = (metric: AnyMetric, tags: Record<string, string> = {}): Effect.Effect<number> =>
    Effect.map(Metric.value(tagged(metric, tags)), (state) => {
      if (MetricState.isCounterState(state)) return Number(state.count)
      return MetricState.isHistogramState(state)
        ? state.count
        : Number((state as MetricState.MetricState.Gauge<any>).value)
    })

  /** By how much a metric has changed. */
  const change = (metric: AnyMetric, tags: Record<string, string> = {}) =>
    Effect.map(read(metric, tags), (before) => Effect.map(read(metric, tags), (after) => after - before))

  const contract = "ObservedShop"

  it.effect("calls are counted by how they end, and what stands is what stands", () =>
    Effect.gen(function*() {
      const of = (rpc: string, outcome: string, source = "client") =>
        change(Metrics.calls, { contract, rpc, source, outcome })
      const success = yield* of("Buy", "success")
      const failure = yield* of("Buy", "failure")
      const defect = yield* of("Die", "defect")
      const rejected = yield* of("Pin", "rejected")
      const interrupted = yield* of("Wait", "interrupted")
      const taken = yield* change(Metrics.calls, {
        contract: "ObservedStock",
        rpc: "Take",
        source: "internal",
        outcome: "success"
      })
      const alarms = yield* change(Metrics.alarms, { contract, outcome: "success" })
      const failedAlarms = yield* change(Metrics.alarms, { contract, outcome: "failed" })
      const connections = yield* change(Metrics.connections, { contract })
      const mailbox = yield* change(Metrics.mailbox, { contract })
      const outbox = yield* change(Metrics.outbox, { contract })
      const activations = yield* change(Metrics.activations, { contract })
      const wakes = yield* change(Metrics.wakes, { contract, outcome: "awake" })
      const resumes = yield* change(Metrics.resumes, { contract, outcome: "resumed" })
      const refusedResumes = yield* change(Metrics.resumes, { contract, outcome: "refused" })
      const refusals = yield* change(Metrics.refusals, { contract, reason: "UnknownActor" })
      const expired = yield* change(Metrics.disconnects, { contract, reason: "ResumeExpired" })
      const commits = yield* change(Metrics.commitTurns)
      const seconds = yield* change(Metrics.commitSeconds)
      const gaps = yield* change(ClientMetrics.gaps, { contract })
      const dials = yield* change(ClientMetrics.dials, { outcome: "up" })
      const failedDials = yield* change(ClientMetrics.dials, { outcome: "failed" })
      const resumed = yield* change(ClientMetrics.connections, { contract, outcome: "resumed" })
      yield* run(Effect.gen(function*() {
        const network = yield* MemoryTransport.MemoryNetwork
        const desk = yield* Desk
        const shop = yield* connect()
        const sold = yield* shop.events("sold")
        const loose = yield* ActorClient.connect(Loose, "b", { params: { token: "t" } })
        yield* Effect.exit(ActorClient.connect(Loose, "b", { params: { token: "t" }, events: ["bought"] }))
        assert.strictEqual(yield* refusals, 1, "there is no such event")
        yield* shop.rpc.Buy({ by: 1 })
        yield* shop.rpc.Buy({ by: 1 })
        yield* Effect.exit(shop.rpc.Buy({ by: 9 }))
        yield* Effect.exit(shop.rpc.Die())
        yield* Effect.exit(loose.rpc.Pin({ pin: "short" }))
        const waits = yield* Effect.fork(shop.rpc.Wait())
        yield* Deferred.await(desk.waits)
        const count = yield* Effect.fork(shop.rpc.Count())
        yield* TestTime.settle
        assert.strictEqual(yield* mailbox, 2, "one runs and one waits")
        yield* Fiber.interrupt(waits)
        yield* Fiber.join(count)
        assert.strictEqual(yield* mailbox, 0)
        assert.strictEqual(yield* connections, 2)
        assert.strictEqual(yield* activations, 2)
        assert.strictEqual(yield* wakes, 2)
        assert.strictEqual(yield* success, 2)
        assert.strictEqual(yield* failure, 1)
        assert.strictEqual(yield* defect, 1)
        assert.strictEqual(yield* rejected, 1)
        assert.strictEqual(yield* interrupted, 1)
        assert.strictEqual(yield* taken, 2)
        assert.isAtLeast(yield* commits, 4)
        assert.strictEqual(yield* seconds, yield* commits)
        assert.strictEqual(yield* outbox, 0, "the client has acknowledged everything")
        // a short drop: the event waits in the outbox, and comes
        yield* network.cut
        yield* TestTime.settle
        yield* TestClock.adjust("1 second")
        yield* TestTime.settle
        assert.strictEqual(yield* resumes, 2)
        assert.strictEqual(yield* resumed, 2)
        yield* network.setReachability("refused")
        yield* network.cut
        yield* TestTime.settle
        yield* (yield* Shop).get("a").Close({ fails: false })
        // a long one
        yield* TestClock.adjust("3 minutes")
        assert.isAbove(yield* failedDials, 0)
        assert.strictEqual(yield* expired, 2)
        yield* network.setReachability("reachable")
        yield* TestClock.adjust("30 seconds")
        yield* TestTime.settle
        assert.strictEqual(yield* refusedResumes, 2)
        assert.strictEqual(yield* gaps, 1)
        assert.isAtLeast(yield* dials, 3)
        yield* Stream.runHead(sold)
        yield* shop.rpc.Later({ fails: false })
        yield* TestClock.adjust("61 seconds")
        yield* TestTime.settle
        assert.strictEqual(yield* alarms, 1)
        yield* shop.rpc.Later({ fails: true })
        yield* TestClock.adjust("61 seconds")
        yield* TestTime.settle
        assert.isAtLeast(yield* failedAlarms, 1)
      }))
      assert.strictEqual(yield* connections, 0)
      assert.strictEqual(yield* activations, 0)
      assert.strictEqual(yield* mailbox, 0)
    }))

  it.effect("what a client has not got is in the outbox, until it ends or comes back", () =>
    Effect.gen(function*() {
      const outbox = yield* change(Metrics.outbox, { contract })
      yield* run(Effect.gen(function*() {
        const network = yield* MemoryTransport.MemoryNetwork
        const shop = yield* connect("c")
        assert.strictEqual(yield* outbox, 0)
        yield* network.onMessage(({ carries, from }) =>
          from === "client" && carries("Ack") ? "cut-before" as const : undefined
        )
        yield* Effect.fork(shop.rpc.Buy({ by: 1 }))
        yield* TestTime.settle
        assert.isAbove(yield* outbox, 0)
        yield* network.onMessage(() => {})
        yield* TestClock.adjust("1 second")
        yield* TestTime.settle
        assert.strictEqual(yield* outbox, 0)
      }))
      assert.strictEqual(yield* outbox, 0)
    }))
})

describe("logs", () => {
  it.effect("hooks and handlers log with contract, key and connection", () =>
    Effect.gen(function*() {
      const logs = yield* run(Effect.gen(function*() {
        const { logs } = yield* Desk
        yield* Effect.scoped(Effect.gen(function*() {
          const ann = yield* connect("a")
          const bob = yield* connect("b")
          const cid = yield* connect("a")
          yield* Effect.all([ann.rpc.Count(), bob.rpc.Count(), cid.rpc.Count(), ann.rpc.Count()], {
            concurrency: "unbounded"
          })
          yield* Effect.exit(ann.rpc.Die())
        }))
        yield* Effect.repeat(TestTime.settle, { schedule: Schedule.recurs(3) })
        return logs
      }))
      const about = (message: string) =>
        logs.filter((log) => log.message === message).map(({ annotations }) => annotations)
      for (const { annotations, message } of logs) {
        assert.strictEqual(annotations["actor"], "ObservedShop", message)
        assert.include(["a", "b"], annotations["key"], message)
      }
      assert.lengthOf(about("build"), 2)
      for (const annotations of [...about("build"), ...about("onBeforeConnect")]) {
        assert.notProperty(annotations, "connection")
      }
      const ids = about("onConnect").map(({ connection }) => connection)
      assert.lengthOf(new Set(ids), 3)
      assert.sameMembers(about("onDisconnect").map(({ connection }) => connection), ids)
      assert.sameMembers(about("release").map(({ connection }) => connection), ids)
      assert.deepStrictEqual(
        about("counting").filter(({ key }) => key === "a").map(({ connection }) => connection),
        [ids[0], ids[2], ids[0]]
      )
      assert.strictEqual(about("the handler of ObservedShop.Die died")[0]!["connection"], ids[0])
    }))

  it.effect("a hook that dies is named, with the connection it was run for", () => {
    const logs: Context.Tag.Service<Desk>["logs"] = []
    const kit = TestKit.layer({ actors: [Frail], implementations: FrailLive })
    const visit = (part: typeof Frail.definition.params.fields.part.Type) =>
      Effect.zipRight(
        Effect.exit(Effect.scoped(ActorClient.connect(Frail, "a", { params: { part } }))),
        Effect.zipRight(TestTime.settle, Effect.sync(() => logs.splice(0)))
      )
    return Effect.gen(function*() {
      for (const _ of [1, 2]) {
        const [before] = yield* visit("onBeforeConnect")
        assert.strictEqual(before?.message, "onBeforeConnect died")
        for (const part of ["onConnect", "release", "onDisconnect"] as const) {
          const [log] = yield* visit(part)
          assert.match(log?.message ?? "", new RegExp(`${part}.* died`))
          assert.isDefined(log?.annotations["connection"])
        }
      }
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(kit, keepLogs(logs))))
  })
})
