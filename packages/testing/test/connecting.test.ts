import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport, TestStore } from "@troupe/testing"
import {
  Cause,
  Chunk,
  Effect,
  Exit,
  Fiber,
  HashMap,
  Layer,
  Option,
  Ref,
  Schema,
  Scope,
  Stream,
  TestClock
} from "effect"
import {
  append,
  backend,
  connect,
  Denied,
  Lab,
  type LabConnection,
  type LabRoom,
  Probe,
  run,
  settle
} from "./support/lab.ts"
import { hello, listen, open, rawLink } from "./support/raw.ts"

/** The same contract as an older client knows it: it lets through what the server will not take. */
class LaxLab extends Actor.Tag<LaxLab>()("Lab", {
  params: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  rpcs: RpcGroup.make(Rpc.make("Items", { success: Schema.Array(Schema.String) }))
}) {}

/** The reason a connection was refused for, by the tag it is expected to have. */
const refusedFor = <Tag extends string>(exit: Exit.Exit<unknown, unknown>, tag: Tag) => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
  assert.instanceOf(error, ConnectionError.ConnectionClosed, String(exit))
  const { reason, sent } = error as ConnectionError.ConnectionClosed
  assert.strictEqual(reason._tag as string, tag)
  assert.strictEqual(sent, "no")
  return reason as Extract<typeof reason, { readonly _tag: Tag }>
}

/** Connects and expects an `Unavailable` whose id is in the log, with the cause, and nowhere else. */
const refusedWithDefect = (name: string, cause: string) =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const { defectId } = refusedFor(yield* Effect.exit(connect(name)), "Unavailable")
    assert.match(defectId, /^[0-9a-f]{32}$/)
    const logged = probe.logs.filter((log) => log.defect === defectId)
    assert.strictEqual(logged.length, 1)
    assert.include(logged[0]!.cause, cause)
    return defectId
  })

const reasonOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isSuccess(exit) ? (exit.value as { readonly _tag: string })._tag : "a failure"

/** `onConnect` acquires something; what becomes of it is noted. */
const lease = (probe: typeof Probe.Service) => (_room: LabRoom, connection: LabConnection) =>
  Effect.flatMap(Ref.get(connection.state), ({ name }) =>
    Effect.acquireRelease(
      probe.note(`acquire ${name}`),
      (_, exit) => probe.note(`release ${name} ${reasonOf(exit)}`)
    ))

const noteDisconnects = (probe: typeof Probe.Service) => {
  probe.hooks.onConnect = lease(probe)
  probe.hooks.onDisconnect = (_, connection, reason) =>
    Effect.flatMap(Ref.get(connection.state), ({ name }) => probe.note(`disconnect ${name} ${reason._tag}`))
}

const online = (room: LabRoom) => Effect.map(Ref.get(room.connections), HashMap.size)

it.effect("A1 params are decoded before any hook, and reach the hooks decoded", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const seen: Array<unknown> = []
    probe.hooks.onBeforeConnect = (_, { params }) => {
      seen.push(params)
      return Effect.succeed({ name: params.name, visits: 0 })
    }
    const ann = yield* connect("ann", { params: { name: "ann", level: 7 } })
    assert.deepStrictEqual(seen, [{ name: "ann", level: 7 }])
    assert.strictEqual((yield* ann.rpc.Me()).level, 7)
  })))

it.effect("A1 a bad value is refused with a readable parse error, and no hook runs", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.onBeforeConnect = () => Effect.die("the hook ran")
    const attempts: ReadonlyArray<readonly [params: Record<string, unknown>, parts: ReadonlyArray<string>]> = [
      [{ name: "" }, ["name", "NonEmptyString"]],
      [{ name: 5 }, ["name", "string", "5"]],
      [{ name: "ann", level: "high" }, ["level", "\"high\""]],
      [{}, ["name", "is missing"]]
    ]
    for (const [params, parts] of [...attempts, ...attempts]) {
      const { issue } = refusedFor(yield* Effect.exit(ActorClient.connect(LaxLab, "main", { params })), "InvalidParams")
      for (const part of parts) assert.include(issue, part)
    }
    assert.deepStrictEqual(probe.notes, [])
    // params that are not there at all, and params of prototypes
    const raw = yield* rawLink
    yield* raw.say(hello)
    for (const params of [undefined, null, [], "ann", JSON.parse("{\"__proto__\":{\"name\":\"ann\"}}")]) {
      const [answer] = yield* raw.say(open(params))
      assert.strictEqual(answer?._tag, "Refused")
      assert.strictEqual((answer!.reason as { _tag: string })._tag, "InvalidParams")
    }
    assert.deepStrictEqual(probe.notes, [])
    yield* refusedWithDefect("good", "the hook ran")
  })))

it.effect("A1 params that do not encode are refused in the client", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { issue } = refusedFor(yield* Effect.exit(connect("")), "InvalidParams")
    assert.include(issue, "name")
    assert.deepStrictEqual(probe.notes, [])
  })))

