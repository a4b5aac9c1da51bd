import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError, ServerDefect } from "@troupe/contract"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Cause, Chunk, Effect, Exit, Fiber, Layer, Option, Ref, Schema, Stream } from "effect"
import { append, backend, connect, Lab, type LabRoom, Oops, otherClient, Probe, run, settle } from "./support/lab.ts"
import { hello, listen, open, rawLink, request } from "./support/raw.ts"

/** The id of the defect that a call died with: all that a client is told. */
const defectOf = (exit: Exit.Exit<unknown, unknown>): string => {
  assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause), String(exit))
  const defect = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined
  assert.instanceOf(defect, ServerDefect.ServerDefect)
  const { id } = defect as ServerDefect.ServerDefect
  assert.match(id, /^[0-9a-f]{32}$/)
  return id
}

const throws = (error: Error): never => {
  throw error
}

/** Notes that it runs, waits for a gate of the same name, and then appends its name. */
const slow = (probe: typeof Probe.Service, name: string) => (room: LabRoom) =>
  probe.note(`${name} runs`).pipe(
    Effect.zipRight(probe.wait(name)),
    Effect.zipRight(append(room, name)),
    Effect.as(name),
    Effect.onInterrupt(() => probe.note(`${name} interrupted`))
  )

it.effect("B1 success and typed failure reach exactly their caller", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.scripts.who = (room) =>
      Effect.gen(function*() {
        const { name } = yield* Ref.get((yield* room.caller).state)
        return yield* name.startsWith("bad") ? new Oops({ code: name.length }) : Effect.succeed(name)
      })
    const names = ["ann", "bad", "bob", "bad bob"]
    const rooms = yield* Effect.forEach(names, (name) => connect(name))
    const other = yield* (yield* otherClient).connect(Lab, "main", { params: { name: "bad carol" } })
    for (const _ of [1, 2]) {
      const exits = yield* Effect.forEach([...rooms, other], ({ rpc }) => Effect.exit(rpc.Run({ script: "who" })), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(exits, [
        Exit.succeed("ann"),
        Exit.fail(new Oops({ code: 3 })),
        Exit.succeed("bob"),
        Exit.fail(new Oops({ code: 7 })),
        Exit.fail(new Oops({ code: 9 }))
      ])
      for (const exit of exits) if (Exit.isFailure(exit)) assert.instanceOf(Cause.squash(exit.cause), Oops)
    }
  })))

it.effect("B1 a defect carries an opaque id and no message; the log has the cause under that id", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const { texts } = yield* listen
    const ann = yield* connect("ann")
    const bob = yield* connect("bob")
    const error = new Error("secret detail")
    probe.scripts.dies = () => Effect.die(error)
    probe.scripts.throws = () => throws(error)
    probe.scripts.throwsLater = () => Effect.flatMap(Effect.yieldNow(), () => throws(error))
    probe.scripts.rejects = () => Effect.promise(() => Promise.reject(error))
    // a failure beside a defect is not a typed failure: the defect is what has to be found
    const ids: Array<string> = []
    for (const script of ["dies", "throws", "throwsLater", "rejects", "dies", "throws"]) {
      const [exit, me] = yield* Effect.all([Effect.exit(ann.rpc.Run({ script })), bob.rpc.Me()], { concurrency: 2 })
      const id = defectOf(exit)
      ids.push(id)
      const logged = probe.logs.filter((log) => log.defect === id)
      assert.strictEqual(logged.length, 1, script)
      assert.include(logged[0]!.cause, "secret detail")
      assert.strictEqual(me.name, "bob")
      assert.strictEqual((yield* ann.rpc.Me()).name, "ann")
    }
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.notInclude(texts.join(), "secret")
    assert.notInclude(texts.join(), ".ts:")
  })))

it.effect("B1 a handler that interrupts itself ends its call, and the calls behind go on", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    probe.scripts.interrupts = (room) => Effect.zipRight(append(room, "lost"), Effect.interrupt)
    for (const times of [1, 2]) {
      const [exit, count] = yield* Effect.all(
        [Effect.exit(ann.rpc.Run({ script: "interrupts" })), ann.rpc.Append({ item: "kept" })],
        { concurrency: 2 }
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(count, times)
    }
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["kept", "kept"])
  })))

