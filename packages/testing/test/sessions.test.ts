import { assert, it } from "@effect/vitest"
import { Gap } from "@troupe/contract"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import * as Frame from "@troupe/contract/protocol/Frame"
import { Deferred, Effect, Exit, Fiber, Schedule, Scope, Stream, TestContext } from "effect"
import { Tally } from "./support/tally.ts"
import { atOnce, begin, collect, makeWorld, pass, result, settle, statusOf, type World } from "./support/world.ts"

const options = { params: { who: "ann" } }

const goOffline = ({ network }: World) =>
  network.setReachability("refused").pipe(Effect.zipRight(network.cut), Effect.zipRight(settle))

// --- raw frames ------------------------------------------------------------------------------------------------------

const hello = Frame.encode({ _tag: "Hello", version: Frame.version })

let openings = 0

const open = (who: string, more: { readonly pending?: ReadonlyArray<number>; readonly channel?: number } = {}) =>
  Frame.encode({
    _tag: "Open",
    channel: more.channel ?? 1,
    session: who.padEnd(32, "-"),
    contract: "Tally",
    key: "a",
    params: { who },
    events: ["added"],
    opening: ++openings,
    settledBelow: 1,
    sentBelow: Number.MAX_SAFE_INTEGER,
    pending: more.pending ?? []
  })

let resumptions = 0

const resume = (
  connectionId: ConnectionId,
  token: string,
  received = 0,
  { channel = 1, resumption = ++resumptions } = {}
) => Frame.encode({ _tag: "Resume", channel, contract: "Tally", key: "a", connectionId, token, received, resumption })

const add = (seq: number, label: string, channel = 1) =>
  Frame.encodeMessage(channel, seq, Frame.encodeRequest(seq, "Add", { label }))

/** A connection that was opened by hand. */
const opened = (world: World, who: string) =>
  Effect.gen(function*() {
    const link = yield* world.rawLink
    yield* link.send(hello, open(who))
    const { connectionId, token } = link.of("Opened")[0]!
    return { link, connectionId, token }
  })

/** A link with an answer to a `Resume`. */
const resumed = (world: World, connectionId: ConnectionId, token: string, received = 0) =>
  Effect.gen(function*() {
    const link = yield* world.rawLink
    yield* link.send(hello, resume(connectionId, token, received))
    return { link, token: link.of("Resumed")[0]?.token, refused: link.of("Close")[0]?.reason._tag }
  })

// --- S1 --------------------------------------------------------------------------------------------------------------

it.scoped("S1 within the window the connection is the same: id, state, and no hook", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client()).connect(Tally, "a", options)
    yield* result(yield* begin(tally.rpc.Rename({ name: "Ann" })))
    const me = yield* result(yield* begin(tally.rpc.WhoAmI()))
    const log = [...world.trace.log]
    for (const away of ["1 second", "119 seconds", "119 seconds"] as const) {
      yield* goOffline(world)
      yield* pass(away)
      yield* world.network.setReachability("reachable")
      yield* world.network.opportunity
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "resumed")
      assert.deepStrictEqual(yield* result(yield* begin(tally.rpc.WhoAmI())), me)
      assert.deepStrictEqual(world.trace.log, log)
    }
    // the window that was left is over: the connection lives as long as its link
    for (let i = 0; i < 20; i++) yield* pass("15 seconds")
    assert.deepStrictEqual(yield* result(yield* begin(tally.rpc.WhoAmI())), me)
    assert.deepStrictEqual(world.trace.log, log)
  }))

// --- S2 --------------------------------------------------------------------------------------------------------------