it.effect("A2 onBeforeConnect returns the connection's state, and handlers change it", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.onBeforeConnect = (_, { params }) => Effect.succeed({ name: `${params.name}!`, visits: 5 })
    const states: Array<unknown> = []
    probe.hooks.onConnect = (_, connection) =>
      Effect.map(Ref.get(connection.state), (state) => {
        states.push(state)
      })
    const ann = yield* connect("ann")
    const bob = yield* connect("bob")
    assert.deepStrictEqual(states, [{ name: "ann!", visits: 5 }, { name: "bob!", visits: 5 }])
    assert.deepInclude(yield* ann.rpc.Me(), { name: "ann!", visits: 6 })
    assert.deepInclude(yield* ann.rpc.Me(), { name: "ann!", visits: 7 })
    assert.deepInclude(yield* bob.rpc.Me(), { name: "bob!", visits: 6 })
    // a handler of another connection, and one without any, see and change it too
    const rename = (room: LabRoom) =>
      Effect.gen(function*() {
        const all = Array.from(HashMap.values(yield* Ref.get(room.connections)))
        yield* Effect.forEach(
          all,
          ({ state }) => Ref.update(state, ({ name, visits }) => ({ name: `${name}!`, visits }))
        )
        return "renamed"
      })
    probe.scripts.rename = rename
    probe.internals.rename = rename
    yield* bob.rpc.Run({ script: "rename" })
    yield* (yield* backend).Script({ script: "rename" })
    assert.deepInclude(yield* ann.rpc.Me(), { name: "ann!!!", visits: 8 })
    assert.deepInclude(yield* bob.rpc.Me(), { name: "bob!!!", visits: 7 })
  })))

it.effect("A2 a connection state that violates its schema refuses the connection", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.onConnect = () => probe.note("connected")
    probe.hooks.onBeforeConnect = (_, { params }) => Effect.succeed({ name: params.name, visits: -1 })
    yield* refusedWithDefect("ann", "visits")
    yield* refusedWithDefect("ann", "visits")
    assert.strictEqual(probe.count("connected"), 0)
    probe.hooks.onBeforeConnect = (_, { params }) => Effect.succeed({ name: params.name, visits: 0 })
    const ann = yield* connect("ann")
    assert.deepInclude(yield* ann.rpc.Me(), { name: "ann", visits: 1 })
  })))

it.effect("A3 a typed refusal reaches connect as the same value, and is not tried again", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const network = yield* MemoryTransport.MemoryNetwork
    const refusal = new Denied({ reason: "not today", until: new Date(86_400_000) })
    probe.hooks.onBeforeConnect = () => Effect.zipRight(probe.note("preflight"), refusal)
    for (const attempt of [1, 2]) {
      const error = yield* Effect.flip(connect("ann"))
      assert.instanceOf(error, Denied)
      assert.deepStrictEqual(error, refusal)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(probe.count("preflight"), attempt)
      assert.strictEqual(yield* network.dials, attempt)
    }
    // a refusal leaves nothing behind
    probe.internals.online = (room) => Effect.map(online(room), String)
    assert.strictEqual(yield* (yield* backend).Script({ script: "online" }), "0")
  })))

it.effect("A4 a connection is not in connections while onBeforeConnect runs, is when onConnect runs, and is connected after it", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const noteOnline = (room: LabRoom, where: string) =>
      Effect.flatMap(online(room), (size) => probe.note(`${where} ${size}`))
    probe.hooks.onBeforeConnect = (room, { params }) =>
      noteOnline(room, `before ${params.name}`).pipe(
        Effect.zipRight(probe.wait(`before ${params.name}`)),
        Effect.zipRight(noteOnline(room, `still before ${params.name}`)),
        Effect.as({ name: params.name, visits: 0 })
      )
    probe.hooks.onConnect = (room, connection) =>
      Effect.gen(function*() {
        const { name } = yield* Ref.get(connection.state)
        const found = HashMap.get(yield* Ref.get(room.connections), connection.id)
        assert.strictEqual(Option.getOrThrow(found), connection)
        yield* noteOnline(room, `on ${name}`)
        yield* probe.wait(`on ${name}`)
      })
    for (const [index, name] of ["ann", "bob"].entries()) {
      const connecting = yield* Effect.fork(connect(name))
      yield* probe.seen(`before ${name} ${index}`)
      yield* settle
      yield* probe.open(`before ${name}`)
      yield* probe.seen(`still before ${name} ${index}`)
      yield* probe.seen(`on ${name} ${index + 1}`)
      yield* settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(connecting)))
      yield* probe.open(`on ${name}`)
      const connection = yield* Fiber.join(connecting)
      assert.deepInclude(yield* connection.status.get, { _tag: "Connected", resumed: false })
    }
  })))