/** The same contract as a newer client knows it. */
class NewLab extends Actor.Tag<NewLab>()("Lab", {
  params: Schema.Struct({ name: Schema.String }),
  rpcs: RpcGroup.make(
    Rpc.make("Missing", { payload: { n: Schema.Number } }),
    Rpc.make("Append", { payload: { item: Schema.Unknown }, success: Schema.Number }),
    Rpc.make("Items", { success: Schema.Array(Schema.Number) }),
    Rpc.make("Me", { success: Schema.Struct({ name: Schema.String }) })
  )
}) {}

it.effect("B2 an unknown rpc and an undecodable payload are rejected; the connection and its other calls go on", () =>
  run(
    Effect.gen(function*() {
      const ann = yield* ActorClient.connect(NewLab, "main", { params: { name: "ann" } })
      for (const times of [1, 2, 3]) {
        const [unknown, before, undecodable, after] = yield* Effect.all([
          Effect.flip(ann.rpc.Missing({ n: 1 })),
          ann.rpc.Append({ item: "x" }),
          Effect.flip(ann.rpc.Append({ item: "" })),
          ann.rpc.Me()
        ], { concurrency: "unbounded" })
        assert.instanceOf(unknown, ConnectionError.CallRejected)
        assert.include((unknown as ConnectionError.CallRejected).issue, "Missing")
        assert.strictEqual(unknown.sent, "no")
        assert.strictEqual(before, times)
        assert.instanceOf(undecodable, ConnectionError.CallRejected)
        assert.include((undecodable as ConnectionError.CallRejected).issue, "item")
        assert.strictEqual(after.name, "ann")
      }
      assert.strictEqual((yield* ann.status.get)._tag, "Connected")
      assert.strictEqual(yield* (yield* backend).Count(), 3)
    }),
    { host: { window: 2 } }
  ))

it.effect("B2 a reply that does not encode dies with an id, and its turn is dropped; other calls go on", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    const appended = yield* ann.events("appended")
    const stage = (room: LabRoom) => Effect.zipRight(append(room, "lost"), room.broadcast("appended", { item: "lost" }))
    probe.scripts.empty = (room) => Effect.as(stage(room), "")
    probe.scripts.number = (room) => Effect.as(stage(room), 5 as never)
    probe.scripts.wrongError = (room) => Effect.zipRight(stage(room), Effect.fail({ _tag: "Unheard" } as never))
    for (const script of ["empty", "number", "wrongError", "empty"]) {
      const [exit, items] = yield* Effect.all([Effect.exit(ann.rpc.Run({ script })), ann.rpc.Items()], {
        concurrency: 2
      })
      const id = defectOf(exit)
      assert.isTrue(probe.logs.some((log) => log.defect === id))
      assert.deepStrictEqual(items, [])
    }
    yield* ann.rpc.Append({ item: "kept" })
    assert.deepStrictEqual(yield* Stream.runHead(appended), Option.some({ item: "kept" }))
  })))

it.effect("B2 a reply that the client cannot decode fails that call only", () =>
  run(Effect.gen(function*() {
    const ann = yield* ActorClient.connect(NewLab, "main", { params: { name: "ann" } })
    yield* ann.rpc.Append({ item: "not a number" })
    for (const _ of [1, 2]) {
      const [exit, me] = yield* Effect.all([Effect.exit(ann.rpc.Items()), ann.rpc.Me()], { concurrency: 2 })
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "Lab.Items")
      assert.strictEqual(me.name, "ann")
    }
  })))