it.scoped("S2 the end of the window runs the release once, with the reason, and frees everything", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const tally = yield* client.connect(Tally, "a", options)
    const ids = new Set<number>([(yield* result(yield* begin(tally.rpc.WhoAmI()))).id])
    for (const round of [1, 2]) {
      yield* goOffline(world)
      yield* pass("119999 millis")
      assert.strictEqual(world.trace.entries("release").length, round - 1)
      yield* pass("1 millis")
      assert.strictEqual(world.trace.count("release ann ResumeExpired"), round)
      assert.strictEqual(world.trace.count("disconnect ann ResumeExpired"), round)
      // nothing keeps the actor awake
      yield* pass("30 seconds")
      assert.strictEqual(world.trace.count("unbuild"), round)
      yield* pass("10 minutes")
      yield* world.network.setReachability("reachable")
      yield* world.network.opportunity
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "connected")
      const me = yield* result(yield* begin(tally.rpc.WhoAmI()))
      assert.strictEqual(me.online, 1)
      ids.add(me.id)
      assert.strictEqual(world.trace.count("acquire ann"), round + 1)
      assert.strictEqual(world.trace.entries("release").length, round)
    }
    assert.strictEqual(ids.size, 3, "no id is used again")
  }))

it.scoped("S1 a Resume that comes late, on a link its client has left, does not take the connection from the newer link", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const { connectionId, link, token } = yield* opened(world, "ann")
    yield* link.close
    let known = token
    for (const round of [1, 2]) {
      const late = yield* world.rawLink
      const newer = yield* world.rawLink
      yield* late.send(hello)
      yield* newer.send(hello, resume(connectionId, known, 0, { resumption: 2 * round }))
      // its token is valid: the client may not have heard of the next one
      yield* late.send(resume(connectionId, known, 0, { resumption: 2 * round - 1 }))
      assert.lengthOf(late.of("Resumed"), 0)
      assert.lengthOf(late.of("Close"), 1)
      known = newer.of("Resumed")[0]!.token
      yield* newer.send(add(round, `${round}`))
      assert.strictEqual(newer.of("Message").at(-1)!.payload._tag, "Exit")
      yield* newer.close
    }
    assert.deepStrictEqual(world.labels(), ["1", "2"])
  }))

it.scoped("S2 a client that has gone without a word frees what it had, and others see it go", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const watcher = yield* (yield* world.client(atOnce)).connect(Tally, "a", { params: { who: "watcher" } })
    for (const who of ["mallory", "trudy"]) {
      const { link } = yield* opened(world, who)
      yield* link.send(add(1, who))
      yield* link.close
      for (let i = 0; i < 8; i++) yield* pass("15 seconds")
      assert.strictEqual(world.trace.count(`release ${who} ResumeExpired`), 1)
      assert.strictEqual((yield* result(yield* begin(watcher.rpc.WhoAmI()))).online, 1)
    }
  }))

// --- S3 --------------------------------------------------------------------------------------------------------------

it.scoped("S3 a resume while the old link still stands: the newer wins, frames of the older are ignored", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const first = yield* opened(world, "ann")
    yield* first.link.send(add(1, "first"))
    let old = first.link
    let { token } = first
    let received = old.of("Message").length
    for (const round of [1, 2, 3]) {
      const next = yield* resumed(world, first.connectionId, token, received)
      assert.isString(next.token, `resume ${round}`)
      token = next.token!
      // the older link, which has not noticed: a call, an acknowledgement of what was never sent, and an end
      const before = old.of("Message").length
      yield* old.send(add(round + 1, `${round} by the older`))
      yield* old.send(Frame.encodeAck(1, 1_000))
      yield* old.send(Frame.encode({ _tag: "Close", channel: 1, reason: { _tag: "ClientClosed" } }))
      yield* next.link.send(add(round + 1, `${round} by the newer`))
      assert.strictEqual(old.of("Message").length, before, "nothing is sent to the older")
      const messages = next.link.of("Message")
      assert.deepStrictEqual(messages.map(({ payload }) => payload._tag), ["Event", "Exit"])
      received = messages.at(-1)!.seq
      // its end does not start the window
      yield* old.close
      for (let i = 0; i < 6; i++) {
        yield* pass("25 seconds")
        yield* next.link.send(Frame.encode({ _tag: "Ping" }))
      }
      assert.deepStrictEqual(world.trace.entries("release"), [])
      old = next.link
    }
    assert.deepStrictEqual(world.labels(), ["first", "1 by the newer", "2 by the newer", "3 by the newer"])
  }))

