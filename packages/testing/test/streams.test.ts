/** Handlers that run beside the turns: streams, and forked ones. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError, Delivery, ServerDefect } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport, RawClient, TestKit, TestStore, TestTime } from "@troupe/testing"
import {
  Cause,
  Chunk,
  type Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Mailbox,
  Ref,
  Schedule,
  Schema,
  Stream,
  TestClock
} from "effect"
import { settle } from "./support/lab.ts"
import { makeScripted } from "./support/scripted.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { at: Schema.Number }) {}
class Gone extends Schema.TaggedError<Gone>()("Gone", {}) {}

const what = { what: Schema.String }

class Feed extends Actor.Tag<Feed>()("Feed", {
  params: Schema.Struct({ who: Schema.String }),
  rpcs: RpcGroup.make(
    Rpc.make("Follow", { payload: what, success: Schema.NumberFromString, error: Broken, stream: true }),
    Rpc.make("Again", { payload: what, success: Schema.Number, stream: true }).annotate(
      Delivery.Delivery,
      "idempotent"
    ),
    Actor.forked(Rpc.make("Long", { payload: what, success: Schema.String, error: Gone })),
    Actor.forked(Rpc.make("LongAgain", { payload: what, success: Schema.String })).annotate(
      Delivery.Delivery,
      "idempotent"
    ),
    Rpc.make("Sneaky", { success: Schema.String }),
    Rpc.make("Add", { payload: { by: Schema.Number }, success: Schema.Number }),
    Rpc.make("Sum", { success: Schema.Number })
  ),
  internal: RpcGroup.make(
    Actor.forked(Rpc.make("LongInternally", { payload: what, success: Schema.String })),
    Rpc.make("Peek", { success: Schema.Number })
  ),
  events: { added: Schema.Number }
}) {}

type Room = Parameters<Parameters<typeof Feed.toLayer<typeof Schema.Number, any>>[1]>[0]

/** What tests put into the handlers, and what these leave. */
class Bench extends Context.Tag("test/Bench")<Bench, {
  readonly streams: { [what: string]: (room: Room) => Stream.Stream<number, Broken> }
  readonly long: { [what: string]: (room: Room) => Effect.Effect<string, Gone, any> }
  readonly notes: Array<string>
  readonly gates: Map<string, Deferred.Deferred<void>>
}>() {}

const feedLive = (durability: "commit" | "memory") =>
  Feed.toLayer({ state: Schema.Number, initialState: () => 0, durability }, (room) =>
    Effect.gen(function*() {
      const { long, streams } = yield* Bench
      const internally = ({ what }: { readonly what: string }) =>
        Effect.orDie(long[what]!(room)) as Effect.Effect<string>
      return room.behavior({
        rpcs: {
          Follow: ({ what }) => streams[what]!(room),
          Again: ({ what }) => Stream.orDie(streams[what]!(room)),
          Long: ({ what }) => long[what]!(room) as Effect.Effect<string, Gone>,
          LongAgain: internally,
          Sneaky: () => Rpc.fork(Effect.succeed("beside")),
          Add: ({ by }) =>
            Ref.updateAndGet(room.state, (sum) => sum + by).pipe(Effect.tap((sum) => room.broadcast("added", sum))),
          Sum: () => Ref.get(room.state)
        },
        internal: { LongInternally: internally, Peek: () => Ref.get(room.state) }
      })
    }))

const BenchLive = Layer.sync(Bench, () => ({ streams: {}, long: {}, notes: [], gates: new Map() }))

/** The store, with another retention. */
const keptFor = (retentionMillis: number) =>
  Layer.effect(
    ActorStore.ActorStore,
    Effect.map(ActorStore.ActorStore, (store) => ({ ...store, retentionMillis }))
  )

const run = <A, E, R>(
  body: Effect.Effect<A, E, R>,
  host: Parameters<typeof ActorHost.layer>[0] = {},
  { durability = "commit", retentionMillis }: {
    readonly durability?: "commit" | "memory"
    readonly retentionMillis?: number
  } = {}
) =>
  body.pipe(
    Effect.scoped,
    Effect.provide(
      ActorClient.layer({ schedule: Schedule.spaced("1 second") }).pipe(
        Layer.provideMerge(MemoryTransport.layerServer({ actors: [Feed] })),
        Layer.provideMerge(feedLive(durability)),
        Layer.provideMerge(ActorHost.layer(host)),
        Layer.provide(retentionMillis === undefined ? Layer.empty : keptFor(retentionMillis)),
        Layer.provideMerge(Layer.mergeAll(TestStore.layer, MemoryTransport.layer, BenchLive))
      )
    )
  )

const connect = (who = "ann") => ActorClient.connect(Feed, "a", { params: { who } })

const later = Effect.repeatN(Effect.zipRight(settle, Effect.zipRight(TestClock.adjust("1 second"), settle)), 2)

/** Says, as message `seq`, that a chunk of the first call has been read. */
const acknowledge = (seq: number, index: number) => ({
  _tag: "Message",
  channel: 1,
  seq,
  payload: { _tag: "Ack", requestId: "1", index }
})

