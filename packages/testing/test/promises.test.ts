/** A connection as promises and listeners, for code that does not use Effect. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { type ActorClient, Promises } from "@troupe/client"
import { Actor, ConnectionError, Gap } from "@troupe/contract"
import { TestKit } from "@troupe/testing"
import { Effect, Exit, Layer, ManagedRuntime, Schema, Scope } from "effect"
import { layerTally, Refusal, Tally, Trace, Turned } from "./support/tally.ts"
import { RecordingTracer } from "./support/tracer.ts"
import { atOnce, begin, makeWorld, pass, result, settle, told, word, type World } from "./support/world.ts"

const options = { params: { who: "ann" } }

/** A promise, and how it has ended so far. */
const watch = <A>(promise: Promise<A>) => {
  const watched = {
    end: undefined as string | undefined,
    value: undefined as A | undefined,
    error: undefined as unknown
  }
  promise.then(
    (value) => Object.assign(watched, { end: "fulfilled", value }),
    (error) => Object.assign(watched, { end: "rejected", error })
  )
  return watched
}

const goOffline = ({ network }: World) =>
  network.setReachability("refused").pipe(Effect.zipRight(network.cut), Effect.zipRight(settle))

const goOnline = ({ network }: World) => Effect.zipRight(network.setReachability("reachable"), pass("31 seconds"))

const connect = (world: World) => Effect.flatMap(world.client(), (client) => client.connect(Tally, "a", options))

it.scoped("C7 calls are answered, in one order with those of effects, and through a drop", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* connect(world)
    const { rpc } = Promises.of(tally)
    const labels: Array<string> = []
    for (const round of ["x", "y"]) {
      const first = watch(rpc.Add({ label: `${round} 1` }))
      const second = yield* begin(tally.rpc.Add({ label: `${round} 2` }))
      yield* goOffline(world)
      const third = watch(rpc.Add({ label: `${round} 3` }))
      const fourth = yield* begin(tally.rpc.Add({ label: `${round} 4` }))
      yield* told
      assert.strictEqual(third.end, undefined)
      yield* goOnline(world)
      yield* told
      labels.push(...[1, 2, 3, 4].map((n) => `${round} ${n}`))
      assert.deepStrictEqual(
        [first.value, yield* result(second), third.value, yield* result(fourth)],
        [3, 2, 1, 0].map((less) => labels.length - less)
      )
    }
    assert.deepStrictEqual(world.labels(), labels)
  }))

it.scoped("an rpc's own error, a payload that is none, and the end of the connection reject the promise", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const scope = yield* Scope.make()
    const { rpc } = Promises.of(yield* Scope.extend(connect(world), scope))
    const failed = watch(rpc.AddAndFail({ label: "x" }))
    const wrong = watch(rpc.Add({ label: 1 as unknown as string }))
    const held = watch(rpc.Hold({ label: "held", gate: "never" }))
    yield* told
    assert.deepStrictEqual(failed.error, new Refusal({ label: "x" }))
    assert.strictEqual(wrong.end, "rejected")
    assert.include(String(wrong.error), "label")
    assert.strictEqual(held.end, undefined)
    yield* Scope.close(scope, Exit.void)
    const late = watch(rpc.Add({ label: "late" }))
    yield* told
    for (const [{ error }, sent] of [[held, "maybe"], [late, "no"]] as const) {
      assert.instanceOf(error, ConnectionError.ConnectionClosed)
      assert.strictEqual(error.sent, sent)
    }
  }))

it.scoped("C6 a signal cancels a call that waits, so that it never runs, and one that runs", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const { rpc } = Promises.of(yield* connect(world))
    for (const round of ["x", "y"]) {
      const running = new AbortController()
      const held = watch(rpc.Hold({ label: `${round} held`, gate: "never" }, { signal: running.signal }))
      yield* told
      running.abort("enough")
      yield* told
      assert.strictEqual(held.error, "enough")
      assert.strictEqual(world.trace.count(`interrupted ${round} held`), 1)

      yield* goOffline(world)
      const waiting = new AbortController()
      const queued = watch(rpc.Add({ label: `${round} queued` }, { signal: waiting.signal }))
      const next = watch(rpc.Add({ label: `${round} next` }, { signal: waiting.signal }))
      yield* told
      waiting.abort("enough")
      const early = watch(rpc.Add({ label: `${round} early` }, { signal: waiting.signal }))
      const kept = watch(rpc.Add({ label: `${round} kept` }))
      yield* goOnline(world)
      yield* told
      assert.deepStrictEqual([queued.error, next.error, early.error], ["enough", "enough", "enough"])
      assert.strictEqual(kept.end, "fulfilled")
    }
    assert.deepStrictEqual(world.labels(), ["x kept", "y kept"])
  }))

