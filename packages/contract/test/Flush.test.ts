import { assert, it, vi } from "@effect/vitest"
import { Flush } from "@troupe/contract"
import { Effect } from "effect"

it.live("tasks run in the order in which they were scheduled, also when there are too many for one go of the event loop", () =>
  Effect.gen(function*() {
    const { schedule } = yield* Flush.Flush
    const order: Array<number> = []
    let next = 0
    yield* Effect.async<void>((resume) => {
      // each task schedules two others, of which the second must not overtake the first
      const task = () => {
        const number = next++
        schedule(() => {
          order.push(number)
          if (next < 5000) {
            task()
            if (number % 3 === 0) task()
          } else if (order.length === next) resume(Effect.void)
        })
      }
      task()
      task()
    })
    assert.isAbove(order.length, 4999)
    assert.deepStrictEqual(order.findIndex((number, i) => number !== i), -1)
  }))

it.live("what is too much for one go of the event loop goes on in the next, and waits for no timer", () =>
  Effect.gen(function*() {
    const { schedule } = yield* Flush.Flush
    let done = 0
    const timers: Array<() => void> = []
    yield* Effect.acquireUseRelease(
      Effect.sync(() => vi.stubGlobal("setTimeout", (task: () => void) => timers.push(task))),
      () =>
        Effect.promise(async () => {
          for (let count = 1; count <= 5000; count++) schedule(() => done++)
          for (let turn = 1; turn <= 3; turn++) await new Promise((resolve) => setImmediate(resolve))
        }),
      () =>
        Effect.sync(() => {
          vi.unstubAllGlobals()
          for (const timer of timers) timer()
        })
    )
    assert.strictEqual(done, 5000)
  }))

it.live("tasks that never end leave timers and sockets their turn, however long they go on", () =>
  Effect.gen(function*() {
    const { schedule } = yield* Flush.Flush
    let over = false
    let ran = 0
    const task = () => {
      ran++
      if (!over) schedule(task)
    }
    for (let chain = 0; chain < 64; chain++) schedule(task)
    let most = 0
    for (let turn = 1; turn <= 200; turn++) {
      const before = ran
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      most = Math.max(most, ran - before)
    }
    over = true
    // 1024 after a timer, and as many after the rest of the turn
    assert.isAtMost(most, 4096)
  }))

it.live("in a page it does not wait for timers, which come once a minute while its tab is hidden", () =>
  Effect.gen(function*() {
    const { schedule } = yield* Flush.Flush
    let done = 0
    yield* Effect.acquireUseRelease(
      Effect.sync(() => vi.stubGlobal("document", {}).stubGlobal("setTimeout", () => 0)),
      () =>
        Effect.promise(async () => {
          for (let count = 1; count <= 5000; count++) {
            schedule(() => done++)
            // a go of the event loop for each, as if a message had come
            await new Promise((resolve) => setImmediate(resolve))
          }
        }),
      () => Effect.sync(() => vi.unstubAllGlobals())
    )
    assert.strictEqual(done, 5000)
  }))