/** What a session says that follows a stream with its first call, on one connection after another. */
const followerOf = (what: string) => ({
  open: (pending: ReadonlyArray<number>) => RawClient.open(Feed, "a", { params: { who: "ann" }, pending }),
  follow: RawClient.request(1, "Follow", { what })
})

/** The chunks that have come, by number. */
const chunksOf = (client: RawClient.RawClient) =>
  client.of("Message").flatMap(({ payload }) => payload._tag === "Chunk" ? [payload.index] : [])

/** Waits for a gate that the test opens. */
const gate = (name: string) =>
  Effect.flatMap(Bench, ({ gates }) => {
    const known = gates.get(name) ?? Effect.runSync(Deferred.make<void>())
    gates.set(name, known)
    return Effect.succeed({
      wait: Deferred.await(known),
      open: Effect.zipRight(Deferred.succeed(known, undefined), settle)
    })
  })

const numbers = (stream: Stream.Stream<number, unknown>) => Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

/** A stream of one-number chunks that notes what it has produced, and how it ended. */
const counting = (notes: Array<string>, to = Number.POSITIVE_INFINITY) =>
  Stream.iterate(1, (n) => n + 1).pipe(
    Stream.rechunk(1),
    Stream.takeWhile((n) => n <= to),
    Stream.tap((n) => Effect.sync(() => void notes.push(`made ${n}`))),
    Stream.ensuring(Effect.sync(() => void notes.push("ended")))
  )

it.effect("B5 the values of a stream arrive, decoded and in order, and it ends", () =>
  run(Effect.gen(function*() {
    const { notes, streams } = yield* Bench
    const feed = yield* connect()
    streams["five"] = () => counting(notes, 5)
    streams["many"] = () => Stream.range(1, 10_000)
    streams["none"] = () => Stream.empty
    for (const _ of [1, 2]) {
      assert.deepStrictEqual(yield* numbers(feed.rpc.Follow({ what: "five" })), [1, 2, 3, 4, 5])
      assert.deepStrictEqual(yield* numbers(feed.rpc.Follow({ what: "none" })), [])
      const many = yield* numbers(feed.rpc.Follow({ what: "many" }))
      assert.deepStrictEqual([many.length, many[0], many[9999]], [10_000, 1, 10_000])
    }
    assert.strictEqual(yield* feed.pending.get, 0)
    const mailbox = yield* feed.rpc.Follow({ what: "five" }, { asMailbox: true })
    assert.deepStrictEqual(yield* numbers(Mailbox.toStream(mailbox)), [1, 2, 3, 4, 5])
  })))

it.effect("B5 backpressure: nothing is produced that the consumer does not ask for, end to end", () =>
  run(Effect.gen(function*() {
    const { notes, streams } = yield* Bench
    const feed = yield* connect()
    streams["endless"] = () => counting(notes)
    for (const _ of [1, 2]) {
      notes.length = 0
      const pull = yield* Stream.toPull(feed.rpc.Follow({ what: "endless" }))
      for (let taken = 1; taken <= 5; taken++) {
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* pull), [taken])
        yield* settle
        const made = notes.filter((note) => note.startsWith("made")).length
        assert.isAtMost(made, taken + 2)
      }
    }
  })))

it.effect("B5 the consumer ends a stream early: the producer is interrupted, and its finalizers run", () =>
  run(Effect.gen(function*() {
    const { notes, streams } = yield* Bench
    const feed = yield* connect()
    streams["endless"] = () => counting(notes)
    for (const round of [1, 2]) {
      assert.deepStrictEqual(yield* numbers(Stream.take(feed.rpc.Follow({ what: "endless" }), 3)), [1, 2, 3])
      yield* settle
      assert.strictEqual(notes.filter((note) => note === "ended").length, round)
      const following = yield* Effect.fork(Stream.runDrain(feed.rpc.Follow({ what: "hang" })))
      streams["hang"] = () => Stream.ensuring(Stream.never, Effect.sync(() => void notes.push("hang ended")))
      yield* settle
      yield* Fiber.interrupt(following)
      yield* settle
      assert.strictEqual(notes.filter((note) => note === "hang ended").length, round)
      assert.strictEqual(yield* feed.rpc.Add({ by: 0 }), 0, "others go on")
    }
  })))

it.effect("B5 a failure in the middle is typed, after the values before it; a defect has an id", () =>
  run(Effect.gen(function*() {
    const { streams } = yield* Bench
    const feed = yield* connect()
    streams["fails"] = () => Stream.concat(Stream.range(1, 3), Stream.fail(new Broken({ at: 4 })))
    streams["dies"] = () => Stream.concat(Stream.range(1, 3), Stream.die("secret"))
    for (const what of ["fails", "dies"]) {
      const seen: Array<number> = []
      const exit = yield* Effect.exit(
        Stream.runForEach(feed.rpc.Follow({ what }), (n) => Effect.sync(() => void seen.push(n)))
      )
      assert.deepStrictEqual(seen, [1, 2, 3])
      if (what === "fails") assert.deepStrictEqual(exit, Exit.fail(new Broken({ at: 4 })))
      else {
        const defect = Exit.isFailure(exit) ? Cause.dieOption(exit.cause) : undefined
        assert.instanceOf(defect?._tag === "Some" ? defect.value : undefined, ServerDefect.ServerDefect)
      }
    }
  })))

