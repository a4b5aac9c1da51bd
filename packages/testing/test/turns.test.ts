import { assert, it } from "@effect/vitest"
import { ActorError, Address, ConnectionError } from "@troupe/contract"
import { TestStore } from "@troupe/testing"
import { Chunk, Effect, Exit, Fiber, HashMap, Option, Ref, Schema, Stream, TestClock } from "effect"
import {
  append,
  backend,
  connect,
  Lab,
  labLive,
  type LabRoom,
  layerOutside,
  life,
  Member,
  Oops,
  Probe,
  run,
  settle
} from "./support/lab.ts"
import { listen } from "./support/raw.ts"

const address = Address.make("Lab", "main")

/** Stages one of everything: state, the states of two connections, events, and the end of another connection. */
const stageAll = (room: LabRoom) =>
  Effect.gen(function*() {
    const caller = yield* room.caller
    yield* append(room, "staged")
    yield* room.broadcast("appended", { item: "staged" })
    yield* caller.send("whisper", { text: "staged" })
    for (const connection of HashMap.values(yield* Ref.get(room.connections))) {
      yield* Ref.update(connection.state, (member) => ({ ...member, visits: member.visits + 100 }))
      if (connection.id !== caller.id) yield* connection.disconnect("staged")
    }
    // the turn itself sees what it has staged
    assert.strictEqual((yield* Ref.get(room.state)).items.at(-1), "staged")
    assert.isAtLeast((yield* Ref.get(caller.state)).visits, 100)
  })

it.effect("T1 a failed, dead, interrupted or unencodable turn leaves state, connections and events as before", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { messages } = yield* listen
    const ann = yield* connect("ann", { events: ["appended", "whisper"] })
    const bob = yield* connect("bob", { events: ["appended", "whisper"] })
    yield* ann.rpc.Append({ item: "first" })
    const ends: Record<string, Effect.Effect<string, Oops>> = {
      fails: new Oops({ code: 1 }),
      dies: Effect.die("boom"),
      throws: Effect.suspend((): Effect.Effect<never> => {
        throw new Error("boom")
      }),
      interrupts: Effect.interrupt,
      unencodable: Effect.succeed(""),
      badEvent: Effect.suspend(() => sendBadEvent),
      hangs: Effect.zipRight(probe.note("hangs"), Effect.never)
    }
    let sendBadEvent: Effect.Effect<never> = Effect.never
    for (const [name, end] of Object.entries(ends)) {
      probe.scripts[name] = (room) =>
        Effect.suspend(() => {
          sendBadEvent = Effect.zipRight(room.broadcast("whisper", { text: "" }), Effect.never)
          return Effect.zipRight(stageAll(room), end)
        })
    }
    let hung = 0
    for (const script of [...Object.keys(ends), ...Object.keys(ends)]) {
      const call = yield* Effect.fork(Effect.exit(ann.rpc.Run({ script })))
      if (script === "hangs") {
        yield* probe.seen("hangs", ++hung)
        yield* Fiber.interrupt(call)
      } else {
        assert.isTrue(Exit.isFailure(yield* Fiber.join(call)), script)
      }
      assert.deepStrictEqual(yield* bob.rpc.Items(), ["first"], script)
      assert.strictEqual((yield* bob.status.get)._tag, "Connected")
    }
    assert.strictEqual((yield* ann.rpc.Me()).visits, 1)
    assert.strictEqual((yield* bob.rpc.Me()).visits, 1)
    assert.strictEqual(yield* (yield* backend).Count(), 1)
    yield* ann.rpc.Append({ item: "last" })
    for (const { events } of [ann, bob]) {
      const two = yield* Stream.runCollect(Stream.take(yield* events("appended"), 2))
      assert.deepStrictEqual(Chunk.toReadonlyArray(two), [{ item: "first" }, { item: "last" }])
    }
    assert.notInclude(JSON.stringify(messages.filter(({ _tag }) => _tag === "Event")), "staged")
  })))