it.effect("B3 calls run in the order they were made; each event precedes its reply, in commit order", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const { messages } = yield* listen
      const ann = yield* connect("ann", { events: ["appended"] })
      const order = Array.from({ length: 60 }, (_, i) => i + 1)
      probe.scripts.slow = (room) =>
        Effect.gen(function*() {
          for (let i = 0; i < 5; i++) yield* Effect.yieldNow()
          const { items } = yield* append(room, "slow")
          yield* room.broadcast("appended", { item: "slow" })
          return String(items.length)
        })
      const ended: Array<number> = []
      // slow and fast ones mixed, with a window much smaller than their number
      const results = yield* Effect.forEach(
        order,
        (n) =>
          Effect.tap(
            n % 7 === 0 ? Effect.map(ann.rpc.Run({ script: "slow" }), Number) : ann.rpc.Append({ item: `i${n}` }),
            () => Effect.sync(() => ended.push(n))
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(results, order)
      assert.deepStrictEqual(ended, order)
      const items = order.map((n) => n % 7 === 0 ? "slow" : `i${n}`)
      assert.deepStrictEqual(yield* ann.rpc.Items(), items)
      const events = yield* Stream.runCollect(Stream.take(yield* ann.events("appended"), 60))
      assert.deepStrictEqual(Chunk.toReadonlyArray(events), items.map((item) => ({ item })))
      assert.deepStrictEqual(
        messages.slice(0, 120).map(({ _tag, payload, requestId }) => _tag === "Event" ? payload : Number(requestId)),
        items.flatMap((item, i) => [{ item }, i + 1])
      )
    }),
    { host: { window: 8 } }
  ))

it.effect("B3 a subscription takes its place among the calls", () =>
  run(Effect.gen(function*() {
    const ann = yield* connect("ann")
    const [, appended] = yield* Effect.all([
      ann.rpc.Append({ item: "before" }),
      ann.events("appended"),
      ann.rpc.Append({ item: "after" })
    ], { concurrency: "unbounded" })
    assert.deepStrictEqual(yield* Stream.runHead(appended), Option.some({ item: "after" }))
  })))

it.effect("B4 interrupting a running call interrupts its handler; what waits behind goes on", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const ann = yield* connect("ann")
      const bob = yield* connect("bob")
      probe.scripts.slow = slow(probe, "slow")
      for (const times of [1, 2, 3]) {
        const running = yield* Effect.fork(ann.rpc.Run({ script: "slow" }))
        yield* probe.seen("slow runs", times)
        const behind = yield* Effect.fork(ann.rpc.Append({ item: "ann" }))
        const other = yield* Effect.fork(bob.rpc.Append({ item: "bob" }))
        yield* settle
        assert.strictEqual(probe.count("slow interrupted"), times - 1)
        yield* Fiber.interrupt(running)
        yield* probe.seen("slow interrupted", times)
        const counts = [yield* Fiber.join(behind), yield* Fiber.join(other)]
        assert.sameMembers(counts, [2 * times - 1, 2 * times])
      }
      assert.notInclude(yield* ann.rpc.Items(), "slow")
      assert.strictEqual(probe.count("slow interrupted"), 3)
    }),
    { host: { window: 2 } }
  ))

it.effect("B4 interrupting a queued call removes it, and gives its credit back", () =>
  run(
    Effect.gen(function*() {
      const probe = yield* Probe
      const ann = yield* connect("ann")
      probe.scripts.slow = slow(probe, "slow")
      probe.scripts.queued = slow(probe, "queued")
      yield* probe.open("queued")
      const running = yield* Effect.fork(ann.rpc.Run({ script: "slow" }))
      yield* probe.seen("slow runs")
      // more than the window has, one after another
      for (let i = 0; i < 5; i++) {
        const queued = yield* Effect.fork(ann.rpc.Run({ script: "queued" }))
        yield* settle
        yield* Fiber.interrupt(queued)
        yield* settle
      }
      const network = yield* MemoryTransport.MemoryNetwork
      const texts: Array<string> = []
      yield* network.onMessage(({ from, text }) => {
        if (from === "client") texts.push(text)
      })
      const last = yield* Effect.fork(ann.rpc.Append({ item: "last" }))
      yield* settle
      assert.strictEqual(yield* ann.pending.get, 2)
      // it is on its way already: there is credit for it
      assert.include(texts.join(), "last")
      yield* probe.open("slow")
      assert.strictEqual(yield* Fiber.join(running), "slow")
      assert.strictEqual(yield* Fiber.join(last), 2)
      assert.deepStrictEqual(yield* ann.rpc.Items(), ["slow", "last"])
      assert.strictEqual(probe.count("queued runs"), 0)
      assert.strictEqual(probe.count("queued interrupted"), 0)
      assert.strictEqual(probe.count("slow interrupted"), 0)
    }),
    { host: { window: 2 } }
  ))