it.scoped("S3 a session that is opened anew while its connection stands ends the old one once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    let { link } = yield* opened(world, "ann")
    yield* link.send(add(1, "first"))
    for (const round of [1, 2]) {
      const next = yield* opened(world, "ann")
      assert.strictEqual(link.of("Close").at(-1)?.reason._tag, "Superseded")
      yield* link.send(add(round + 1, `${round} by the older`))
      yield* next.link.send(
        Frame.encodeMessage(1, 1, Frame.encodeRequest(round + 1, "Add", { label: `${round} by the newer` }))
      )
      assert.strictEqual(world.trace.count("release ann Superseded"), round)
      link = next.link
    }
    assert.deepStrictEqual(world.labels(), ["first", "1 by the newer", "2 by the newer"])
    assert.strictEqual(world.trace.entries("release").length, 2)
  }))

// --- S4 --------------------------------------------------------------------------------------------------------------

it.scoped("S4 a wrong token, a wrong id and one of another connection are refused, and hurt nobody", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const ann = yield* opened(world, "ann")
    const bob = yield* opened(world, "bob")
    for (const _ of [1, 2]) {
      for (
        const [id, token] of [
          [ann.connectionId, "0".repeat(32)],
          [ann.connectionId, bob.token],
          [bob.connectionId, ann.token],
          [(ann.connectionId + 1000) as ConnectionId, ann.token]
        ] as const
      ) {
        const { token: given, refused } = yield* resumed(world, id, token)
        assert.isUndefined(given)
        assert.strictEqual(refused, "ResumeExpired")
      }
      // what was never sent cannot have been received
      assert.strictEqual((yield* resumed(world, ann.connectionId, ann.token, 1_000)).refused, "ResumeExpired")
    }
    yield* ann.link.send(add(1, "ann"))
    yield* bob.link.send(add(1, "bob"))
    assert.deepStrictEqual(world.labels(), ["ann", "bob"])
    assert.isString((yield* resumed(world, ann.connectionId, ann.token)).token)
  }))

it.scoped("S4 a resume whose answer was lost can be repeated, until the client has shown that it has the new token", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const { connectionId, link, token } = yield* opened(world, "ann")
    yield* link.send(add(1, "1"))
    let received = link.of("Message").at(-1)!.seq
    let current = token
    for (
      const [round, prove] of [
        ["2", (seq: number) => add(seq, "2")],
        ["3", () => Frame.encodeAck(1, received)]
      ] as const
    ) {
      // three times, as if no answer had arrived
      const tokens = []
      for (let i = 0; i < 3; i++) tokens.push((yield* resumed(world, connectionId, current, received)).token)
      assert.isTrue(tokens.every((given) => given !== undefined))
      assert.strictEqual(new Set(tokens).size, 3, "each answer has a token of its own")
      // the answer that was overtaken by another one is worth nothing
      assert.isUndefined((yield* resumed(world, connectionId, tokens[0]!, received)).token)
      const last = yield* resumed(world, connectionId, current, received)
      yield* last.link.send(prove(2))
      received = Math.max(received, ...last.link.of("Message").map(({ seq }) => seq))
      const replayed = yield* resumed(world, connectionId, current, received)
      assert.strictEqual(replayed.refused, "ResumeExpired", `round ${round}: the old token is used up`)
      current = last.token!
    }
    assert.isString((yield* resumed(world, connectionId, current, received)).token)
    assert.deepStrictEqual(world.labels(), ["1", "2"])
  }))