class Holes extends Actor.Tag<Holes>()("Holes", {
  rpcs: RpcGroup.make(
    Rpc.make("Maybe", { success: Schema.UndefinedOr(Schema.Int), stream: true }),
    Rpc.make("Ticks", { success: Schema.Void, stream: true }),
    Rpc.make("Answer", { success: Schema.UndefinedOr(Schema.Int) })
  )
}) {}

const HolesLive = Holes.toLayer(
  { state: Schema.Void, initialState: () => undefined },
  (holes) =>
    Effect.succeed(holes.behavior({
      rpcs: {
        Maybe: () => Stream.make(1, undefined),
        Ticks: () => Stream.make(undefined, undefined),
        Answer: () => Effect.succeed(undefined)
      }
    }))
)

it.effect("B5 a value that JSON has not ends its stream with a defect, and nothing else", () =>
  Effect.gen(function*() {
    const { rpc, status } = yield* ActorClient.connect(Holes, "a")
    for (const _ of [1, 2]) {
      const exit = yield* Effect.exit(Stream.runCollect(rpc.Maybe()))
      assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), ServerDefect.ServerDefect)
      assert.lengthOf(yield* Stream.runCollect(rpc.Ticks()), 2)
      assert.isUndefined(yield* rpc.Answer())
    }
    assert.strictEqual((yield* status.get)._tag, "Connected")
  }).pipe(Effect.scoped, Effect.provide(TestKit.layer({ actors: [Holes], implementations: HolesLive }))))

it.effect("B5 a stream rides the resume of its connection: nothing is lost or repeated", () =>
  run(Effect.gen(function*() {
    const { notes, streams } = yield* Bench
    const network = yield* MemoryTransport.MemoryNetwork
    const feed = yield* connect()
    streams["fifty"] = () => counting(notes, 50)
    const seen: Array<number> = []
    const following = yield* Effect.fork(
      Stream.runForEach(feed.rpc.Follow({ what: "fifty" }), (n) =>
        Effect.gen(function*() {
          seen.push(n)
          if (n % 7 === 0) yield* network.cut
        }))
    )
    yield* later
    yield* Effect.repeatN(later, 4)
    yield* Fiber.join(following)
    assert.deepStrictEqual(seen, Array.from({ length: 50 }, (_, i) => i + 1))
    assert.strictEqual(notes.filter((note) => note === "ended").length, 1)
  })))

it.effect("B5 also onto another connection, as long as the activation lives", () =>
  run(
    Effect.gen(function*() {
      const { notes, streams } = yield* Bench
      const network = yield* MemoryTransport.MemoryNetwork
      const feed = yield* connect()
      streams["twenty"] = () => counting(notes, 20)
      const seen: Array<number> = []
      const following = yield* Effect.fork(
        Stream.runForEach(feed.rpc.Follow({ what: "twenty" }), (n) =>
          Effect.gen(function*() {
            seen.push(n)
            // away for longer than the resume window
            if (n % 9 !== 0) return
            yield* network.setReachability("refused")
            yield* network.cut
          }))
      )
      for (const _ of [1, 2]) {
        yield* settle
        yield* TestClock.adjust("3 seconds")
        yield* settle
        yield* network.setReachability("reachable")
        yield* TestClock.adjust("1 second")
      }
      yield* Fiber.join(following)
      assert.deepStrictEqual(seen, Array.from({ length: 20 }, (_, i) => i + 1))
      assert.strictEqual(notes.filter((note) => note === "ended").length, 1)
    }),
    { resumeWindow: "2500 millis" }
  ))

it.effect("what has not been read when its connection is opened anew waits there, and what follows behind it", () =>
  run(
    Effect.gen(function*() {
      const { notes, streams } = yield* Bench
      const network = yield* MemoryTransport.MemoryNetwork
      const reader = yield* gate("reader")
      const feed = yield* connect()
      streams["three"] = () => counting(notes, 3)
      const seen: Array<number> = []
      const following = yield* Effect.fork(
        Stream.runForEach(
          feed.rpc.Follow({ what: "three" }),
          (n) => Effect.zipRight(reader.wait, Effect.sync(() => void seen.push(n)))
        )
      )
      yield* settle
      yield* network.setReachability("refused")
      yield* network.cut
      // for longer than it could have resumed
      yield* TestTime.pass("3 seconds")
      yield* network.setReachability("reachable")
      yield* TestTime.pass("1 second")
      yield* reader.open
      yield* Fiber.join(following)
      assert.deepStrictEqual(seen, [1, 2, 3])
    }),
    { resumeWindow: "2500 millis" }
  ))