it.effect("A4 events sent in onConnect reach the subscriptions named in connect, and no others", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.onConnect = (room, connection) =>
      Effect.gen(function*() {
        yield* connection.send("whisper", { text: "welcome" })
        yield* room.broadcast("appended", { item: "one" })
        yield* room.broadcast("appended", { item: "two" })
      })
    for (const name of ["ann", "bob"]) {
      const connection = yield* connect(name, { events: ["appended"] })
      const appended = yield* connection.events("appended")
      const two = yield* Stream.runCollect(Stream.take(appended, 2))
      assert.deepStrictEqual(Chunk.toReadonlyArray(two), [{ item: "one" }, { item: "two" }])
      const whispers = yield* connection.events("whisper")
      probe.scripts.whisper = (room) =>
        Effect.flatMap(room.caller, ({ send }) => Effect.as(send("whisper", { text: "now" }), "done"))
      yield* connection.rpc.Run({ script: "whisper" })
      assert.deepStrictEqual(yield* Stream.runHead(whispers), Option.some({ text: "now" }))
    }
  })))

it.effect("A5 what onConnect acquired is released once, with the reason, before onDisconnect: the client closes", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    noteDisconnects(probe)
    for (const times of [1, 2]) {
      const scope = yield* Scope.make()
      yield* Scope.extend(connect("ann"), scope)
      yield* settle
      assert.strictEqual(probe.count("acquire ann"), times)
      assert.strictEqual(probe.count("release ann ClientClosed"), times - 1)
      yield* Scope.close(scope, Exit.void)
      yield* probe.seen("disconnect ann ClientClosed", times)
      yield* TestClock.adjust("5 minutes")
    }
    const life = ["acquire ann", "release ann ClientClosed", "disconnect ann ClientClosed"]
    assert.deepStrictEqual(probe.notes.filter((note) => note.includes("ann")), [...life, ...life])
  })))

it.effect("A5 the reasons of other ends: disconnected, resume window over, activation lost", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const network = yield* MemoryTransport.MemoryNetwork
      const store = yield* TestStore.TestStore
      noteDisconnects(probe)
      probe.scripts.leave = (room) => Effect.flatMap(room.caller, ({ disconnect }) => Effect.as(disconnect(), "bye"))

      const kicked = yield* connect("kicked")
      assert.strictEqual(yield* kicked.rpc.Run({ script: "leave" }), "bye")
      yield* probe.seen("disconnect kicked Disconnected")

      yield* connect("away")
      yield* network.setReachability("refused")
      yield* network.cut
      yield* TestClock.adjust("119 seconds")
      assert.strictEqual(probe.count("release away ResumeExpired"), 0)
      yield* TestClock.adjust("1 seconds")
      yield* probe.seen("disconnect away ResumeExpired")

      yield* network.setReachability("reachable")
      yield* TestClock.adjust("1 minutes")
      const lost = yield* connect("lost")
      yield* store.fail("before")
      yield* Effect.fork(lost.rpc.Append({ item: "x" }))
      yield* probe.seen("disconnect lost ActivationLost")

      yield* TestClock.adjust("5 minutes")
      for (
        const [name, reason] of [["kicked", "Disconnected"], ["away", "ResumeExpired"], ["lost", "ActivationLost"]]
      ) {
        const ends = probe.notes.filter((note) =>
          note.startsWith(`release ${name}`) || note.startsWith(`disconnect ${name}`)
        )
        assert.deepStrictEqual(ends.slice(0, 2), [`release ${name} ${reason}`, `disconnect ${name} ${reason}`])
        assert.strictEqual(probe.count(`release ${name} ${reason}`), 1)
      }
    }),
    { idleTimeout: "1 minute" }
  ))

it.effect("A5 releases and onDisconnect are a turn: their state is stored and their events are sent", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.onConnect = (room, connection) =>
      Effect.acquireRelease(Ref.get(connection.state), ({ name }) => append(room, `release ${name}`))
    probe.hooks.onDisconnect = (room, connection) =>
      Effect.gen(function*() {
        const { name } = yield* Ref.get(connection.state)
        assert.isFalse(HashMap.has(yield* Ref.get(room.connections), connection.id))
        const { items } = yield* append(room, `disconnect ${name}`)
        yield* room.broadcast("appended", { item: items.join() })
      })
    const bob = yield* connect("bob", { events: ["appended"] })
    yield* Effect.scoped(connect("ann"))
    const appended = yield* bob.events("appended")
    assert.deepStrictEqual(yield* Stream.runHead(appended), Option.some({ item: "release ann,disconnect ann" }))
    assert.deepStrictEqual(yield* bob.rpc.Items(), ["release ann", "disconnect ann"])
  })))

it.effect("A5 a defect in a release or in onDisconnect is logged, and the actor goes on", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.onConnect = (room) =>
      Effect.acquireRelease(Effect.void, () => Effect.zipRight(append(room, "x"), Effect.die("in release")))
    probe.hooks.onDisconnect = () => Effect.zipRight(probe.note("disconnect"), Effect.die("in onDisconnect"))
    for (const times of [1, 2]) {
      yield* Effect.scoped(connect("ann"))
      yield* probe.seen("disconnect", times)
    }
    assert.strictEqual(yield* (yield* backend).Count(), 0)
    assert.isTrue(probe.logs.some(({ cause }) => cause.includes("in release") || cause.includes("in onDisconnect")))
  })))