it.effect("T1 a failed turn of a backend and of a hook is dropped as a whole, too", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const bob = yield* connect("bob", { events: ["appended"] })
    const stage = (room: LabRoom) =>
      Effect.zipRight(append(room, "staged"), room.broadcast("appended", { item: "staged" }))
    probe.internals.fails = (room) => Effect.zipRight(stage(room), new Oops({ code: 1 }))
    probe.internals.dies = (room) => Effect.zipRight(stage(room), Effect.die("boom"))
    const { Script } = yield* backend
    for (const _ of [1, 2]) {
      assert.deepStrictEqual(yield* Effect.flip(Script({ script: "fails" })), new Oops({ code: 1 }))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Script({ script: "dies" }))))
      probe.hooks.onConnect = (room) => Effect.zipRight(stage(room), Effect.die("boom"))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(connect("ann"))))
      probe.hooks.onConnect = () => Effect.void
      probe.hooks.onDisconnect = (room) => Effect.zipRight(stage(room), Effect.die("boom"))
      yield* Effect.scoped(connect("ann"))
      yield* settle
      probe.hooks.onDisconnect = () => Effect.void
    }
    assert.deepStrictEqual(yield* bob.rpc.Items(), [])
    yield* bob.rpc.Append({ item: "last" })
    assert.deepStrictEqual(yield* Stream.runHead(yield* bob.events("appended")), Option.some({ item: "last" }))
  })))

it.effect("T1 what a turn stages is not seen from outside before it ends, and all at once then", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    probe.hooks.onBeforeConnect = (room, { params }) =>
      Effect.flatMap(
        Ref.get(room.state),
        ({ items }) => Effect.as(probe.note(`${params.name} sees ${items.length}`), { name: params.name, visits: 0 })
      )
    probe.scripts.slow = (room) =>
      Effect.gen(function*() {
        yield* append(room, "one")
        yield* probe.note("staged")
        yield* probe.wait("end")
        yield* append(room, "two")
        return "done"
      })
    const running = yield* Effect.fork(ann.rpc.Run({ script: "slow" }))
    yield* probe.seen("staged")
    const connecting = yield* Effect.fork(connect("bob"))
    yield* probe.seen("bob sees 0")
    yield* probe.open("end")
    yield* Fiber.join(running)
    yield* Fiber.join(connecting)
    yield* connect("carol")
    yield* probe.seen("carol sees 2")
  })))

it.effect("T1 Ref.update(room.state) in build and in background fibers: each is a turn of its own", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.hooks.build = (room) =>
      Effect.gen(function*() {
        yield* append(room, "built")
        yield* Effect.forkScoped(Effect.gen(function*() {
          for (const tick of [1, 2]) {
            yield* Effect.sleep("1 seconds")
            const { items } = yield* append(room, `tick ${tick}`)
            yield* room.broadcast("appended", { item: items.join() })
            yield* probe.note(`ticked ${tick}`)
          }
        }))
      })
    const ann = yield* connect("ann", { events: ["appended"] })
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["built"])
    probe.scripts.slow = (room) =>
      append(room, "lost").pipe(
        Effect.zipRight(probe.note("slow runs")),
        Effect.zipRight(probe.wait("slow")),
        Effect.zipRight(new Oops({ code: 1 }))
      )
    const running = yield* Effect.fork(Effect.exit(ann.rpc.Run({ script: "slow" })))
    yield* probe.seen("slow runs")
    yield* TestClock.adjust("1 seconds")
    yield* settle
    assert.strictEqual(probe.count("ticked 1"), 0)
    yield* probe.open("slow")
    yield* Fiber.join(running)
    yield* probe.seen("ticked 1")
    yield* TestClock.adjust("1 seconds")
    yield* probe.seen("ticked 2")
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["built", "tick 1", "tick 2"])
    const events = yield* Stream.runCollect(Stream.take(yield* ann.events("appended"), 2))
    assert.deepStrictEqual(Chunk.toReadonlyArray(events), [{ item: "built,tick 1" }, { item: "built,tick 1,tick 2" }])
    // all of it was stored
    const { asked } = yield* TestStore.TestStore
    assert.include(asked.at(-1)?.state ?? "", "tick 2")
  })))