it.effect("B5 a chunk is sent once on a connection, also one that is there before the call has come again", () =>
  run(Effect.gen(function*() {
    const { streams } = yield* Bench
    const second = yield* gate("second")
    streams["slowly"] = () =>
      Stream.make(Effect.succeed(1), Effect.as(second.wait, 2), Effect.succeed(3)).pipe(
        Stream.mapEffect((value) => value),
        Stream.rechunk(1)
      )
    const { follow, open } = followerOf("slowly")
    const before = yield* RawClient.make
    yield* before.say(RawClient.hello, open([]))
    yield* before.say(follow)
    yield* before.say(acknowledge(2, 1))
    const after = yield* RawClient.make
    yield* after.say(RawClient.hello, open([1]))
    yield* second.open
    const chunks = () => chunksOf(after)
    assert.deepStrictEqual(chunks(), [2])
    yield* after.say(follow)
    assert.deepStrictEqual(chunks(), [2])
    yield* after.say(acknowledge(2, 2))
    assert.deepStrictEqual(chunks(), [2, 3])
  })))

it.effect("B5 a chunk that was taken as its connection opened anew, and comes again, counts once", () =>
  run(Effect.gen(function*() {
    const { streams } = yield* Bench
    streams["slowly"] = () => Stream.rechunk(Stream.make(1, 2, 3, 4), 1)
    const { follow, open } = followerOf("slowly")
    const before = yield* RawClient.make
    yield* before.say(RawClient.hello, open([]))
    yield* before.say(follow)
    const after = yield* RawClient.make
    yield* after.say(RawClient.hello, open([1]))
    // taken before it comes again, which its client cannot know: it says so both times
    yield* after.say(follow, acknowledge(2, 1))
    yield* after.say(acknowledge(3, 1))
    assert.deepStrictEqual(chunksOf(after), [1, 2])
    // nor does it count what it has not been given
    yield* after.say(acknowledge(4, 3))
    assert.deepStrictEqual(chunksOf(after), [1, 2])
    yield* after.say(acknowledge(5, 2))
    assert.deepStrictEqual(chunksOf(after), [1, 2, 3])
  })))

it.effect("B5 a server that gives a chunk before it is asked for it, or leaves one out, is not believed", () =>
  Effect.scoped(Effect.gen(function*() {
    for (const wrong of [4, 6]) {
      const { client, server } = yield* makeScripted()
      const feed = yield* client.connect(Feed, "a", { params: { who: "ann" } })
      const seen: Array<number> = []
      // the second one is taken, and the third is not
      yield* Effect.forkScoped(Stream.runForEach(
        feed.rpc.Follow({ what: "anything" }),
        (n) => seen.push(n) < 2 ? Effect.void : Effect.never
      ))
      yield* settle
      for (const index of [1, 2, 3]) yield* server.chunk(1, index, [`${index}`])
      assert.deepStrictEqual(seen, [1, 2])
      // what is known may come again, and is not asked for before it has been taken
      yield* server.chunk(1, 3, ["3"])
      assert.strictEqual(yield* Effect.map(feed.status.get, ({ _tag }) => _tag), "Connected")
      yield* server.chunk(1, wrong, [`${wrong}`])
      const error = yield* Effect.flip(feed.rpc.Sum())
      assert.instanceOf(error, ConnectionError.ConnectionClosed)
      assert.deepStrictEqual(error.reason, {
        _tag: "ProtocolViolation",
        issue: `chunk ${wrong} came before it was asked for`
      })
    }
  })))

it.effect("B5 an activation that is lost ends its streams with OutcomeUnknown; an idempotent one that gave nothing runs again", () =>
  run(Effect.gen(function*() {
    const { notes, streams } = yield* Bench
    const control = yield* TestStore.TestStore
    const feed = yield* connect()
    streams["hang"] = () => Stream.concat(Stream.make(1), Stream.never)
    let runs = 0
    streams["late"] = () => Stream.unwrap(Effect.sync(() => ++runs % 2 === 1 ? Stream.never : Stream.make(1, 2)))
    for (const round of [1, 2]) {
      const plain = yield* Effect.fork(Effect.flip(Stream.runDrain(feed.rpc.Follow({ what: "hang" }))))
      const begun = yield* Effect.fork(Effect.flip(Stream.runDrain(feed.rpc.Again({ what: "hang" }))))
      const again = yield* Effect.fork(numbers(feed.rpc.Again({ what: "late" })))
      yield* settle
      yield* control.fail("before")
      const added = yield* Effect.fork(feed.rpc.Add({ by: 1 }))
      yield* later
      assert.strictEqual(yield* Fiber.join(added), round)
      for (const fiber of [plain, begun]) {
        const error = yield* Fiber.join(fiber)
        assert.instanceOf(error, ConnectionError.OutcomeUnknown)
      }
      assert.deepStrictEqual(yield* Fiber.join(again), [1, 2])
      assert.strictEqual(runs, 2 * round)
    }
    assert.deepStrictEqual(notes, [])
  })))