it.scoped("S4 what had been sent and was lost with the link comes again in the answer to the resume, and nothing twice", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const { connectionId, link, token } = yield* opened(world, "ann")
    yield* link.send(add(1, "1"), add(2, "2"))
    const sequence = link.of("Message").map(({ seq }) => seq)
    assert.deepStrictEqual(sequence, [1, 2, 3, 4])
    const half = yield* resumed(world, connectionId, token, 2)
    assert.deepStrictEqual(half.link.of("Message").map(({ seq }) => seq), [3, 4])
    assert.strictEqual(half.link.of("Resumed")[0]!.received, 2)
    // the client does not know that its calls have arrived
    yield* half.link.send(add(1, "1"), add(2, "2"), add(3, "3"))
    const rest = yield* resumed(world, connectionId, half.token!, 4)
    assert.deepStrictEqual(rest.link.of("Message").map(({ seq }) => seq), [5, 6])
    assert.deepStrictEqual(world.labels(), ["1", "2", "3"])
    // a gap is a violation, and ends it
    yield* rest.link.send(add(7, "gap"))
    assert.strictEqual(rest.link.of("Close")[0]!.reason._tag, "ProtocolViolation")
    assert.deepStrictEqual(world.labels(), ["1", "2", "3"])
  }))

// --- S5 --------------------------------------------------------------------------------------------------------------

/** All that a client does: connects, subscribes, calls, is cut off, calls, subscribes anew, and closes. */
const scenario = (world: World) =>
  Effect.gen(function*() {
    const replies: Array<number> = []
    const added: Array<string> = []
    const blobs: Array<string> = []
    yield* Effect.scoped(Effect.gen(function*() {
      const client = yield* world.client(atOnce)
      const tally = yield* client.connect(Tally, "a", { ...options, events: ["added"] })
      const events = yield* tally.events("added")
      yield* Effect.forkScoped(
        Stream.runForEach(events, (event) => Effect.sync(() => void added.push(Gap.isGap(event) ? "gap" : event.label)))
      )
      const call = (label: string) => Effect.map(tally.rpc.Add({ label }), (reply) => void replies.push(reply))
      yield* call("1")
      const fibers = [yield* Effect.fork(call("2")), yield* Effect.fork(call("3"))]
      const stream = yield* tally.events("blob")
      yield* Effect.forkScoped(
        Stream.runForEach(stream, (blob) => Effect.sync(() => void blobs.push(Gap.isGap(blob) ? "gap" : blob)))
      )
      yield* Fiber.joinAll(fibers)
      yield* world.network.cut
      yield* call("4")
      yield* tally.rpc.Blow({ size: 1 })
      yield* call("5")
      yield* settle
    }))
    return { replies, added, blobs }
  })

/** Cuts the link before or after the deliveries with these numbers. Returns how many there were in all. */
const cutAt = (world: World, cuts: ReadonlyMap<number, "cut-before" | "cut-after">) =>
  Effect.gen(function*() {
    let count = 0
    yield* world.network.onMessage(() => cuts.get(++count))
    return () => count
  })

const runSweep = (cuts: ReadonlyMap<number, "cut-before" | "cut-after">, checkHooks = false) =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const count = yield* cutAt(world, cuts)
    const fiber = yield* Effect.fork(scenario(world))
    for (let i = 0; i < 40 && fiber.unsafePoll() === null; i++) yield* settle
    const name = Array.from(cuts, ([n, how]) => `${how} ${n}`).join(", ")
    assert.isNotNull(fiber.unsafePoll(), `it settles with ${name}`)
    const { added, blobs, replies } = yield* Fiber.join(fiber)
    assert.deepStrictEqual(replies, [1, 2, 3, 4, 5], name)
    assert.deepStrictEqual(world.labels(), ["1", "2", "3", "4", "5"], name)
    assert.deepStrictEqual(added, ["1", "2", "3", "4", "5"], name)
    assert.deepStrictEqual(blobs, ["x"], name)
    if (!checkHooks) return count()
    // each connection that has stood has been released, at once or at the end of its window
    yield* pass("2 minutes")
    assert.strictEqual(world.trace.entries("release").length, world.trace.entries("acquire").length, name)
    return count()
  }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext))

it.scoped(
  "S5 E2 C7 a drop before or after any message of the handshake, the calls, a subscribe and a resume",
  () =>
    Effect.gen(function*() {
      const total = yield* runSweep(new Map())
      assert.isAbove(total, 12)
      for (const how of ["cut-before", "cut-after"] as const) {
        for (let n = 1; n <= total + 4; n++) yield* runSweep(new Map([[n, how]]), true)
      }
    }),
  300_000
)