it.effect("T1 every combinator of Ref works on the staged state", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    probe.scripts.refs = ({ state }) =>
      Effect.gen(function*() {
        yield* Ref.set(state, { items: ["a"] })
        const before = yield* Ref.getAndUpdate(state, ({ items }) => ({ items: [...items, "b"] }))
        const size = yield* Ref.modify(state, ({ items }) => [items.length, { items: [...items, "c"] }])
        yield* Ref.updateSome(
          state,
          ({ items }) => items.length > 2 ? Option.some({ items: [...items, "d"] }) : Option.none()
        )
        const { items } = yield* state
        return `${before.items.join("")} ${size} ${items.join("")}`
      })
    assert.strictEqual(yield* ann.rpc.Run({ script: "refs" }), "a 2 abcd")
    assert.strictEqual(yield* ann.rpc.Run({ script: "refs" }), "a 2 abcd")
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["a", "b", "c", "d"])
  })))

const isDone = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) => Effect.map(Fiber.poll(fiber), Option.isSome)

it.effect("T2 no reply and no event leaves before its commit; later turns go on meanwhile, and the order is kept", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    const ann = yield* connect("ann", { events: ["appended"] })
    const bob = yield* connect("bob", { events: ["appended"] })
    const { Add, Count } = yield* backend
    const network = yield* listen
    for (const round of [0, 1]) {
      const first = store.asked.length
      yield* store.hold
      network.messages.length = 0
      const ended: Array<string> = []
      const call = <A, E>(name: string, effect: Effect.Effect<A, E>) =>
        Effect.fork(Effect.tap(effect, (result) => Effect.sync(() => ended.push(`${name} ${String(result)}`))))
      const base = round * 4
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = [yield* call("ann", ann.rpc.Append({ item: "a1" }))]
      yield* store.waiting
      // these run while the commit is on its way: each sees what the one before has done
      probe.scripts.note = (room) =>
        Effect.flatMap(append(room, "b1"), ({ items }) => Effect.as(probe.note(`b1 is number ${items.length}`), "b1"))
      fibers.push(yield* call("bob", bob.rpc.Run({ script: "note" })))
      yield* probe.seen(`b1 is number ${base + 2}`)
      fibers.push(yield* call("add", Add({ item: "c1" })))
      yield* settle
      fibers.push(yield* call("append", ann.rpc.Append({ item: "a2" })))
      yield* settle
      // what changes nothing has seen what is not durable yet, and waits with it
      fibers.push(yield* call("items", bob.rpc.Items()))
      yield* settle
      fibers.push(yield* call("count", Count()))
      yield* settle
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(ended, [])
      assert.deepStrictEqual(network.messages, [])
      // one commit is on its way, not more
      assert.strictEqual(store.asked.length, first + 1)
      yield* store.releaseOne
      yield* store.waiting
      yield* settle
      assert.deepStrictEqual(ended, [`ann ${base + 1}`])
      yield* store.release
      yield* Effect.forEach(fibers, Fiber.join)
      const all = Array.from({ length: round + 1 }, () => "a1,b1,c1,a2").join()
      // the order of what one client, or one backend, has asked for
      assert.deepStrictEqual(ended.filter((end) => !/^(add|count)/.test(end)), [
        `ann ${base + 1}`,
        "bob b1",
        `append ${base + 4}`,
        `items ${all}`
      ])
      assert.deepStrictEqual(ended.filter((end) => /^(add|count)/.test(end)), [`add ${base + 3}`, `count ${base + 4}`])
      // the rest went with the second commit, whose state is the newest
      assert.strictEqual(store.asked.length, first + 2)
      const [one, two] = store.asked.slice(first)
      assert.strictEqual(two!.version, one!.version + 1)
      assert.deepStrictEqual(JSON.parse(two!.state!).items.length, base + 4)
    }
    const events = yield* Stream.runCollect(Stream.take(yield* bob.events("appended"), 4))
    assert.deepStrictEqual(Chunk.toReadonlyArray(events).map((event) => (event as { item: string }).item), [
      "a1",
      "a2",
      "a1",
      "a2"
    ])
  })))