it.effect("B5 a client that goes away for good ends its streams, and the actor may sleep", () =>
  run(
    Effect.gen(function*() {
      const { notes, streams } = yield* Bench
      streams["endless"] = () => counting(notes)
      const network = yield* MemoryTransport.MemoryNetwork
      yield* Effect.scoped(Effect.gen(function*() {
        const feed = yield* connect()
        yield* Effect.forkScoped(Stream.runDrain(Stream.tap(feed.rpc.Follow({ what: "endless" }), () => Effect.never)))
        yield* settle
      }))
      yield* settle
      assert.strictEqual(notes.filter((note) => note === "ended").length, 1)
      // one that vanishes without a word
      const other = Context.get(yield* Layer.build(Layer.fresh(ActorClient.layer())), ActorClient.ActorClient)
      const feed = yield* other.connect(Feed, "a", { params: { who: "bob" } })
      yield* Effect.forkScoped(Stream.runDrain(Stream.tap(feed.rpc.Follow({ what: "endless" }), () => Effect.never)))
      yield* settle
      yield* network.setReachability("refused")
      yield* network.cut
      yield* settle
      yield* TestClock.adjust("5 minutes")
      yield* settle
      assert.strictEqual(notes.filter((note) => note === "ended").length, 2)
    })
  ))

it.effect("B6 a forked handler runs beside the turns, starts in call order, and its changes are turns", () =>
  run(Effect.gen(function*() {
    const { long, notes } = yield* Bench
    const feed = yield* connect()
    const { open, wait } = yield* gate("long")
    long["wait"] = (room) =>
      Effect.gen(function*() {
        const before = yield* Ref.get(room.state)
        notes.push(`began at ${before}`)
        yield* wait
        const { params } = yield* room.caller
        const sum = yield* Ref.updateAndGet(room.state, (sum) => sum + 100)
        yield* room.broadcast("added", sum)
        return `${params.who} ${sum}`
      })
    yield* feed.rpc.Add({ by: 1 })
    const first = yield* Effect.fork(feed.rpc.Add({ by: 1 }))
    const forked = yield* Effect.fork(feed.rpc.Long({ what: "wait" }))
    const second = yield* Effect.fork(feed.rpc.Add({ by: 1 }))
    assert.strictEqual(yield* Fiber.join(first), 2)
    assert.strictEqual(yield* Fiber.join(second), 3, "it does not wait")
    assert.deepStrictEqual(notes, ["began at 2"])
    yield* open
    assert.strictEqual(yield* Fiber.join(forked), "ann 103")
    assert.strictEqual(yield* feed.rpc.Sum(), 103)
  })))

it.effect("B6 room.turn makes several changes of a forked handler one turn, or none", () =>
  run(Effect.gen(function*() {
    const { long } = yield* Bench
    const feed = yield* connect()
    const { open, wait } = yield* gate("between")
    const two = (room: Room) =>
      Ref.update(room.state, (sum) => sum + 1).pipe(
        Effect.zipRight(wait),
        Effect.zipRight(Ref.update(room.state, (sum) => sum + 1))
      )
    long["together"] = (room) => Effect.as(room.turn(two(room)), "done")
    long["failing"] = (room) => room.turn(Effect.zipRight(Ref.update(room.state, (sum) => sum + 50), new Gone()))
    const together = yield* Effect.fork(feed.rpc.Long({ what: "together" }))
    yield* settle
    const sum = yield* Effect.fork(feed.rpc.Sum())
    yield* settle
    yield* open
    assert.strictEqual(yield* Fiber.join(together), "done")
    assert.strictEqual(yield* Fiber.join(sum), 2, "it waited for the whole turn")
    assert.deepStrictEqual(yield* Effect.flip(feed.rpc.Long({ what: "failing" })), new Gone())
    assert.strictEqual(yield* feed.rpc.Sum(), 2, "nothing is left of a turn that failed")
  })))

it.effect("B6 the answer of a forked handler leaves after the commits of what it has seen", () =>
  run(Effect.gen(function*() {
    const { long, streams } = yield* Bench
    const control = yield* TestStore.TestStore
    const feed = yield* connect()
    long["read"] = (room) => Effect.map(Ref.get(room.state), String)
    streams["read"] = (room) => Stream.fromEffect(Ref.get(room.state))
    yield* control.hold
    const added = yield* Effect.fork(feed.rpc.Add({ by: 7 }))
    yield* control.waiting
    const read = yield* Effect.fork(feed.rpc.Long({ what: "read" }))
    const followed = yield* Effect.fork(numbers(feed.rpc.Follow({ what: "read" })))
    yield* settle
    assert.deepStrictEqual([(yield* Fiber.poll(read))._tag, (yield* Fiber.poll(followed))._tag], ["None", "None"])
    yield* control.release
    yield* Fiber.join(added)
    assert.strictEqual(yield* Fiber.join(read), "7")
    assert.deepStrictEqual(yield* Fiber.join(followed), [7])
  })))