it.effect("A5 nothing is released when preflight failed", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    noteDisconnects(probe)
    probe.hooks.onBeforeConnect = () => new Denied({ reason: "no", until: new Date(0) })
    yield* Effect.flip(connect("ann"))
    probe.hooks.onBeforeConnect = () => Effect.die("boom")
    yield* Effect.flip(connect("ann"))
    yield* TestClock.adjust("5 minutes")
    assert.deepStrictEqual(probe.notes.filter((note) => note.includes("ann") || note.includes("connect")), [])
  })))

it.effect("A6 connections is a map by id: send reaches that client only", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { messages } = yield* listen
    const ann = yield* connect("ann", { events: ["whisper"] })
    const bob = yield* connect("bob", { events: ["whisper"] })
    const carol = yield* connect("carol")
    const ids = yield* Effect.forEach([ann, bob, carol], ({ rpc }) => Effect.map(rpc.Me(), ({ id }) => id))
    assert.strictEqual(new Set(ids).size, 3)
    let target = 0
    probe.scripts.tell = (room) =>
      Effect.gen(function*() {
        const found = HashMap.get(yield* Ref.get(room.connections), target as never)
        if (Option.isNone(found)) return "nobody"
        yield* found.value.send("whisper", { text: `for ${target}` })
        return (yield* Ref.get(found.value.state)).name
      })
    const tell = (id: number) => Effect.zipRight(Effect.sync(() => target = id), ann.rpc.Run({ script: "tell" }))
    assert.strictEqual(yield* tell(ids[1]!), "bob")
    assert.strictEqual(yield* tell(ids[2]!), "carol")
    assert.strictEqual(yield* tell(ids[0]!), "ann")
    assert.strictEqual(yield* tell(ids[0]! + 1_000_000), "nobody")
    // a reply comes after everything that was sent before: so all that will come has come
    yield* Effect.forEach([ann, bob, carol], ({ rpc }) => rpc.Me())
    assert.deepStrictEqual(
      messages.filter(({ _tag }) => _tag === "Event").map(({ payload }) => payload),
      [{ text: `for ${ids[1]}` }, { text: `for ${ids[0]}` }]
    )
    const first = (connection: typeof ann) =>
      Effect.flatMap(connection.events("whisper"), (whispers) => Stream.runHead(whispers))
    assert.deepStrictEqual(yield* first(bob), Option.some({ text: `for ${ids[1]}` }))
    assert.deepStrictEqual(yield* first(ann), Option.some({ text: `for ${ids[0]}` }))
  })))

it.effect("A6 a connection leaves the map when it ends, and its id is None", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const bob = yield* connect("bob")
    const scope = yield* Scope.make()
    const ann = yield* Scope.extend(connect("ann"), scope)
    const { id } = yield* ann.rpc.Me()
    probe.hooks.onDisconnect = () => probe.note("gone")
    probe.scripts.has = (room) => Effect.map(Ref.get(room.connections), (all) => String(HashMap.has(all, id as never)))
    assert.strictEqual(yield* bob.rpc.Run({ script: "has" }), "true")
    yield* Scope.close(scope, Exit.void)
    yield* probe.seen("gone")
    assert.strictEqual(yield* bob.rpc.Run({ script: "has" }), "false")
  })))

it.effect("A6 connections cannot be changed by hand, in a turn or outside", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    const empty = (room: LabRoom) => Ref.set(room.connections, HashMap.empty())
    probe.scripts.empty = (room) => Effect.as(Effect.zipRight(append(room, "x"), empty(room)), "emptied")
    probe.scripts.emptyLater = (room) =>
      Effect.as(
        Effect.forkDaemon(Effect.flatMap(Effect.exit(empty(room)), ({ _tag }) => probe.note(`later ${_tag}`))),
        "forked"
      )
    probe.scripts.online = (room) => Effect.map(online(room), String)
    for (const times of [1, 2]) {
      const exit = yield* Effect.exit(ann.rpc.Run({ script: "empty" }))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      yield* ann.rpc.Run({ script: "emptyLater" })
      yield* probe.seen("later Failure", times)
      assert.strictEqual(yield* ann.rpc.Run({ script: "online" }), "1")
    }
    assert.deepStrictEqual(yield* ann.rpc.Items(), [])
    assert.isTrue(probe.logs.some(({ cause }) => cause.includes("maintained by the host")))
  })))

it.effect("A7 disconnect(): the status is Closed, with the reason if there is one, and the client does not come back", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const network = yield* MemoryTransport.MemoryNetwork
    for (const reason of [undefined, "spam", undefined, ""]) {
      const ann = yield* connect("ann")
      probe.scripts.leave = (room) =>
        Effect.flatMap(room.caller, ({ disconnect }) => Effect.as(disconnect(reason), "bye"))
      assert.strictEqual(yield* ann.rpc.Run({ script: "leave" }), "bye")
      const closed = yield* Stream.runHead(Stream.filter(ann.status.changes, ({ _tag }) => _tag === "Closed"))
      const expected = { _tag: "Disconnected", ...(reason === undefined ? {} : { reason }) }
      assert.deepStrictEqual(Option.getOrThrow(closed), { _tag: "Closed", reason: expected } as never)
      const dials = yield* network.dials
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* network.dials, dials)
      assert.strictEqual((yield* ann.status.get)._tag, "Closed")
      const error = yield* Effect.flip(ann.rpc.Me())
      assert.instanceOf(error, ConnectionError.ConnectionClosed)
      assert.deepStrictEqual(error.reason, expected as never)
      assert.strictEqual(error.sent, "no")
    }
  })))