it.effect("T2 a call that changed nothing, with nothing before it on its way, writes nothing and waits for nothing", () =>
  run(Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    const ann = yield* connect("ann")
    yield* ann.rpc.Append({ item: "x" })
    const { length } = store.asked
    yield* store.hold
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["x"])
    assert.strictEqual((yield* ann.rpc.Me()).visits, 1)
    assert.strictEqual(yield* (yield* backend).Count(), 1)
    assert.strictEqual(store.asked.length, length)
    yield* store.release
  })))

it.effect("T2 a client is connected, and subscribed, only after the commit", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const store = yield* TestStore.TestStore
      const network = yield* listen
      probe.hooks.onConnect = (room, connection) =>
        Effect.gen(function*() {
          yield* append(room, "connected")
          yield* connection.send("whisper", { text: "welcome" })
          yield* probe.note("onConnect ran")
        })
      for (const times of [1, 2]) {
        yield* store.hold
        network.texts.length = 0
        const connecting = yield* Effect.fork(connect("ann", { events: ["whisper"] }))
        yield* probe.seen("onConnect ran", times)
        yield* store.waiting
        yield* settle
        assert.isFalse(yield* isDone(connecting))
        assert.notInclude(network.texts.join(), "Opened")
        assert.notInclude(network.texts.join(), "welcome")
        yield* store.release
        const ann = yield* Fiber.join(connecting)
        assert.deepStrictEqual(yield* Stream.runHead(yield* ann.events("whisper")), Option.some({ text: "welcome" }))
        // a subscription takes its place behind what is on its way
        yield* store.hold
        const append = yield* Effect.fork(ann.rpc.Append({ item: "x" }))
        const subscribing = yield* Effect.fork(ann.events("appended"))
        yield* store.waiting
        yield* settle
        assert.isFalse(yield* isDone(subscribing))
        yield* store.release
        yield* Fiber.join(append)
        yield* Effect.asVoid(Fiber.join(subscribing))
      }
    }).pipe(Effect.scoped)
  ))

it.effect("T2 a typed failure and a defect wait for the commits before them, too", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    const ann = yield* connect("ann")
    const bob = yield* connect("bob")
    probe.scripts.fails = (room) => Effect.flatMap(Ref.get(room.state), ({ items }) => new Oops({ code: items.length }))
    probe.scripts.dies = () => Effect.die("boom")
    yield* store.hold
    const appending = yield* Effect.fork(ann.rpc.Append({ item: "x" }))
    yield* store.waiting
    const failing = yield* Effect.fork(Effect.exit(bob.rpc.Run({ script: "fails" })))
    const dying = yield* Effect.fork(Effect.exit(bob.rpc.Run({ script: "dies" })))
    yield* settle
    assert.deepStrictEqual(yield* Effect.forEach([failing, dying], isDone), [false, false])
    yield* store.release
    yield* Fiber.join(appending)
    assert.deepStrictEqual(yield* Fiber.join(failing), Exit.fail(new Oops({ code: 1 })))
    assert.isTrue(Exit.isFailure(yield* Fiber.join(dying)))
  })))

it.effect("T2 a disconnect waits for its commit, and comes after the turn's events and reply", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    const ann = yield* connect("ann", { events: ["appended"] })
    const appended = yield* ann.events("appended")
    probe.scripts.leave = (room) =>
      Effect.gen(function*() {
        yield* (yield* room.caller).disconnect("done")
        yield* append(room, "left")
        yield* room.broadcast("appended", { item: "left" })
        return "bye"
      })
    yield* store.hold
    const leaving = yield* Effect.fork(ann.rpc.Run({ script: "leave" }))
    yield* store.waiting
    yield* settle
    assert.strictEqual((yield* ann.status.get)._tag, "Connected")
    yield* store.release
    assert.strictEqual(yield* Fiber.join(leaving), "bye")
    assert.deepStrictEqual(yield* Stream.runHead(appended), Option.some({ item: "left" }))
    const error = yield* Effect.flip(Stream.runDrain(appended))
    assert.deepStrictEqual(
      error,
      new ConnectionError.ConnectionClosed({ reason: { _tag: "Disconnected", reason: "done" }, sent: "no" })
    )
  })))

