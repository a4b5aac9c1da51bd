/**
 * What comes late: opens of a session that has opened another connection since, and calls that are given up while their
 * session opens anew. Found by simulation.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ServerDefect } from "@troupe/contract"
import { MemoryTransport, RawClient, TestHost, TestKit, TestStore, TestTime } from "@troupe/testing"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Option, Ref, Schema } from "effect"
import { Bank, Till, tillLive, Total } from "./support/till.ts"

const kit = TestKit.layer({ actors: [Till], implementations: tillLive() }).pipe(Layer.provideMerge(Bank.layer))

const pay = (seq: number, call: number, cents: number) => RawClient.request(seq, "Pay", { cents }, { call })

const charged = Effect.map(Bank, ({ heard }) => heard.filter((entry) => entry.startsWith("charged")))

const reasonOf = (frames: ReadonlyArray<RawClient.Json>) =>
  frames.flatMap(({ reason }) => reason ? [(reason as { readonly _tag: string })._tag] : [])

it.scoped("C14 S3 an open that comes after a later one of its session is refused, and the later one's connection goes on", () =>
  Effect.gen(function*() {
    const old = yield* RawClient.make
    const now = yield* RawClient.make
    yield* old.say(RawClient.hello)
    yield* now.say(RawClient.hello)
    for (const round of [1, 2]) {
      yield* now.say(RawClient.open(Till, "shop", { opening: 2 * round, channel: round }))
      assert.lengthOf(now.of("Opened"), round)
      for (const opening of [2 * round - 1, 2 * round]) {
        const late = yield* old.say(RawClient.open(Till, "shop", { opening, channel: 10 * round + opening }))
        assert.deepStrictEqual(reasonOf(late), ["Superseded"])
      }
      const heard = yield* now.say(RawClient.request(1, "Pay", { cents: 1 }, { call: round, channel: round }))
      assert.isTrue(heard.some(({ _tag }) => _tag === "Message"), "the connection stands")
    }
    assert.deepStrictEqual(yield* charged, ["charged 1", "charged 1"])
  }).pipe(Effect.provide(kit)))

it.scoped("C14 an open that was written before a call was sent does not forget the call's answer, whenever it comes", () =>
  Effect.gen(function*() {
    const host = yield* TestHost.TestHost
    const first = yield* RawClient.make
    yield* first.say(RawClient.hello)
    yield* first.say(RawClient.open(Till, "shop", { opening: 2 }))
    yield* first.say(pay(1, 1, 5))
    yield* host.crash
    yield* host.start
    const second = yield* RawClient.make
    yield* second.say(RawClient.hello)
    // written before the first one, with nothing sent yet; it comes where nobody knows of that
    yield* second.say(RawClient.open(Till, "shop", { opening: 1, pending: [7], sentBelow: 1 }))
    assert.lengthOf(second.of("Opened"), 1)
    const third = yield* RawClient.make
    yield* third.say(RawClient.hello)
    yield* third.say(RawClient.open(Till, "shop", { opening: 3, pending: [1] }))
    yield* third.say(pay(1, 1, 5))
    assert.deepStrictEqual(yield* charged, ["charged 5"])
    assert.include(JSON.stringify(third.heard), "\"value\":5")
  }).pipe(Effect.provide(kit)))

it.scoped("C14 a client that asks anew because a call was given up finds what is known of its others", () =>
  Effect.gen(function*() {
    const host = yield* TestHost.TestHost
    const network = yield* MemoryTransport.MemoryNetwork
    const store = yield* TestStore.TestStore
    const till = yield* ActorClient.connect(Till, "shop")
    const closes: Array<string> = []
    const bank = yield* Bank
    bank.answer = Effect.suspend(() => bank.heard.at(-1) === "asked for 100" ? Effect.never : Effect.void)
    for (const round of [1, 2]) {
      // one is committed, and its answer lost; the other runs
      yield* network.onMessage(({ from }) => from === "server" ? "cut-before" : undefined)
      const kept = yield* Effect.fork(till.rpc.Pay({ cents: round }))
      const givenUp = yield* Effect.fork(till.rpc.Pay({ cents: 100 }))
      yield* TestTime.settle
      yield* host.crash
      yield* host.start
      // given up when the connection that asks for both stands, and its client does not know yet
      yield* network.onMessage(({ carries, from, text }) => {
        if (from === "server") return
        if (carries("Close")) closes.push(text)
        else if (carries("Open")) Effect.runSync(network.hold)
      })
      yield* TestTime.pass("1 second")
      yield* Fiber.interrupt(givenUp)
      yield* TestTime.settle
      yield* network.onMessage(({ carries, text }) => void (carries("Close") && closes.push(text)))
      yield* network.release
      yield* TestTime.pass("1 minute")
      yield* Fiber.join(kept)
      const paid = (yield* charged).filter((entry) => entry === `charged ${round}`)
      assert.lengthOf(paid, 1)
    }
    assert.deepStrictEqual(yield* store.lastState(Total, Till, "shop"), Option.some(3))
    assert.isAtLeast(closes.length, 2)
  }).pipe(Effect.provide(kit)))

it.scoped("C14 C15 a call that is sent again although its client has got the answer meanwhile does not run again", () =>
  Effect.gen(function*() {
    const bank = yield* Bank
    for (const round of [1, 2]) {
      const session = `${round}`.repeat(32)
      const gate = yield* Deferred.make<void>()
      bank.answer = Deferred.await(gate)
      const first = yield* RawClient.make
      yield* first.say(RawClient.hello)
      yield* first.say(RawClient.open(Till, "shop", { session }))
      yield* first.say(pay(1, 1, 5), pay(2, 2, 6))
      const second = yield* RawClient.make
      yield* second.say(RawClient.hello)
      yield* second.say(RawClient.open(Till, "shop", { session, pending: [1, 2] }))
      // they end when the new connection stands, and its link is lost before anything is sent on it
      yield* Deferred.succeed(gate, undefined)
      yield* TestTime.settle
      assert.lengthOf(second.of("Message"), 2)
      const { connectionId, token } = second.of("Opened")[0]!
      yield* second.close
      const third = yield* RawClient.make
      yield* third.say(
        RawClient.hello,
        // that it has the answer of the second it does not say
        { _tag: "Resume", channel: 1, contract: "Till", key: "shop", received: 1, connectionId, token, resumption: 1 }
      )
      yield* third.say(pay(1, 1, 5), pay(2, 2, 6), pay(3, 3, 7))
      const paid = ["charged 5", "charged 6", "charged 7"]
      assert.deepStrictEqual(yield* charged, round === 1 ? paid : [...paid, ...paid])
      assert.lengthOf(third.of("Resumed"), 1)
      const heard = third.of("Message").map(({ payload }) =>
        "requestId" in payload ? [payload._tag, payload.requestId] : []
      )
      assert.deepStrictEqual(heard, [["Exit", 2], ["Exit", 3]])
    }
  }).pipe(Effect.provide(kit)))

class Jar extends Actor.Tag<Jar>()("Jar", {
  rpcs: RpcGroup.make(
    Rpc.make("Put", { payload: { what: Schema.String }, success: Schema.Int }),
    Rpc.make("All", { success: Schema.Array(Schema.String) })
  )
}) {}

const Clean = Schema.String.pipe(Schema.filter((what) => !what.startsWith("poison")))

const jarLive = Jar.toLayer(
  { state: Schema.Array(Clean), initialState: () => [] },
  (jar) =>
    Effect.succeed(jar.behavior({
      rpcs: {
        Put: ({ what }) => Effect.map(Ref.updateAndGet(jar.state, (all) => [...all, what]), (all) => all.length),
        All: () => Ref.get(jar.state)
      }
    }))
)

it.scoped("T11 several turns whose states cannot be encoded fail alone, all of them, also when they come together", () =>
  Effect.gen(function*() {
    const jar = yield* ActorClient.connect(Jar, "a")
    for (const round of [0, 1]) {
      const puts = ["one", "poison 1", "two", "poison 2", "poison 3", "three"]
      const ends = yield* Effect.fork(Effect.forEach(puts, (what) => Effect.exit(jar.rpc.Put({ what })), {
        concurrency: "unbounded"
      }))
      yield* TestTime.pass("1 minute")
      const exits = yield* Fiber.join(ends)
      exits.forEach((exit, i) => {
        if (!puts[i]!.startsWith("poison")) return assert.isTrue(Exit.isSuccess(exit), puts[i])
        const defect = Exit.isFailure(exit) ? Cause.dieOption(exit.cause) : Option.none()
        assert.isTrue(Option.isSome(defect) && defect.value instanceof ServerDefect.ServerDefect, puts[i])
      })
      const all = ["one", "two", "three"]
      assert.deepStrictEqual(yield* jar.rpc.All(), round === 0 ? all : [...all, ...all])
    }
  }).pipe(Effect.provide(TestKit.layer({ actors: [Jar], implementations: jarLive }))))

it.scoped("A5 an activation that is lost while a connection is being opened: what it acquires is released, and it has never stood", () =>
  Effect.gen(function*() {
    for (const fails of [false, true]) {
      const log: Array<string> = []
      const gate = yield* Deferred.make<void>()
      let lives = 0
      const live = Jar.toLayer({ state: Schema.Array(Clean), initialState: () => [] }, (jar) =>
        Effect.gen(function*() {
          const life = ++lives
          let connections = 0
          // only the first activation is of interest
          const note = (text: string) => Effect.sync(() => void (life === 1 && log.push(text)))
          const stay = Effect.zipRight(note("connecting"), Deferred.await(gate))
          const late = Effect.zipRight(stay, fails ? Effect.dieMessage("no") : note("connected late"))
          return jar.behavior({
            onConnect: () =>
              ++connections === 2 && life === 1
                ? Effect.acquireRelease(late, () => note("released late"))
                : Effect.acquireRelease(note("connected"), () => note("released")),
            onDisconnect: () => note("left"),
            rpcs: {
              Put: ({ what }) => Effect.map(Ref.updateAndGet(jar.state, (all) => [...all, what]), (all) => all.length),
              All: () => Ref.get(jar.state)
            }
          })
        }))
      yield* Effect.gen(function*() {
        const store = yield* TestStore.TestStore
        const jar = yield* ActorClient.connect(Jar, "a")
        yield* store.hold
        yield* store.fail("failed")
        yield* Effect.fork(jar.rpc.Put({ what: "one" }))
        yield* store.waiting
        const late = yield* Effect.fork(Effect.scoped(ActorClient.connect(Jar, "a")))
        yield* TestTime.settle
        assert.deepStrictEqual(log, ["connected", "connecting"])
        yield* store.release
        yield* TestTime.settle
        assert.deepStrictEqual(log.slice(2), ["released", "left"], "the other connection has ended")
        yield* Deferred.succeed(gate, undefined)
        yield* TestTime.settle
        assert.deepStrictEqual(log.slice(4), fails ? [] : ["connected late", "released late"])
        yield* Fiber.interrupt(late)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.provideMerge(
          TestKit.layer({ actors: [Jar], implementations: live }),
          Logger.remove(Logger.defaultLogger)
        ))
      )
    }
  }))