it.effect("A7 pending calls settle, with what was sent told apart from what was not", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const store = yield* TestStore.TestStore
      const ann = yield* connect("ann")
      const bob = yield* connect("bob")
      probe.internals.kick = (room) =>
        Effect.gen(function*() {
          for (const other of HashMap.values(yield* Ref.get(room.connections))) {
            if ((yield* Ref.get(other.state)).name === "ann") yield* other.disconnect("spam")
          }
          return "kicked"
        })
      // while the store is held, the kick is committed before the answer of Ann's call, and her window is one call
      yield* store.hold
      const first = yield* Effect.fork(bob.rpc.Append({ item: "bob" }))
      yield* store.waiting
      const kicked = yield* Effect.fork((yield* backend).Script({ script: "kick" }))
      yield* settle
      const sent = yield* Effect.fork(Effect.flip(ann.rpc.Append({ item: "sent" })))
      const unsent = yield* Effect.fork(Effect.flip(ann.rpc.Append({ item: "unsent" })))
      yield* settle
      yield* store.release
      yield* Fiber.join(first)
      yield* Fiber.join(kicked)
      const reason = { _tag: "Disconnected", reason: "spam" } as const
      const errors = [yield* Fiber.join(sent), yield* Fiber.join(unsent)]
      assert.deepStrictEqual(errors, [
        new ConnectionError.ConnectionClosed({ reason, sent: "maybe" }),
        new ConnectionError.ConnectionClosed({ reason, sent: "no" })
      ])
      assert.deepStrictEqual(yield* bob.rpc.Items(), ["bob", "sent"])
      assert.strictEqual(yield* ann.pending.get, 0)
    }),
    { host: { window: 1 } }
  ))

it.effect("A8 connections of one client have their own ids and states, on one link", () =>
  run(Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    const ann = yield* connect("ann")
    const bob = yield* connect("bob")
    const again = yield* connect("ann")
    const all = yield* Effect.forEach([ann, bob, again, ann, bob, again], ({ rpc }) => rpc.Me())
    assert.strictEqual(new Set(all.map(({ id }) => id)).size, 3)
    assert.deepStrictEqual(all.map(({ id }) => id).slice(0, 3), all.map(({ id }) => id).slice(3))
    assert.deepStrictEqual(
      all.map(({ name, visits }) => `${name} ${visits}`),
      ["ann 1", "bob 1", "ann 1", "ann 2", "bob 2", "ann 2"]
    )
    assert.strictEqual(yield* network.links, 1)
    assert.strictEqual(yield* network.dials, 1)
  })))

class Counter extends Actor.Tag<Counter>()("Counter", {
  rpcs: RpcGroup.make(Rpc.make("Append", { payload: { item: Schema.String }, success: Schema.String })),
  internal: RpcGroup.make(Rpc.make("Read", { success: Schema.String })),
  events: { appended: Schema.Struct({ item: Schema.String }) }
}) {}

/** Rooms whose names make the same text when they are joined with a slash. */
class Slashed extends Actor.Tag<Slashed>()("Counter/a", {
  rpcs: RpcGroup.make(Rpc.make("Append", { payload: { item: Schema.String }, success: Schema.String })),
  internal: RpcGroup.make(Rpc.make("Read", { success: Schema.String }))
}) {}

const countersLive = Layer.merge(
  Counter.toLayer({ state: Schema.String, initialState: (key) => key }, (counter) =>
    Effect.succeed(counter.behavior({
      rpcs: {
        Append: ({ item }) =>
          Effect.zipRight(
            counter.broadcast("appended", { item }),
            Ref.updateAndGet(counter.state, (text) => `${text} ${item}`)
          )
      },
      internal: { Read: () => Ref.get(counter.state) }
    }))),
  Slashed.toLayer(
    { state: Schema.String, initialState: (key) => `slashed ${key}` },
    (counter) =>
      Effect.succeed(counter.behavior({
        rpcs: { Append: ({ item }) => Ref.updateAndGet(counter.state, (text) => `${text} ${item}`) },
        internal: { Read: () => Ref.get(counter.state) }
      }))
  )
)

const countersLayer = ActorClient.layer().pipe(
  Layer.provideMerge(MemoryTransport.layerServer({ actors: [Counter, Slashed] })),
  Layer.provideMerge(countersLive),
  Layer.provideMerge(ActorHost.layer()),
  Layer.provideMerge(Layer.mergeAll(ActorStore.layerMemory, MemoryTransport.layer))
)