it.effect("B6 interrupting a forked call interrupts its handler; what is queued behind is not held up", () =>
  run(Effect.gen(function*() {
    const { long, notes } = yield* Bench
    const feed = yield* connect()
    long["hang"] = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void notes.push("interrupted")))
    for (const round of [1, 2]) {
      const call = yield* Effect.fork(feed.rpc.Long({ what: "hang" }))
      yield* settle
      yield* Fiber.interrupt(call)
      yield* settle
      assert.lengthOf(notes, round)
      assert.strictEqual(yield* feed.pending.get, 0)
    }
  })))

it.effect("B6 a forked call joins what runs when its connection is opened anew, and is unknown when the activation is lost", () =>
  run(
    Effect.gen(function*() {
      const { long } = yield* Bench
      const control = yield* TestStore.TestStore
      const network = yield* MemoryTransport.MemoryNetwork
      const feed = yield* connect()
      let runs = 0
      const { open, wait } = yield* gate("long")
      long["wait"] = () => Effect.zipRight(Effect.sync(() => runs++), Effect.as(wait, "done"))
      const joined = yield* Effect.fork(feed.rpc.Long({ what: "wait" }))
      yield* settle
      yield* network.setReachability("refused")
      yield* network.cut
      yield* later
      yield* network.setReachability("reachable")
      yield* later
      yield* open
      assert.strictEqual(yield* Fiber.join(joined), "done")
      assert.strictEqual(runs, 1)
      long["never"] = () => Effect.zipRight(Effect.sync(() => runs++), Effect.never)
      long["second time"] = () => Effect.suspend(() => runs++ === 2 ? Effect.never : Effect.succeed("again"))
      const lost = yield* Effect.fork(Effect.flip(feed.rpc.Long({ what: "never" })))
      const again = yield* Effect.fork(feed.rpc.LongAgain({ what: "second time" }))
      yield* settle
      yield* control.fail("before")
      yield* Effect.fork(feed.rpc.Add({ by: 1 }))
      yield* later
      assert.instanceOf(yield* Fiber.join(lost), ConnectionError.OutcomeUnknown)
      assert.strictEqual(yield* Fiber.join(again), "again")
    }),
    { resumeWindow: "1500 millis" }
  ))

it.effect("B6 a forked call, or a stream, that has not arrived is sent again to the same activation, and runs once", () =>
  run(
    Effect.gen(function*() {
      const { long, notes, streams } = yield* Bench
      const network = yield* MemoryTransport.MemoryNetwork
      const feed = yield* connect()
      let runs = 0
      long["count"] = () => Effect.sync(() => `run ${++runs}`)
      streams["three"] = () => counting(notes, 3)
      for (const round of [1, 2]) {
        yield* network.onMessage(({ carries }) => carries("Request") ? "cut-before" : undefined)
        yield* network.setReachability("refused")
        const call = yield* Effect.fork(feed.rpc.Long({ what: "count" }))
        const stream = yield* Effect.fork(numbers(feed.rpc.Follow({ what: "three" })))
        yield* settle
        yield* network.onMessage(() => undefined)
        // for longer than the resume window
        yield* later
        assert.strictEqual(runs, round - 1)
        yield* network.setReachability("reachable")
        yield* later
        assert.strictEqual(yield* Fiber.join(call), `run ${round}`)
        assert.deepStrictEqual(yield* Fiber.join(stream), [1, 2, 3])
        assert.strictEqual(notes.filter((note) => note === "ended").length, round)
      }
    }),
    { resumeWindow: "1500 millis" }
  ))

it.effect("B6 a forked call is not sent again to another activation, nor after so long that it may be forgotten", () =>
  Effect.scoped(Effect.gen(function*() {
    const { client, network, server } = yield* makeScripted({ schedule: Schedule.spaced("1 second") })
    server.retentionMillis = 100_000
    const feed = yield* client.connect(Feed, "a", { params: { who: "ann" } })
    const sentAgain = (call: number) => server.requests.filter((number) => number === call).length > 1
    const begin = Effect.gen(function*() {
      const before = server.requests.length
      const once = yield* Effect.fork(feed.rpc.Long({ what: "long" }))
      const again = yield* Effect.fork(feed.rpc.LongAgain({ what: "long" }))
      yield* settle
      const [first, second] = server.requests.slice(before)
      return { once: { fiber: once, number: first! }, again: { fiber: again, number: second! } }
    })
    const awayFor = (millis: number) =>
      Effect.gen(function*() {
        server.lost = { _tag: "ResumeExpired" }
        yield* network.setReachability("refused")
        yield* network.cut
        yield* TestClock.adjust(millis)
        yield* settle
        yield* network.setReachability("reachable")
        yield* TestClock.adjust("1 second")
        yield* settle
      })
    for (const round of [1, 2]) {
      const kept = yield* begin
      yield* awayFor(60_000)
      assert.isTrue(sentAgain(kept.once.number), "it is the same activation")
      // 120 seconds after it was sent first, but the server has seen its client meanwhile
      yield* awayFor(60_000)
      assert.strictEqual(server.requests.filter((number) => number === kept.once.number).length, 3)
      yield* server.answer(kept.once.number, "done")
      assert.strictEqual(yield* Fiber.join(kept.once.fiber), "done")

      const forgotten = yield* begin
      yield* awayFor(90_000)
      assert.isFalse(sentAgain(forgotten.once.number), "it may be forgotten")
      assert.instanceOf(yield* Effect.flip(Fiber.join(forgotten.once.fiber)), ConnectionError.OutcomeUnknown)
      assert.isTrue(sentAgain(forgotten.again.number), "it may run twice")

      const lost = yield* begin
      server.activation = `another one, ${round}`
      yield* server.close({ _tag: "ActivationLost" })
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isFalse(sentAgain(lost.once.number), "it is another activation")
      assert.instanceOf(yield* Effect.flip(Fiber.join(lost.once.fiber)), ConnectionError.OutcomeUnknown)
      assert.isTrue(sentAgain(lost.again.number), "it may run twice")
    }
  })))