it.effect("B4 a call interrupted in the tick in which its handler ends: no other call is hit", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    const bob = yield* connect("bob")
    let done = 0
    let interrupted = 0
    for (let yields = 0; yields < 24; yields++) {
      const name = `race ${yields}`
      probe.scripts[name] = slow(probe, name)
      const racing = yield* Effect.fork(ann.rpc.Run({ script: name }))
      yield* probe.seen(`${name} runs`)
      const behind = yield* Effect.fork(ann.rpc.Append({ item: `behind ${yields}` }))
      const other = yield* Effect.fork(bob.rpc.Append({ item: `other ${yields}` }))
      yield* settle
      if (yields % 2 === 0) yield* probe.open(name)
      const interrupting = yield* Effect.fork(Fiber.interrupt(racing))
      for (let i = 0; i < yields / 2; i++) yield* Effect.yieldNow()
      yield* probe.open(name)
      yield* Fiber.join(interrupting)
      yield* Fiber.join(behind)
      yield* Fiber.join(other)
      yield* settle
      const items = yield* ann.rpc.Items()
      const kept = items.filter((item) => item === name).length
      assert.strictEqual(kept + probe.count(`${name} interrupted`), 1, name)
      assert.strictEqual(items.filter((item) => item.endsWith(` ${yields}`)).length, 2 + kept, name)
      if (kept) done++
      else interrupted++
    }
    // both outcomes have been met, or the test shows nothing
    assert.isAbove(done, 0)
    assert.isAbove(interrupted, 0)
  })))

it.effect("B4 a handler wrapped in Rpc.uninterruptible ends, and its turn stands", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    probe.scripts.firm = (room) => Rpc.uninterruptible(slow(probe, "firm")(room)) as never
    const running = yield* Effect.fork(ann.rpc.Run({ script: "firm" }))
    yield* probe.seen("firm runs")
    const behind = yield* Effect.fork(ann.rpc.Append({ item: "behind" }))
    yield* settle
    yield* Fiber.interrupt(running)
    yield* settle
    yield* probe.open("firm")
    assert.strictEqual(yield* Fiber.join(behind), 2)
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["firm", "behind"])
    assert.strictEqual(probe.count("firm interrupted"), 0)
  })))

it.effect("B4 closing a connection interrupts what it runs and removes what it queued", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const bob = yield* connect("bob")
    probe.scripts.slow = slow(probe, "slow")
    for (const times of [1, 2]) {
      yield* Effect.scoped(Effect.gen(function*() {
        const ann = yield* connect("ann")
        yield* Effect.fork(ann.rpc.Run({ script: "slow" }))
        yield* probe.seen("slow runs", times)
        yield* Effect.fork(ann.rpc.Append({ item: "ann" }))
        yield* settle
      }))
      yield* probe.seen("slow interrupted", times)
      assert.strictEqual(yield* bob.rpc.Append({ item: "bob" }), times)
    }
    assert.deepStrictEqual(yield* bob.rpc.Items(), ["bob", "bob"])
  })))