it.effect("A8 two contracts and two keys over one link do not mix", () =>
  Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    const counters = yield* Effect.forEach(["a", "b"], (key) =>
      ActorClient.connect(Counter, key, { events: ["appended"] }))
    const [a, b] = counters as [typeof counters[0] & {}, typeof counters[0] & {}]
    const streams = [yield* a.events("appended"), yield* b.events("appended")]
    for (const n of [1, 2]) {
      const said = yield* Effect.all([a.rpc.Append({ item: `a${n}` }), b.rpc.Append({ item: `b${n}` })], {
        concurrency: 2
      })
      assert.deepStrictEqual(said, n === 1 ? ["a a1", "b b1"] : ["a a1 a2", "b b1 b2"])
    }
    const events = yield* Effect.forEach(streams, (stream) =>
      Stream.runCollect(Stream.take(stream, 2)))
    assert.deepStrictEqual(events.map(Chunk.toReadonlyArray), [
      [{ item: "a1" }, { item: "a2" }],
      [{ item: "b1" }, { item: "b2" }]
    ])
    const slashed = yield* ActorClient.connect(Slashed, "b")
    assert.strictEqual(yield* slashed.rpc.Append({ item: "s" }), "slashed b s")
    assert.strictEqual(yield* network.links, 1)
  }).pipe(Effect.scoped, Effect.provide(countersLayer)))

it.effect("A8, A11 names and keys that look alike when they are joined are different actors", () =>
  Effect.gen(function*() {
    const nested = yield* ActorClient.connect(Counter, "a/b")
    const slashed = yield* ActorClient.connect(Slashed, "b")
    assert.strictEqual(yield* nested.rpc.Append({ item: "n" }), "a/b n")
    assert.strictEqual(yield* slashed.rpc.Append({ item: "s" }), "slashed b s")
    assert.strictEqual(yield* (yield* Counter).get("a/b").Read(), "a/b n")
    assert.strictEqual(yield* (yield* Slashed).get("b").Read(), "slashed b s")
  }).pipe(Effect.scoped, Effect.provide(countersLayer)))

it.effect("A9 params given as an effect are evaluated for every new connection, and only then", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const network = yield* MemoryTransport.MemoryNetwork
    let evaluated = 0
    const seen: Array<number | undefined> = []
    probe.hooks.onBeforeConnect = (_, { params }) => {
      seen.push(params.level)
      return Effect.succeed({ name: params.name, visits: 0 })
    }
    const params = Effect.sync(() => ({ name: "ann", level: ++evaluated }))
    const ann = yield* ActorClient.connect(Lab, "main", { params })
    assert.deepStrictEqual(seen, [1])
    // a resumed connection is not a new one
    yield* network.cut
    yield* TestClock.adjust("1 seconds")
    assert.strictEqual((yield* ann.rpc.Me()).level, 1)
    assert.strictEqual(evaluated, 1)
    for (const times of [2, 3]) {
      yield* network.setReachability("refused")
      yield* network.cut
      yield* TestClock.adjust("3 minutes")
      yield* network.setReachability("reachable")
      yield* TestClock.adjust("1 minutes")
      assert.strictEqual((yield* ann.rpc.Me()).level, times)
      assert.deepStrictEqual(seen, [1, 2, 3].slice(0, times))
    }
  })))

it.effect("A9 what params acquire is released when they are there, and not when the connection ends", () =>
  run(Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    let acquired = 0
    let released = 0
    const params = Effect.acquireRelease(
      Effect.sync(() => ({ name: "ann", level: ++acquired })),
      () => Effect.sync(() => void released++)
    )
    const ann = yield* ActorClient.connect(Lab, "main", { params })
    for (const times of [1, 2, 3]) {
      assert.strictEqual((yield* ann.rpc.Me()).level, times)
      assert.deepStrictEqual([acquired, released], [times, times])
      yield* network.setReachability("refused")
      yield* network.cut
      yield* TestClock.adjust("3 minutes")
      yield* network.setReachability("reachable")
      yield* TestClock.adjust("1 minutes")
    }
  })))

it.effect("A9 a provider that fails at first fails connect with its error", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    let evaluated = 0
    const failing = Effect.suspend(() => {
      evaluated++
      return Effect.fail({ _tag: "NoToken" as const, evaluated })
    })
    for (const times of [1, 2]) {
      const error = yield* Effect.flip(ActorClient.connect(Lab, "main", { params: failing }))
      assert.deepStrictEqual(error, { _tag: "NoToken", evaluated: times } as never)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(evaluated, times)
    }
    const exit = yield* Effect.exit(ActorClient.connect(Lab, "main", { params: Effect.die("a bug in the provider") }))
    assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
    assert.deepStrictEqual(probe.notes, [])
  })))