it.scoped("E1 E2 E4 a listener hears every event from when the promise is fulfilled, until it is removed", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld({ host: { outboxBytesMax: 10_000 } })
    yield* world.serve()
    const client = yield* world.client(atOnce)
    const promised = Promises.of(yield* client.connect(Tally, "a", options))
    const { rpc } = Promises.of(yield* connect(world))
    const heard: Array<unknown> = []
    const ended: Array<unknown> = []
    const listening = watch(promised.on("blob", (item) => heard.push(Gap.isGap(item) ? "gap" : item.length)))
    // somebody else's mistake does not concern it
    const wrong = new Error("a listener's own")
    const reported: Array<unknown> = []
    const onRejection = (error: unknown) => reported.push(error)
    const listeners = process.listeners("unhandledRejection")
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", onRejection)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        process.removeAllListeners("unhandledRejection")
        for (const listener of listeners) process.on("unhandledRejection", listener)
      })
    )
    const other = watch(promised.on("blob", () => {
      throw wrong
    }, (error) => ended.push(error)))
    yield* told
    assert.deepStrictEqual([listening.end, other.end], ["fulfilled", "fulfilled"])
    for (const size of [1, 2]) watch(rpc.Blow({ size }))
    yield* told
    assert.deepStrictEqual(heard, [1, 2])
    assert.deepStrictEqual(reported, [wrong, wrong])

    yield* client.pause
    yield* settle
    for (let i = 0; i < 4; i++) {
      watch(rpc.Blow({ size: 3000 }))
      yield* told
    }
    yield* client.resume
    yield* told
    watch(rpc.Blow({ size: 3 }))
    yield* told
    assert.deepStrictEqual(heard, [1, 2, "gap", 3])

    listening.value!()
    watch(rpc.Blow({ size: 4 }))
    yield* told
    assert.deepStrictEqual(heard, [1, 2, "gap", 3])
    watch(promised.rpc.Leave({ reason: "done" }))
    yield* told
    // it is told once, also who removes it afterwards
    other.value!()
    assert.deepStrictEqual(ended.map((error) => error instanceof ConnectionError.ConnectionClosed), [true])
    const late = watch(promised.on("blob", () => {}))
    yield* told
    assert.instanceOf(late.error, ConnectionError.ConnectionClosed)
  }))

it.scoped("calls of promises have spans where somebody looks at them, and can be cancelled", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tracer = new RecordingTracer()
    const client = yield* tracer.with(world.client(atOnce))
    const { rpc } = Promises.of(yield* client.connect(Tally, "a", options))
    const controller = new AbortController()
    const added = watch(rpc.Add({ label: "x" }))
    const failed = watch(rpc.AddAndFail({ label: "y" }))
    const held = watch(rpc.Hold({ label: "held", gate: "never" }, { signal: controller.signal }))
    yield* told
    controller.abort("enough")
    yield* told
    assert.strictEqual(added.value, 1)
    assert.deepStrictEqual(failed.error, new Refusal({ label: "y" }))
    assert.strictEqual(held.error, "enough")
    assert.strictEqual(world.trace.count("interrupted held"), 1)
    assert.sameMembers(
      tracer.spans.filter(({ kind }) => kind === "client").map(({ name }) => name),
      ["Tally/Add", "Tally/AddAndFail", "Tally/Hold"]
    )
  }))

/** Connects, and closes the connection as soon as it hears that it is connecting again. */
const connectOnce = (client: ActorClient.ActorClient["Type"]) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const tally = Promises.of(yield* Scope.extend(client.connect(Tally, "a", options), scope))
    tally.onStatus(({ _tag }) => {
      if (_tag === "Connecting") Effect.runSync(Scope.close(scope, Exit.void))
    })
    return tally
  })

it.scoped("a listener of the status that closes the connection ends it, whoever else listens", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    // with this one the link stays
    yield* client.connect(Tally, "other", { params: { who: "bob" } })
    const tally = yield* connectOnce(client)
    const seen: Array<string> = []
    tally.onStatus(({ _tag }) => void seen.push(_tag))
    yield* world.store.fail("failed")
    watch(tally.rpc.Add({ label: "lost" }))
    yield* told
    assert.strictEqual(tally.status._tag, "Closed")
    assert.deepStrictEqual(seen, ["Connected", "Closed"])
    assert.strictEqual(world.trace.count("preflight ann"), 1)
  }))

it.scoped("a listener of the status that closes the connection when it is told the first hears of the end too", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const scope = yield* Scope.make()
    const tally = Promises.of(yield* Scope.extend(connect(world), scope))
    const seen: Array<string> = []
    tally.onStatus(({ _tag }) => {
      seen.push(_tag)
      if (_tag === "Connected") Effect.runSync(Scope.close(scope, Exit.void))
    })
    assert.deepStrictEqual(seen, ["Connected", "Closed"])
  }))