it.effect("B7 internal rpcs cannot be called from a socket, whatever is sent", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.internals.secret = (room) =>
      Effect.as(Effect.zipRight(probe.note("secret ran"), append(room, "secret")), "secret")
    const raw = yield* rawLink
    const answers = yield* raw.say(hello, open({ name: "mallory" }))
    assert.include(answers.map(({ _tag }) => _tag), "Opened")
    const attempts: ReadonlyArray<readonly [tag: string, payload: unknown]> = [
      ["Script", { script: "secret" }],
      ["Count", undefined],
      ["Add", { item: "x" }],
      ["Clear", undefined],
      ["internal.Count", undefined],
      ["Count\u0000", undefined],
      ["__proto__", {}],
      ["constructor", {}],
      ["toString", undefined],
      ["hasOwnProperty", "Run"],
      ["", undefined]
    ]
    for (const [index, [tag, payload]] of attempts.entries()) {
      const heard = yield* raw.say(request(index + 1, tag, payload))
      const rejected = heard.map(({ payload }) => payload as { _tag?: string; requestId?: string } | undefined)
        .find((message) => message?._tag === "Rejected")
      assert.strictEqual(rejected?.requestId, String(index + 1), tag)
    }
    const seq = attempts.length + 1
    const [heard] = (yield* raw.say(request(seq, "Append", { item: "public" }))).filter(({ _tag }) =>
      _tag === "Message"
    )
    assert.deepStrictEqual((heard?.payload as { exit?: unknown } | undefined)?.exit, { _tag: "Success", value: 1 })
    assert.strictEqual(probe.count("secret ran"), 0)
    assert.strictEqual(yield* (yield* backend).Count(), 1)
  })))

it.effect("B7 a public and an internal rpc of one name keep their own handlers", () => {
  class Twice extends Actor.Tag<Twice>()("Twice", {
    rpcs: RpcGroup.make(Rpc.make("Reset", { success: Schema.String })),
    internal: RpcGroup.make(Rpc.make("Reset", { success: Schema.String }))
  }) {}
  const live = Twice.toLayer({ state: Schema.Number, initialState: () => 0 }, (twice) =>
    Effect.succeed(twice.behavior({
      rpcs: { Reset: () => Effect.succeed("public") },
      internal: { Reset: () => Effect.succeed("internal") }
    })))
  return Effect.gen(function*() {
    const twice = yield* ActorClient.connect(Twice, "main")
    assert.strictEqual(yield* twice.rpc.Reset(), "public")
    assert.strictEqual(yield* (yield* Twice).get("main").Reset(), "internal")
  }).pipe(
    Effect.scoped,
    Effect.provide(
      ActorClient.layer().pipe(
        Layer.provideMerge(MemoryTransport.layerServer({ actors: [Twice] })),
        Layer.provideMerge(live),
        Layer.provideMerge(ActorHost.layer()),
        Layer.provideMerge(Layer.merge(ActorStore.layerMemory, MemoryTransport.layer))
      )
    )
  )
})

const nameOf = (room: LabRoom) =>
  Effect.flatMap(room.caller, ({ state }) => Effect.map(Ref.get(state), ({ name }) => name))

it.effect("B9 a daemon forked in a turn acts as its own caller, also while another's turn runs", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann", { events: ["whisper"] })
    const mallory = yield* connect("mallory", { events: ["whisper"] })
    let round = 0
    probe.scripts.fork = (room) =>
      Effect.gen(function*() {
        const daemon = Effect.gen(function*() {
          yield* probe.wait(`daemon ${round}`)
          const { items } = yield* Ref.get(room.state)
          yield* probe.note(`${yield* nameOf(room)} sees ${items.length}`)
          yield* (yield* room.caller).send("whisper", { text: "from my daemon" })
          yield* append(room, `daemon of ${yield* nameOf(room)}`)
          yield* Ref.update((yield* room.caller).state, (member) => ({ ...member, visits: member.visits + 10 }))
          yield* probe.note("daemon done")
        })
        yield* Effect.forkDaemon(daemon)
        return "forked"
      })
    const turnOf = (end: (items: ReadonlyArray<string>) => Effect.Effect<string, Oops>) => (room: LabRoom) =>
      Effect.gen(function*() {
        yield* append(room, "staged")
        yield* probe.note("mallory runs")
        yield* probe.wait(`mallory ${round}`)
        assert.strictEqual(yield* nameOf(room), "mallory")
        return yield* end((yield* Ref.get(room.state)).items)
      })
    probe.scripts.succeeds = turnOf((items) => Effect.succeed(items.join()))
    probe.scripts.fails = turnOf(() => new Oops({ code: 1 }))
    for (round = 1; round <= 2; round++) {
      yield* ann.rpc.Run({ script: "fork" })
      const before = yield* ann.rpc.Items()
      const running = yield* Effect.fork(Effect.exit(mallory.rpc.Run({ script: round === 1 ? "succeeds" : "fails" })))
      yield* probe.seen("mallory runs", round)
      yield* probe.open(`daemon ${round}`)
      // what Mallory has staged is not seen, and the daemon waits for her turn to end
      yield* probe.seen(`ann sees ${before.length}`)
      yield* settle
      assert.strictEqual(probe.count("daemon done"), round - 1)
      yield* probe.open(`mallory ${round}`)
      const exit = yield* Fiber.join(running)
      assert.deepStrictEqual(
        exit,
        round === 1 ? Exit.succeed([...before, "staged"].join()) : Exit.fail(new Oops({ code: 1 }))
      )
      yield* probe.seen("daemon done", round)
      const staged = round === 1 ? ["staged"] : []
      assert.deepStrictEqual(yield* ann.rpc.Items(), [...before, ...staged, "daemon of ann"])
    }
    assert.strictEqual((yield* ann.rpc.Me()).visits, 21)
    assert.strictEqual((yield* mallory.rpc.Me()).visits, 1)
    const whispers = yield* ann.events("whisper")
    assert.strictEqual(Chunk.size(yield* Stream.runCollect(Stream.take(whispers, 2))), 2)
  })))