it.effect("A9 a provider that fails later is tried again, and the status shows it", () =>
  run(Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    let evaluated = 0
    let broken = false
    const params = Effect.suspend(() => {
      evaluated++
      return broken ? Effect.fail("the token service is down") : Effect.succeed({ name: "ann", level: evaluated })
    })
    const ann = yield* ActorClient.connect(Lab, "main", { params })
    const causes: Array<unknown> = []
    yield* ann.status.changes.pipe(
      Stream.runForEach((status) => Effect.sync(() => status._tag === "Waiting" && causes.push(status.cause))),
      Effect.forkScoped
    )
    for (const times of [1, 2]) {
      broken = true
      yield* network.setReachability("refused")
      yield* network.cut
      yield* TestClock.adjust("3 minutes")
      yield* network.setReachability("reachable")
      const before = evaluated
      yield* TestClock.adjust("2 minutes")
      assert.isAtLeast(evaluated - before, 3, `round ${times}`)
      const shown = causes.splice(0).map((cause) => JSON.stringify(cause))
      assert.isTrue(
        shown.some((cause) => cause.includes("ParamsFailed") && cause.includes("the token service is down"))
      )
      const call = yield* Effect.fork(ann.rpc.Me())
      broken = false
      yield* TestClock.adjust("1 minutes")
      assert.strictEqual((yield* Fiber.join(call)).level, evaluated)
    }
  })))

it.effect("A10 a slow onBeforeConnect is cut at exactly its timeout, beside the turns", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const bob = yield* connect("bob")
      probe.hooks.onConnect = () => probe.note("connected")
      probe.hooks.onBeforeConnect = () =>
        probe.note("preflight").pipe(Effect.zipRight(Effect.never), Effect.onInterrupt(() => probe.note("cut")))
      probe.scripts.online = (room) => Effect.map(online(room), String)
      for (const times of [1, 2]) {
        const connecting = yield* Effect.fork(Effect.exit(connect("ann")))
        yield* probe.seen("preflight", times)
        yield* TestClock.adjust("2999 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(connecting)))
        assert.strictEqual(probe.count("cut"), times - 1)
        // the room goes on meanwhile
        assert.strictEqual(yield* bob.rpc.Run({ script: "online" }), "1")
        yield* TestClock.adjust("1 millis")
        const { afterMillis } = refusedFor(yield* Fiber.join(connecting), "ConnectTimeout")
        assert.strictEqual(afterMillis, 3000)
        assert.strictEqual(probe.count("cut"), times)
      }
      assert.strictEqual(yield* bob.rpc.Run({ script: "online" }), "1")
      assert.strictEqual(probe.count("connected"), 0)
    }),
    { host: { connectTimeout: "3 seconds" } }
  ))

it.effect("A10 a slow onConnect is cut at its timeout, and leaves nothing behind", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      probe.hooks.onConnect = (room) =>
        Effect.acquireRelease(probe.note("acquire"), (_, exit) => probe.note(`release ${reasonOf(exit)}`)).pipe(
          Effect.zipRight(append(room, "lost")),
          Effect.zipRight(Effect.never)
        )
      probe.hooks.onDisconnect = () => probe.note("disconnect")
      for (const times of [1, 2]) {
        const connecting = yield* Effect.fork(Effect.exit(connect("ann")))
        yield* probe.seen("acquire", times)
        yield* TestClock.adjust("2999 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(connecting)))
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(refusedFor(yield* Fiber.join(connecting), "ConnectTimeout").afterMillis, 3000)
        yield* probe.seen("release ConnectTimeout", times)
      }
      probe.hooks.onConnect = () => Effect.void
      probe.scripts.online = (room) => Effect.map(online(room), String)
      const bob = yield* connect("bob")
      assert.strictEqual(yield* bob.rpc.Run({ script: "online" }), "1")
      assert.deepStrictEqual(yield* bob.rpc.Items(), [])
      assert.strictEqual(probe.count("release ConnectTimeout"), 2)
      assert.strictEqual(probe.count("disconnect"), 0)
    }),
    { host: { connectTimeout: "3 seconds" } }
  ))

it.effect("A10 a defect in a hook refuses with an id, says nothing of the cause, and leaves nothing in connections", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { texts } = yield* listen
    const bob = yield* connect("bob")
    probe.scripts.online = (room) => Effect.map(online(room), String)
    const dies = {
      effect: Effect.die(new Error("secret detail")),
      thrown: Effect.suspend((): Effect.Effect<never> => {
        throw new Error("secret detail")
      })
    }
    const plain = probe.hooks.onBeforeConnect
    const ids: Array<string> = []
    const refused = Effect.gen(function*() {
      ids.push(yield* refusedWithDefect("ann", "secret detail"))
      assert.strictEqual(yield* bob.rpc.Run({ script: "online" }), "1")
    })
    for (const die of [dies.effect, dies.thrown]) {
      probe.hooks.onBeforeConnect = () => die
      yield* refused
      probe.hooks.onBeforeConnect = plain
      probe.hooks.onConnect = () =>
        Effect.zipRight(Effect.acquireRelease(probe.note("acquire"), () => probe.note("release")), die)
      yield* refused
      yield* probe.seen("release", probe.count("acquire"))
      probe.hooks.onConnect = () => Effect.void
    }
    probe.hooks.onBeforeConnect = () => {
      throw new Error("secret detail")
    }
    yield* refused
    probe.hooks.onBeforeConnect = plain
    probe.hooks.onConnect = () => {
      throw new Error("secret detail")
    }
    yield* refused
    probe.hooks.onConnect = () => Effect.void
    assert.strictEqual(new Set(ids).size, 6)
    assert.notInclude(texts.join(), "secret")
    yield* connect("ann")
    assert.strictEqual(yield* bob.rpc.Run({ script: "online" }), "2")
    assert.strictEqual(probe.count("release"), 2)
  })))