for (const failure of ["before", "after", "failed", "superseded"] satisfies ReadonlyArray<TestStore.Failure>) {
  it.effect(`T4 a commit that fails (${failure}) answers nothing, ends the activation, and the calls succeed, applied once`, () =>
    run(Effect.gen(function*() {
      const probe = yield* Probe
      const store = yield* TestStore.TestStore
      probe.hooks.onDisconnect = (_, __, reason) => probe.note(`disconnect ${reason._tag}`)
      const ann = yield* connect("ann", { events: ["appended"] })
      for (const times of [1, 2, 3]) {
        yield* store.fail(failure)
        yield* store.hold
        const calls = [yield* Effect.fork(ann.rpc.Append({ item: `first ${times}` }))]
        yield* store.waiting
        calls.push(yield* Effect.fork(ann.rpc.Append({ item: `second ${times}` })))
        const adding = yield* Effect.fork(Effect.flip((yield* backend).Add({ item: "never answered" })))
        yield* settle
        yield* store.release
        assert.instanceOf(yield* Fiber.join(adding), ActorError.ActorUnavailable)
        yield* probe.seen("disconnect ActivationLost", times)
        // the second time in a short while, the client waits before it opens anew
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), [2 * times - 1, 2 * times])
        assert.strictEqual(probe.count("build main"), times + 1)
        yield* probe.seen("sleep main", times)
      }
      assert.deepStrictEqual(
        yield* ann.rpc.Items(),
        [1, 2, 3].flatMap((times) => [`first ${times}`, `second ${times}`])
      )
      assert.isTrue(probe.logs.some(({ message }) => message.includes("activation lost")))
    })))
}

it.effect("T4 events of a turn whose commit failed are not sent, and the stream has a gap", () =>
  run(Effect.gen(function*() {
    const store = yield* TestStore.TestStore
    const { messages } = yield* listen
    const ann = yield* connect("ann", { events: ["appended"] })
    const appended = yield* ann.events("appended")
    yield* store.fail("before")
    // nobody sends this one again
    yield* Effect.flip((yield* backend).Add({ item: "lost" }))
    yield* settle
    yield* ann.rpc.Append({ item: "kept" })
    const two = yield* Stream.runCollect(Stream.take(appended, 2))
    assert.deepStrictEqual(
      Chunk.toReadonlyArray(two).map((event) => "item" in event ? event.item : event._tag),
      ["Gap", "kept"]
    )
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["kept"])
    assert.strictEqual(messages.filter(({ _tag }) => _tag === "Event").length, 1)
  })))

const State2 = Schema.Struct({ items: Schema.Array(Schema.Number) })

/** An implementation of another version: its state is a list of numbers, read with the given schema. */
const otherVersion = (state: Schema.Schema<typeof State2.Type, any>) =>
  Lab.toLayer(
    { state, initialState: () => ({ items: [] }), connection: Member },
    (room) =>
      Effect.succeed(room.behavior({
        onBeforeConnect: ({ params }) => Effect.succeed({ name: params.name, visits: 0 }),
        rpcs: {
          Run: () => Effect.fail(new Oops({ code: 0 })),
          Append: ({ item }) =>
            Effect.map(
              Ref.updateAndGet(room.state, ({ items }) => ({ items: [...items, item.length] })),
              ({ items }) => items.length
            ),
          Items: () => Effect.map(Ref.get(room.state), ({ items }) => items.map(String)),
          Me: () => Effect.succeed({ id: 1, name: "", visits: 0, level: 0 })
        },
        internal: {
          Script: () => Effect.fail(new Oops({ code: 0 })),
          Count: () => Effect.map(Ref.get(room.state), ({ items }) => items.length),
          Add: () => Effect.succeed(0),
          Clear: () => Ref.set(room.state, { items: [] })
        }
      }))
  )