it.effect("B6 the answer of a forked call that its client has not got outlives the sleep of an actor without a store", () =>
  run(
    Effect.gen(function*() {
      const { long } = yield* Bench
      const network = yield* MemoryTransport.MemoryNetwork
      const feed = yield* connect()
      let runs = 0
      long["count"] = () => Effect.sync(() => `run ${++runs}`)
      for (const round of [1, 2]) {
        yield* network.onMessage(({ carries, from }) => from === "server" && carries("Exit") ? "cut-before" : undefined)
        yield* network.setReachability("refused")
        const call = yield* Effect.fork(feed.rpc.Long({ what: "count" }))
        yield* settle
        yield* network.onMessage(() => undefined)
        assert.strictEqual(runs, round)
        for (let i = 0; i < 10; i++) yield* Effect.zipRight(TestClock.adjust("1 second"), settle)
        yield* network.setReachability("reachable")
        yield* later
        assert.strictEqual(yield* Fiber.join(call), `run ${round}`)
        assert.strictEqual(runs, round)
      }
    }),
    { resumeWindow: "1500 millis", idleTimeout: "2 seconds" },
    { durability: "memory" }
  ))

const awayAndDisconnected = [
  ["after the resume window", { resumeWindow: "1500 millis", idleTimeout: "1 hour" }, "commit"],
  ["after it, and after the actor has slept", { resumeWindow: "1500 millis", idleTimeout: "2 seconds" }, "memory"]
] as const

it.effect.each(awayAndDisconnected)(
  "C7 B5 B6 who is disconnected while it is away, does not hear it, and comes back %s, finds what it has called",
  ([, host, durability]) =>
    run(
      Effect.gen(function*() {
        const { long, streams } = yield* Bench
        const network = yield* MemoryTransport.MemoryNetwork
        const feed = yield* connect()
        let [runs, streamRuns] = [0, 0]
        let disconnect: Effect.Effect<void> = Effect.void
        long["wait"] = (room) =>
          Effect.gen(function*() {
            runs++
            disconnect = (yield* room.caller).disconnect("idle")
            return yield* Effect.never
          })
        streams["values"] = () => {
          const values = Stream.rechunk(Stream.range(1 + 10 * ++streamRuns, 4 + 10 * streamRuns), 1)
          return streamRuns === 1 ? Stream.concat(Stream.take(values, 2), Stream.never) : values
        }
        const waiting = yield* Effect.fork(feed.rpc.Long({ what: "wait" }))
        const seen: Array<number> = []
        const following = yield* Effect.fork(
          Stream.runForEach(feed.rpc.Follow({ what: "values" }), (n) => Effect.sync(() => seen.push(n)))
        )
        yield* settle
        yield* network.onMessage(({ carries, from }) => from === "server" && carries("Exit") ? "cut-before" : undefined)
        yield* network.setReachability("refused")
        const adding = yield* Effect.fork(feed.rpc.Add({ by: 1 }))
        yield* settle
        yield* network.onMessage(() => undefined)
        yield* disconnect
        for (let i = 0; i < 10; i++) yield* later
        yield* network.setReachability("reachable")
        yield* later
        assert.strictEqual(yield* Fiber.join(adding), 1)
        assert.strictEqual(yield* feed.rpc.Sum(), 1)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(waiting)))
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(following)))
        assert.deepStrictEqual({ runs, streamRuns, seen }, { runs: 1, streamRuns: 1, seen: [11, 12] })
      }),
      host,
      { durability }
    )
)

it.effect("B6 a client that stood still for longer than answers are kept does not go by what had arrived before", () =>
  Effect.scoped(Effect.gen(function*() {
    const clock = yield* Effect.clock
    let stoodStill = 0
    // its timers have stood still with it
    const own: Clock.Clock = Object.assign(Object.create(clock) as Clock.Clock, {
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + stoodStill
    })
    const { client, network, server } = yield* Effect.withClock(
      makeScripted({ schedule: Schedule.spaced("1 second") }),
      own
    )
    server.retentionMillis = 100_000
    const feed = yield* client.connect(Feed, "a", { params: { who: "ann" } })
    for (const round of [1, 2]) {
      const call = yield* Effect.fork(feed.rpc.Long({ what: "long" }))
      yield* settle
      server.lost = { _tag: "ResumeExpired" }
      stoodStill += 5 * 3_600_000
      yield* server.say({ _tag: "Ping" })
      yield* network.cut
      yield* later
      assert.instanceOf(yield* Effect.flip(Fiber.join(call)), ConnectionError.OutcomeUnknown)
      assert.lengthOf(server.requests, round)
    }
  })))