it.effect("A10 onBeforeConnect may read the state of the actor, but not change it, send or disconnect", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const bob = yield* connect("bob", { events: ["appended"] })
    yield* bob.rpc.Append({ item: "one" })
    const member = { name: "ann", visits: 0 }
    const others = (room: LabRoom) => Effect.map(Ref.get(room.connections), (all) => Array.from(HashMap.values(all)))
    const attempts: ReadonlyArray<(room: LabRoom) => Effect.Effect<unknown>> = [
      (room) => append(room, "two"),
      (room) => Ref.set(room.connections, HashMap.empty()),
      (room) => room.broadcast("appended", { item: "two" }),
      (room) => Effect.flatMap(others(room), ([other]) => other!.disconnect("no")),
      (room) => Effect.flatMap(others(room), ([other]) => Ref.set(other!.state, { name: "changed", visits: 99 }))
    ]
    for (const attempt of attempts) {
      probe.hooks.onBeforeConnect = (room) => Effect.as(attempt(room), member)
      yield* refusedWithDefect("ann", "onBeforeConnect")
    }
    probe.hooks.onBeforeConnect = (room) =>
      Effect.as(Effect.flatMap(Ref.get(room.state), ({ items }) => probe.note(items.join())), member)
    yield* connect("ann")
    assert.strictEqual(probe.count("one"), 1)
    assert.deepInclude(yield* bob.rpc.Me(), { name: "bob", visits: 1 })
    assert.deepStrictEqual(yield* bob.rpc.Items(), ["one"])
    yield* bob.rpc.Append({ item: "last" })
    const events = yield* Stream.runCollect(Stream.take(yield* bob.events("appended"), 2))
    assert.deepStrictEqual(Chunk.toReadonlyArray(events), [{ item: "one" }, { item: "last" }])
  })))

it.effect("A11 keys are compared exactly", () =>
  run(Effect.gen(function*() {
    const labs = yield* Lab
    const keys = [
      "lobby",
      "Lobby",
      "lobby ",
      "/",
      "lobby/",
      "ä",
      "a\u0308",
      "🐈",
      "\u0000",
      "__proto__",
      "constructor",
      "%2F",
      "ключ"
    ]
    for (const round of [1, 2]) {
      for (const key of keys) {
        const ann = yield* connect("ann", { key })
        assert.strictEqual(yield* ann.rpc.Append({ item: key }), round)
        assert.strictEqual(yield* labs.get(key).Count(), round)
      }
    }
    const { notes } = yield* Probe
    assert.strictEqual(notes.length, keys.length)
  })))

it.effect("A11 a key may have 512 bytes and not one more, and is not empty", () =>
  run(Effect.gen(function*() {
    const labs = yield* Lab
    const probe = yield* Probe
    const accepted = ["x".repeat(512), "é".repeat(256), "🐈".repeat(128)]
    for (const key of accepted) {
      const ann = yield* connect("ann", { key })
      assert.strictEqual(yield* ann.rpc.Append({ item: "x" }), 1)
      assert.strictEqual(yield* labs.get(key).Count(), 1)
    }
    const refused = ["x".repeat(513), `${"é".repeat(256)}x`, `${"🐈".repeat(128)}x`]
    for (const key of refused) {
      const { issue } = refusedFor(yield* Effect.exit(connect("ann", { key })), "UnknownActor")
      assert.include(issue, "512")
      assert.include(issue, "513")
    }
    assert.include(refusedFor(yield* Effect.exit(connect("ann", { key: "" })), "UnknownActor").issue, "empty")
    assert.strictEqual(probe.notes.length, accepted.length)
  })))

it.effect("A11 a backend cannot use a key that clients could not", () =>
  run(Effect.gen(function*() {
    const labs = yield* Lab
    const probe = yield* Probe
    for (const key of ["x".repeat(513), ""]) {
      assert.isTrue(Exit.isFailure(yield* Effect.exit(labs.get(key).Count())))
    }
    assert.deepStrictEqual(probe.notes, [])
    assert.strictEqual(yield* labs.get("x".repeat(512)).Count(), 0)
  })))

it.effect("A11 the limit of keys is an option of the host", () =>
  run(
    Effect.gen(function*() {
      yield* connect("ann", { key: "12345678" })
      assert.include(refusedFor(yield* Effect.exit(connect("ann", { key: "123456789" })), "UnknownActor").issue, "8")
    }),
    { host: { keyBytesMax: 8 } }
  ))