it.scoped(
  "S5 E2 C7 two drops: the second hits any message of the recovery from the first",
  () =>
    Effect.gen(function*() {
      const total = yield* runSweep(new Map())
      for (
        const [first, second] of [["cut-before", "cut-after"], ["cut-after", "cut-before"], [
          "cut-after",
          "cut-after"
        ]] as const
      ) {
        for (let n = 1; n <= total; n++) {
          for (let d = 1; d <= 4; d++) yield* runSweep(new Map([[n, first], [n + d, second]]))
        }
      }
    }),
  300_000
)

it.scoped(
  "S5 C7 a server that is lost after any message: calls take effect once, in order",
  () =>
    Effect.gen(function*() {
      const run = (at: number, times: number) =>
        Effect.gen(function*() {
          const world = yield* makeWorld()
          yield* world.serve()
          let count = 0
          let crashing = 0
          const client = yield* world.client({ schedule: Schedule.spaced("100 millis") })
          const tally = yield* client.connect(Tally, "a", options)
          const recover = Effect.gen(function*() {
            while ((yield* statusOf(tally)) !== "connected" || (yield* world.network.links) === 0) {
              yield* world.serve()
              yield* world.network.setReachability("reachable")
              yield* pass("100 millis")
            }
          })
          const labels = ["1", "2", "3", "4", "5", "6"]
          yield* world.network.onMessage(() => {
            if (++count < at || crashing >= times) return undefined
            crashing++
            Effect.runSync(world.network.setReachability("refused"))
            return "cut-after"
          })
          const fibers = []
          for (const label of labels) {
            fibers.push(yield* Effect.fork(tally.rpc.Add({ label })))
            yield* settle
            yield* recover
          }
          const replies = []
          for (const fiber of fibers) replies.push(yield* result(fiber))
          assert.deepStrictEqual(replies, [1, 2, 3, 4, 5, 6], `lost at ${at}`)
          assert.deepStrictEqual(world.labels(), labels, `lost at ${at}`)
          return count
        }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext))
      const total = yield* run(Infinity, 0)
      for (let at = 1; at <= total; at++) {
        yield* run(at, 1)
        yield* run(at, 2)
      }
    }),
  300_000
)

it.scoped("S5 closing a connection at any moment of its opening leaves nothing", () =>
  Effect.gen(function*() {
    for (let n = 1; n <= 8; n++) {
      const world = yield* makeWorld()
      yield* world.serve()
      const scope = yield* Scope.make()
      let count = 0
      yield* world.network.onMessage(() => {
        if (++count === n) Effect.runFork(Scope.close(scope, Exit.void))
      })
      const client = yield* world.client()
      yield* begin(Scope.extend(client.connect(Tally, "a", options), scope).pipe(Effect.ignore))
      if (count < n) yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual(yield* world.network.links, 0, `message ${n}`)
      yield* pass("2 minutes")
      assert.strictEqual(world.trace.entries("release").length, world.trace.entries("acquire").length, `message ${n}`)
      assert.strictEqual(
        world.trace.entries("disconnect").length,
        world.trace.entries("acquire").length,
        `message ${n}`
      )
    }
  }))

it.scoped("who vanishes before its connection is admitted is not waited for", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    world.trace.preflight = Deferred.await(world.trace.gate("preflight"))
    const raw = yield* world.rawLink
    yield* raw.send(hello, open("ann"))
    yield* world.network.cut
    yield* world.trace.open("preflight")
    yield* settle
    assert.deepStrictEqual(world.trace.log.slice(-1), ["preflight ann"])
  }))

it.scoped("A6 S1 a collector that is never read does not hold up calls", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const tally = yield* (yield* world.client({ eventBufferMax: 2 })).connect(Tally, "a", options)
    yield* Effect.asVoid(tally.events("added"))
    const read = yield* collect(yield* tally.events("added"))
    for (let i = 1; i <= 20; i++) assert.strictEqual(yield* result(yield* begin(tally.rpc.Add({ label: `${i}` }))), i)
    assert.lengthOf(read, 20)
  }))