it.effect("B6 a forked call that had not arrived, and is sent again, has all the time it needs", () =>
  run(
    Effect.gen(function*() {
      const { long } = yield* Bench
      const network = yield* MemoryTransport.MemoryNetwork
      const feeds = yield* Feed
      const feed = yield* connect()
      long["work"] = (room) =>
        Effect.zipRight(
          Effect.sleep("2 minutes"),
          room.turn(Effect.map(Effect.orDie(feeds.get("other").Peek()), (n) => `saw ${n}`))
        )
      for (const _ of [1, 2]) {
        yield* network.onMessage(({ carries }) => carries("Request") ? "cut-before" : undefined)
        yield* network.setReachability("refused")
        const call = yield* Effect.fork(feed.rpc.Long({ what: "work" }))
        yield* settle
        yield* network.onMessage(() => undefined)
        yield* later
        yield* network.setReachability("reachable")
        yield* later
        // more than a tenth of the retention
        yield* TestTime.pass("3 minutes")
        assert.deepStrictEqual(call.unsafePoll(), Exit.succeed("saw 0"))
      }
    }),
    { resumeWindow: "1500 millis" },
    { retentionMillis: 600_000 }
  ))

it.effect("B5 an idempotent stream that was run again by a second activation goes on there", () =>
  Effect.scoped(Effect.gen(function*() {
    const { client, network, server } = yield* makeScripted({ schedule: Schedule.spaced("1 second") })
    const feed = yield* client.connect(Feed, "a", { params: { who: "ann" } })
    const seen: Array<number> = []
    const stream = yield* Effect.fork(
      Stream.runForEach(feed.rpc.Again({ what: "x" }), (n) => Effect.sync(() => seen.push(n)))
    )
    yield* settle
    server.activation = "second"
    yield* server.close({ _tag: "ActivationLost" })
    yield* server.chunk(1, 1, [1])
    server.lost = { _tag: "ResumeExpired" }
    yield* network.cut
    yield* later
    assert.deepStrictEqual(server.requests, [1, 1, 1])
    yield* server.chunk(1, 2, [2])
    assert.deepStrictEqual(seen, [1, 2])
    // but not at a third one, which would begin anew
    server.activation = "third"
    yield* server.close({ _tag: "ActivationLost" })
    yield* later
    assert.instanceOf(yield* Effect.flip(Fiber.join(stream)), ConnectionError.OutcomeUnknown)
    assert.deepStrictEqual(server.requests, [1, 1, 1])
  })))

it.effect("B8 a call that was answered before it has been sent again is not sent, and takes no credit", () =>
  Effect.scoped(Effect.gen(function*() {
    const { client, network, server } = yield* makeScripted({ schedule: Schedule.spaced("1 second") })
    server.window = 2
    const feed = yield* client.connect(Feed, "a", { params: { who: "ann" } })
    const calls = [yield* Effect.fork(feed.rpc.Long({ what: "1" })), yield* Effect.fork(feed.rpc.Long({ what: "2" }))]
    yield* settle
    // so that the second has to wait
    server.window = 1
    server.lost = { _tag: "ResumeExpired" }
    yield* network.cut
    yield* later
    yield* server.answer(2, "two")
    yield* server.answer(1, "one")
    assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), ["one", "two"])
    const sum = yield* Effect.fork(feed.rpc.Sum())
    yield* settle
    assert.deepStrictEqual(server.requests, [1, 2, 1, 3])
    yield* server.answer(3, 5)
    assert.strictEqual(yield* Fiber.join(sum), 5)
  })))

it.effect("B6 a handler may not fork what its contract does not declare so", () =>
  run(Effect.gen(function*() {
    const feed = yield* connect()
    const exit = yield* Effect.exit(feed.rpc.Sneaky())
    assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
    assert.strictEqual(yield* feed.rpc.Add({ by: 1 }), 1)
  })))

it.effect("B6 forked calls of backends run beside the turns too", () =>
  run(Effect.gen(function*() {
    const { long } = yield* Bench
    const feeds = yield* Feed
    const { open, wait } = yield* gate("long")
    long["wait"] = (room) => Effect.zipRight(wait, Effect.map(Ref.updateAndGet(room.state, (n) => n + 5), String))
    const call = yield* Effect.fork(feeds.get("a").LongInternally({ what: "wait" }))
    yield* settle
    assert.strictEqual(yield* feeds.get("a").Peek(), 0)
    yield* open
    assert.strictEqual(yield* Fiber.join(call), "5")
    assert.strictEqual(yield* feeds.get("a").Peek(), 5)
  })))