it.effect("B9 whoever joins a fiber of another's turn goes on as its own caller", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    const mallory = yield* connect("mallory")
    let fiber: Fiber.Fiber<string> | undefined
    probe.scripts.fork = (room) =>
      Effect.gen(function*() {
        fiber = yield* Effect.forkDaemon(Effect.zipRight(probe.wait("joined"), Effect.orDie(nameOf(room))))
        return "forked"
      })
    probe.scripts.join = (room) =>
      Effect.gen(function*() {
        yield* probe.open("joined")
        const joined = yield* Fiber.join(fiber!)
        return `${joined} and ${yield* nameOf(room)}`
      })
    yield* ann.rpc.Run({ script: "fork" })
    assert.strictEqual(yield* mallory.rpc.Run({ script: "join" }), "ann and mallory")
    yield* ann.rpc.Run({ script: "fork" })
    assert.strictEqual(yield* ann.rpc.Run({ script: "join" }), "ann and ann")
  })))

it.effect("B9 a fiber that another turn lets go on is still its own caller's", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    const mallory = yield* connect("mallory")
    probe.scripts.fork = (room) =>
      Effect.as(
        Effect.forkDaemon(
          Effect.zipRight(probe.wait("go"), Effect.flatMap(nameOf(room), (name) => append(room, `by ${name}`)))
        ),
        "forked"
      )
    probe.scripts.go = () => Effect.as(probe.open("go"), "gone")
    yield* ann.rpc.Run({ script: "fork" })
    yield* mallory.rpc.Run({ script: "go" })
    yield* settle
    assert.deepStrictEqual(yield* mallory.rpc.Items(), ["by ann"])
  })))

it.effect("B9 what is started while a turn runs waits for it, also in the turn's first moment", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    probe.scripts.starts = (room) =>
      Effect.gen(function*() {
        // @effect-diagnostics-next-line runEffectInsideEffect:off - it has to start before the turn goes on
        yield* Effect.sync(() => Effect.runFork(append(room, "outside")))
        yield* append(room, "inside")
        yield* probe.note("started")
        yield* probe.wait("go on")
        return (yield* Ref.get(room.state)).items.join()
      })
    const running = yield* Effect.fork(ann.rpc.Run({ script: "starts" }))
    yield* probe.seen("started")
    yield* settle
    yield* probe.open("go on")
    assert.strictEqual(yield* Fiber.join(running), "inside")
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["inside", "outside"])
    assert.strictEqual(yield* Effect.map(ann.rpc.Run({ script: "starts" }), (items) => items), "inside,outside,inside")
    assert.deepStrictEqual(yield* ann.rpc.Items(), ["inside", "outside", "inside", "outside"])
  })))

