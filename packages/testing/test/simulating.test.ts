/** A simulation of somebody's own actors: what it tells when something is wrong with them, or with what it is given. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { Simulation } from "@troupe/testing"
import { Cause, Effect, Exit, HashSet, Layer, Random, Ref, Schedule, Schema } from "effect"
import { VirtualTime } from "../src/internal/simulation/VirtualTime.ts"

class Counter extends Actor.Tag<Counter>()("Counter", {
  rpcs: RpcGroup.make(Rpc.make("Add", { payload: { by: Schema.Int }, success: Schema.Int }))
}) {}

interface Hooks {
  readonly build?: Effect.Effect<void>
  readonly add?: Effect.Effect<void>
}

const counterLive = ({ add = Effect.void, build = Effect.void }: Hooks = {}) =>
  Counter.toLayer({ state: Schema.Int, initialState: () => 0 }, (counter) =>
    Effect.as(
      build,
      counter.behavior({
        rpcs: { Add: ({ by }) => Effect.zipRight(add, Ref.updateAndGet(counter.state, (count) => count + by)) }
      })
    ))

const connect = ActorClient.connect(Counter, "apples").pipe(Effect.retry(Schedule.spaced("1 second")), Effect.orDie)

const adds = Effect.gen(function*() {
  const counter = yield* connect
  for (let i = 0; i < 3; i++) {
    yield* Effect.sleep(yield* Random.nextIntBetween(0, 200))
    yield* Effect.orDie(counter.rpc.Add({ by: 1 }))
  }
})

type Options = Partial<Simulation.Options<[typeof Counter]>>

const simulate = (hooks: Hooks = {}, options: Options = {}) =>
  Simulation.run({
    seed: 1,
    actors: [Counter],
    implementations: counterLive(hooks),
    clients: [adds],
    faults: Simulation.noFaults,
    keepTrace: true,
    ...options
  })

describe("what has died says why", () => {
  it.effect("a handler: in the trace, without a stack, and in the problem of the client that it has failed", () =>
    Effect.gen(function*() {
      const report = yield* simulate({ add: Effect.die(new Error("index out of range\n  in Add")) })
      const [logged, ...others] = report.trace.filter((line) => line.includes(" log "))
      assert.match(
        logged!,
        /log the handler of Counter\.Add died \(defect [0-9a-f]{32}\): Error: index out of range in Add$/
      )
      assert.deepStrictEqual(others, [])
      assert.lengthOf(report.problems, 1)
      const [id] = /[0-9a-f]{32}/.exec(logged!)!
      assert.include(
        report.problems[0],
        `client 1 has failed: ServerDefect: a handler died on the server (defect ${id})`
      )
      assert.include(report.problems[0], `the handler of Counter.Add died (defect ${id}): Error: index out of range`)
      assert.deepStrictEqual(report.trace.filter((line) => /\n/.test(line)), [])
    }))

  it.effect("the build of an actor that a client tries to reach for ever, which is not the fault of the store", () =>
    Effect.gen(function*() {
      const report = yield* simulate({ build: Effect.die(new Error("no table")) }, {
        faults: { ...Simulation.noFaults, storeError: 0.5 },
        settleWithin: "1 minute"
      })
      assert.isAbove(report.trace.filter((line) => line.includes("StoreError: simulated")).length, 0)
      assert.lengthOf(report.problems, 1)
      assert.match(
        report.problems[0]!,
        /^client 1 has not come to an end: .*:\nCounter\/apples could not be activated \(defect [0-9a-f]{32}\): Error: no table/
      )
    }))

  it.effect("the hosts that cannot start, once", () =>
    Effect.gen(function*() {
      const implementations = Layer.provideMerge(counterLive(), Layer.effectDiscard(Effect.die(new Error("no config"))))
      const { problems } = yield* simulate({}, { implementations })
      assert.lengthOf(problems, 1)
      assert.match(problems[0]!, /^the start of the hosts has failed: Error: no config/)
    }))
})

describe("what has no end", () => {
  const endless = Effect.forever(Effect.yieldNow())

  it.effect("a loop at one moment, by the name of its actor", () =>
    Effect.gen(function*() {
      const { problems } = yield* simulate({ add: endless })
      assert.lengthOf(problems, 1)
      assert.match(
        problems[0]!,
        /^nothing waits any more: 1000000 tasks at one moment, the last of them of Counter\/apples/
      )
      assert.match(problems[0]!, /the last line of the trace: .* link 1 of client 1 > /)
    }))

  it.effect("a run that goes on and on, by what has been busy", () =>
    Effect.gen(function*() {
      const { problems } = yield* simulate({}, {
        clients: [Effect.forever(Effect.sleep("1 millis"))],
        faultsFor: "100 days",
        tasksMax: 5000
      })
      assert.lengthOf(problems, 1)
      assert.match(problems[0]!, /^there is no end: 5000 tasks in all, which is tasksMax, the last of them of client 1/)
    }))

  it.effect("something that still waits for a time, by who it is", () =>
    Effect.gen(function*() {
      const repeats = Effect.forkDaemon(Effect.repeat(Effect.void, Schedule.spaced("1 second")))
      const { problems } = yield* simulate({}, { clients: [adds, Effect.asVoid(repeats)] })
      assert.deepStrictEqual(problems, ["1 things still wait for a time: of client 2"])
    }))

  it.effect("a client that waits for a promise, which may be why", () =>
    Effect.gen(function*() {
      const { problems } = yield* simulate({}, { clients: [Effect.promise(() => Promise.resolve())] })
      assert.lengthOf(problems, 1)
      assert.match(problems[0]!, /^client 1 has not come to an end: .* outside of the simulation, as a promise/)
    }))

  it("a timer for what is no number, which would be due neither before nor after any other", () => {
    const time = new VirtualTime(0, 10)
    assert.throws(() => time.after(NaN, () => {}), "a timer for NaN milliseconds")
  })
})

describe("options", () => {
  it.effect("those that are undefined are drawn, or have their defaults", () =>
    Effect.gen(function*() {
      const names = Object.keys(Simulation.noFaults)
      const faults = Object.fromEntries(names.map((name) => [name, undefined])) as Partial<Simulation.Faults>
      const undefineds: object = {
        hosts: undefined,
        faultsFor: undefined,
        settleWithin: undefined,
        tasksMax: undefined
      }
      const seed = 2
      const drawn = yield* simulate({}, { ...undefineds, seed, faults })
      assert.strictEqual(drawn.digest, (yield* simulate({}, { seed, faults: {} })).digest)
      assert.deepStrictEqual(Object.keys(drawn.faults).sort(), names.sort())
    }))

  for (
    const [options, message] of [
      [{ faults: { cut: 50 } }, "faults.cut is 50, and must be a number from 0 to 1"],
      [{ faults: { storeHang: -0.1 } }, "faults.storeHang is -0.1, and must be a number from 0 to 1"],
      [{ faults: { hang: NaN } }, "faults.hang is NaN, and must be a number from 0 to 1"],
      [{ faults: { latencyMax: NaN } }, "faults.latencyMax is NaN, and must be a finite number from 0 on"],
      [{ faults: { crashMean: Infinity } }, "faults.crashMean is Infinity, and must be a finite number from 0 on"],
      [{ faults: { jumpMax: -1 } }, "faults.jumpMax is -1, and must be a finite number from 0 on"],
      [{ faults: { crash: 1 } as {} }, "there is no fault crash"],
      [{ hosts: 1.5 }, `hosts is 1.5, and must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`],
      [{ hosts: 0 }, `hosts is 0, and must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`],
      [{ tasksMax: NaN }, `tasksMax is NaN, and must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`],
      [{ faultsFor: "Infinity" as never }, "faultsFor is Infinity, and must be a finite duration"],
      [{ faultsFor: NaN }, "faultsFor is NaN, and must be a finite number from 0 on"],
      [{ settleWithin: Infinity }, "settleWithin is Infinity, and must be a finite number from 0 on"],
      [{ seed: -1 }, `seed is -1, and must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`],
      [{ seed: 1.5 }, `seed is 1.5, and must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`],
      [{ seed: 2 ** 53 }, `seed is ${2 ** 53}, and must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`],
      [{ seed: "abc" as never }, `seed is abc, and must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`]
    ] as ReadonlyArray<readonly [Options, string]>
  ) {
    it.effect(`refused: ${message}`, () =>
      Effect.gen(function*() {
        let built = false
        const exit = yield* Effect.exit(simulate({ build: Effect.sync(() => void (built = true)) }, options))
        assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
        assert.strictEqual(Exit.isFailure(exit) && Cause.prettyErrors(exit.cause)[0]!.message, message)
        assert.isFalse(built)
      }))
  }

  it.effect("seeds differ in all their bits, and draw what they have always drawn", () =>
    Effect.gen(function*() {
      const draw = (seed: number) => Effect.map(simulate({}, { seed, clients: [], faults: {} }), ({ faults }) => faults)
      const seeds = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 33, 2 ** 52, Number.MAX_SAFE_INTEGER]
      const drawn = yield* Effect.forEach(seeds, draw)
      assert.lengthOf(new Set(drawn.map((faults) => JSON.stringify(faults))), seeds.length)
      assert.deepStrictEqual(drawn.slice(0, 4).map(({ latencyMax }) => latencyMax), [
        1.832986673885636,
        270.9693551314358,
        6.709043997037636,
        13.881012998527929
      ])
    }))
})

describe("a seed that is run twice", () => {
  class Item {
    constructor(readonly millis: number) {}
  }

  const unordered = Effect.suspend(() => {
    const items = HashSet.fromIterable([1, 50, 200, 700, 900].map((millis) => new Item(millis)))
    return Effect.sleep(Array.from(items)[0]!.millis)
  })

  it.effect("is the same run, and is told when it was not", () =>
    Effect.gen(function*() {
      let runs = 0
      const same = yield* Simulation.twice(Effect.suspend(() => {
        runs++
        return simulate()
      }))
      assert.deepStrictEqual(same.problems, [])
      assert.strictEqual(runs, 2)

      let calls = 0
      const hidden = Effect.suspend(() => Effect.sleep(++calls))
      const { problems: [problem, ...others] } = yield* Simulation.twice(simulate({ add: hidden }))
      assert.match(
        problem!,
        /^the same seed was not the same run: line \d+ of its trace was "\d+\.\d+ .*", and then "\d+/
      )
      assert.deepStrictEqual(others, [])
      const { problems } = yield* Simulation.twice(simulate({ add: hidden }, { keepTrace: false }))
      assert.match(problems[0]!, /^the same seed was not the same run: `keepTrace` shows where the \d+ lines/)
    }))

  it.effect("objects that are told apart by their identity come in an order of chance", () =>
    Effect.gen(function*() {
      const reports = yield* Effect.forEach(Array.from({ length: 10 }), () => simulate({ add: unordered }))
      assert.isAbove(new Set(reports.map(({ digest }) => digest)).size, 1)
    }))
})