it.scoped("a listener of the status that closes the last connection leaves no dial behind", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* connectOnce(yield* world.client())
    yield* world.network.cut
    yield* pass("1 second")
    assert.strictEqual(tally.status._tag, "Closed")
    assert.strictEqual(yield* world.network.dials, 1)
  }))

it.scoped("a listener of the status that pauses the client pauses all of its connections", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const first = Promises.of(yield* client.connect(Tally, "a", options))
    const second = Promises.of(yield* client.connect(Tally, "b", options))
    first.onStatus((status) => {
      if (word(status) === "waiting 1 LinkLost") Effect.runSync(client.pause)
    })
    yield* goOffline(world)
    assert.strictEqual(word(first.status), "waiting 0 Paused")
    assert.strictEqual(word(second.status), "waiting 0 Paused")
  }))

class Doors extends Actor.Tag<Doors>()("Doors", { rpcs: RpcGroup.make(Rpc.make("Wait")) }) {}

const DoorsLive = Doors.toLayer(
  { state: Schema.Void, initialState: () => undefined },
  (doors) =>
    Effect.succeed(doors.behavior({
      rpcs: { Wait: () => Effect.never },
      onConnect: () => doors.key === "shut" ? Effect.never : Effect.void
    }))
)

/** An app as a page has one, with a server in the same process that refuses who has no name. */
const makeApp = Effect.acquireRelease(
  Effect.sync(() => {
    const trace = new Trace()
    const implementations = Layer.merge(layerTally(trace), DoorsLive)
    return Object.assign(ManagedRuntime.make(TestKit.layer({ actors: [Tally, Doors], implementations })), { trace })
  }),
  (app) => Effect.promise(() => app.dispose())
)

it.scopedLive("a page without Effect connects, sees the status, and closes one connection or all", () =>
  Effect.gen(function*() {
    const app = yield* makeApp
    yield* Effect.promise(async () => {
      const tally = await Promises.connect(app, Tally, "a", {
        params: Effect.succeed({ who: "ann" }),
        events: ["added"]
      })
      const doors = await Promises.connect(app, Doors, "a")
      assert.strictEqual(await tally.rpc.Add({ label: "x" }), 1)
      const seen: Array<string> = []
      const stop = tally.onStatus(({ _tag }) => void seen.push(_tag))
      tally.onStatus(({ _tag }) => void seen.push(`${_tag} again`))
      assert.strictEqual(tally.status._tag, "Connected")
      const waiting = doors.rpc.Wait().catch((error) => error)
      stop()
      tally.close()
      tally.close()
      assert.deepStrictEqual(seen, ["Connected", "Connected again", "Closed again"])
      assert.strictEqual(tally.status._tag, "Closed")
      assert.instanceOf(await tally.rpc.Add({ label: "y" }).catch((error) => error), ConnectionError.ConnectionClosed)
      assert.strictEqual(doors.status._tag, "Connected")
      await app.dispose()
      assert.strictEqual(doors.status._tag, "Closed")
      assert.instanceOf(await waiting, ConnectionError.ConnectionClosed)
    })
  }))

it.scopedLive("a promise of a connection is rejected with what it fails with, and given up with its signal", () =>
  Effect.gen(function*() {
    const app = yield* makeApp
    const errorOf = (promise: Promise<unknown>) => promise.then(() => "none", (error: unknown) => error)
    yield* Effect.promise(async () => {
      app.trace.preflight = new Turned({ away: "today" })
      const refused = await errorOf(Promises.connect(app, Tally, "a", { params: { who: "ann" } }))
      assert.deepStrictEqual(refused, new Turned({ away: "today" }))
      const lacking = await errorOf(Promises.connect(app, Tally, "a", { params: Effect.fail("no token") }))
      assert.strictEqual(lacking, "no token")
      const aborted = await errorOf(Promises.connect(app, Doors, "a", { signal: AbortSignal.abort("early") }))
      assert.strictEqual(aborted, "early")
      const signal = AbortSignal.timeout(20)
      assert.strictEqual(await errorOf(Promises.connect(app, Doors, "shut", { signal })), signal.reason)
      assert.strictEqual((await Promises.connect(app, Doors, "a")).status._tag, "Connected")
    })
    const broken = ManagedRuntime.make(Layer.fail("no key") as Layer.Layer<ActorClient.ActorClient, string>)
    assert.strictEqual(yield* Effect.promise(() => errorOf(Promises.connect(broken, Doors, "a"))), "no key")
  }))