it.effect("B9 children of a turn join it, and end with it", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    const child = (room: LabRoom) =>
      append(room, "child").pipe(
        Effect.zipRight(probe.note("child ran")),
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => probe.note("child interrupted"))
      )
    const parent = (end: Effect.Effect<string, Oops>) => (room: LabRoom) =>
      Effect.gen(function*() {
        const before = probe.count("child ran")
        yield* Effect.fork(child(room))
        yield* probe.seen("child ran", before + 1)
        assert.strictEqual((yield* Ref.get(room.state)).items.at(-1), "child")
        return yield* end
      })
    probe.scripts.succeeds = parent(Effect.succeed("done"))
    probe.scripts.fails = parent(new Oops({ code: 1 }))
    for (const times of [1, 2]) {
      const [done, items] = yield* Effect.all([ann.rpc.Run({ script: "succeeds" }), ann.rpc.Items()], {
        concurrency: 2
      })
      assert.strictEqual(done, "done")
      assert.strictEqual(items.length, times)
      yield* Effect.flip(ann.rpc.Run({ script: "fails" }))
      assert.strictEqual((yield* ann.rpc.Items()).length, times)
      yield* probe.seen("child interrupted", times * 2)
    }
  })))

it.effect("B9 the finalizer of a child may change the state when the turn has ended", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    const ann = yield* connect("ann")
    probe.scripts.fork = (room) =>
      Effect.gen(function*() {
        yield* Effect.fork(Effect.onInterrupt(Effect.never, () => append(room, "finalizer")))
        yield* Effect.yieldNow()
        yield* append(room, "turn")
        return "done"
      })
    for (const times of [1, 2]) {
      yield* ann.rpc.Run({ script: "fork" })
      yield* settle
      const items = yield* ann.rpc.Items()
      assert.deepStrictEqual(items, times === 1 ? ["turn", "finalizer"] : ["turn", "finalizer", "turn", "finalizer"])
    }
  })))

it.effect("B10 calls of many connections are taken in turns: one busy client does not starve another", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.scripts.slow = slow(probe, "slow")
    const busy = yield* connect("busy")
    const bob = yield* (yield* otherClient).connect(Lab, "main", { params: { name: "bob" } })
    const carol = yield* connect("carol")
    yield* Effect.fork(busy.rpc.Run({ script: "slow" }))
    yield* probe.seen("slow runs")
    const calls = yield* Effect.forEach(
      Array.from({ length: 100 }),
      () => Effect.fork(busy.rpc.Append({ item: "busy" }))
    )
    yield* settle
    const late = yield* Effect.forEach(
      [bob, bob, carol],
      ({ rpc }, i) => Effect.fork(rpc.Append({ item: `late ${i}` }))
    )
    yield* settle
    yield* probe.open("slow")
    yield* Fiber.joinAll([...calls, ...late])
    const items = yield* bob.rpc.Items()
    assert.strictEqual(items.length, 104)
    assert.isBelow(items.indexOf("late 0"), 4)
    assert.isBelow(items.indexOf("late 2"), 4)
    assert.isBelow(items.indexOf("late 1"), 8)
  })))

it.effect("B10 hooks and internal calls are not starved either", () =>
  run(Effect.gen(function*() {
    const probe = yield* Probe
    probe.scripts.slow = slow(probe, "slow")
    probe.hooks.onConnect = (room, connection) =>
      Effect.flatMap(Ref.get(connection.state), ({ name }) => append(room, `${name} connects`))
    const busy = yield* connect("busy")
    yield* Effect.fork(busy.rpc.Run({ script: "slow" }))
    yield* probe.seen("slow runs")
    const calls = yield* Effect.forEach(
      Array.from({ length: 100 }),
      () => Effect.fork(busy.rpc.Append({ item: "busy" }))
    )
    const internal = yield* Effect.fork((yield* backend).Add({ item: "internal" }))
    const connecting = yield* Effect.fork(connect("ann"))
    yield* settle
    yield* probe.open("slow")
    yield* Fiber.joinAll(calls)
    yield* Fiber.join(internal)
    const ann = yield* Fiber.join(connecting)
    const items = yield* ann.rpc.Items()
    assert.isBelow(items.indexOf("internal"), 6)
    assert.isBelow(items.indexOf("ann connects"), 6)
  })))