it.effect("T5 state survives passivation and restart", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    for (const times of [1, 2]) {
      yield* life(
        labLive(),
        Effect.gen(function*() {
          const { Add } = yield* backend
          assert.strictEqual(yield* Add({ item: "x" }), 2 * times - 1)
          yield* TestClock.adjust("30 seconds")
          yield* probe.seen("sleep main", 2 * times - 1)
          const ann = yield* connect("ann")
          assert.strictEqual(yield* ann.rpc.Append({ item: "y" }), 2 * times)
        })
      )
      assert.strictEqual(probe.count("sleep main"), 2 * times)
    }
  }).pipe(Effect.provide(layerOutside)))

it.effect("T5 state that no longer decodes: refused, readable in the log, unchanged, and read again by a mended schema", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    yield* life(
      labLive(),
      Effect.flatMap(backend, ({ Add }) => Effect.zipRight(Add({ item: "secret item" }), Add({ item: "y" })))
    )
    const commits = store.asked.length
    for (const _ of [1, 2]) {
      yield* life(
        otherVersion(State2),
        Effect.gen(function*() {
          for (const __ of [1, 2]) {
            const refused = yield* Effect.flip(connect("ann"))
            assert.instanceOf(refused, ConnectionError.ConnectionClosed)
            const { reason } = refused as ConnectionError.ConnectionClosed
            assert.strictEqual(reason._tag, "Unavailable")
            const unavailable = yield* Effect.flip((yield* backend).Count())
            assert.instanceOf(unavailable, ActorError.ActorUnavailable)
            const ids = [reason, unavailable].map((error) => (error as { readonly defectId: string }).defectId)
            for (const id of ids) {
              const [log] = probe.logs.filter(({ defect }) => defect === id)
              assert.include(log?.message ?? "", "Lab/main")
              assert.include(log?.cause ?? "", "items.0")
              assert.notInclude(log?.cause ?? "", "secret item")
            }
          }
        })
      )
    }
    assert.strictEqual(store.asked.length, commits)
    const tolerant = Schema.Union(
      State2,
      Schema.transform(Schema.Struct({ items: Schema.Array(Schema.String) }), Schema.typeSchema(State2), {
        decode: ({ items }) => ({ items: items.map(({ length }) => length) }),
        encode: ({ items }) => ({ items: items.map(String) })
      })
    )
    yield* life(
      otherVersion(tolerant),
      Effect.gen(function*() {
        const ann = yield* connect("ann")
        assert.deepStrictEqual(yield* ann.rpc.Items(), ["11", "1"])
        assert.strictEqual(yield* ann.rpc.Append({ item: "abc" }), 3)
      })
    )
    const { state } = yield* store.store.claim(address)
    assert.deepStrictEqual(JSON.parse(state!), { items: [11, 1, 3] })
  }).pipe(Effect.provide(layerOutside)))

it.effect("T5 a store that cannot be read makes the actor unavailable, until it can", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const store = yield* TestStore.TestStore
    yield* life(
      labLive(),
      Effect.gen(function*() {
        const { Count } = yield* backend
        yield* store.failClaims(2)
        assert.instanceOf(yield* Effect.flip(Count()), ActorError.ActorUnavailable)
        const refused = yield* Effect.flip(connect("ann"))
        assert.strictEqual((refused as ConnectionError.ConnectionClosed).reason._tag, "Unavailable")
        assert.strictEqual(probe.count("build main"), 0)
        assert.strictEqual(yield* Count(), 0)
        yield* connect("ann")
        assert.strictEqual(probe.count("build main"), 1)
      })
    )
  }).pipe(Effect.provide(layerOutside)))
