/** A logger that throws, as one may that encodes what it is given, or writes to a pipe that is gone. */
import { assert, it } from "@effect/vitest"
import { ActorHost } from "@troupe/server"
import { TestStore } from "@troupe/testing"
import { Effect, Exit, Layer, Logger, TestClock } from "effect"
import { backend, Lab, labLive, layerOutside, Probe, settle } from "./support/lab.ts"

const throwing = Logger.make<unknown, void>(() => {
  throw new Error("the logger is broken")
})

const layer = labLive().pipe(
  Layer.provideMerge(ActorHost.layer()),
  Layer.provide(Logger.replace(Logger.defaultLogger, throwing)),
  Layer.provideMerge(layerOutside)
)

it.effect("T4 actors of a host commit again after a commit has failed, also if that cannot be logged", () =>
  Effect.gen(function*() {
    const { fail } = yield* TestStore.TestStore
    const labs = yield* Lab
    const { Add } = labs.get("main")
    for (const times of [1, 2]) {
      yield* fail("before")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Add({ item: "lost" }))))
      assert.strictEqual(yield* Add({ item: "x" }), times)
      assert.strictEqual(yield* labs.get("other").Add({ item: "y" }), times)
    }
  }).pipe(Effect.provide(layer)))

it.effect("L3 alarms fire after they could not be read, also if that cannot be logged", () =>
  Effect.gen(function*() {
    const probe = yield* Probe
    const { failAlarms } = yield* TestStore.TestStore
    const { Count, Script } = yield* backend
    probe.internals["set"] = (room) => Effect.as(room.alarm("1 minute", "Add", { item: "rung" }), "set")
    for (const times of [1, 2]) {
      yield* Script({ script: "set" })
      yield* settle
      yield* failAlarms(1)
      yield* TestClock.adjust("1 minute")
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.strictEqual(yield* Count(), times)
    }
  }).pipe(Effect.provide(layer)))
