import { assert, it } from "@effect/vitest"
import { Watched } from "@troupe/contract/Watched"
import { Effect, Exit } from "effect"
import { type Call, Calls } from "../src/internal/Calls.ts"

const bounds = { pendingCallsMax: 10, pendingBytesMax: 1000 }

const makeCall = (calls: Calls, ended: Array<number> = []): Call => {
  const number = calls.next++
  return {
    number,
    codec: undefined as never,
    text: "x",
    bytes: 1,
    end: () => void ended.push(number),
    sent: undefined,
    cancelled: false,
    reader: undefined,
    span: undefined
  }
}

it.effect("C5 calls that are cancelled while nothing is sent do not pile up in the queue", () =>
  Effect.sync(() => {
    const shown = new Watched(0)
    const calls = new Calls(bounds, shown)
    const kept = makeCall(calls)
    calls.add(kept)
    for (let i = 0; i < 10_000; i++) {
      const call = makeCall(calls)
      assert.isUndefined(calls.full(call.bytes))
      calls.add(call)
      calls.cancel(call)
      assert.isAtMost(calls.queued, 100)
    }
    assert.strictEqual(calls.count, 1)
    assert.strictEqual(shown.current, 1)
    assert.deepStrictEqual(calls.take(5), [kept])
  }))

it.effect("C4 calls are taken in call order, cancelled ones skipped, up to the credit", () =>
  Effect.sync(() => {
    const ended: Array<number> = []
    const calls = new Calls(bounds, new Watched(0))
    const all = Array.from({ length: 6 }, () => makeCall(calls, ended))
    for (const call of all) calls.add(call)
    calls.cancel(all[0]!)
    calls.cancel(all[2]!)
    assert.deepStrictEqual(calls.take(2).map(({ number }) => number), [2, 4])
    assert.deepStrictEqual(calls.take(0), [])
    assert.deepStrictEqual(calls.take(9).map(({ number }) => number), [5, 6])
    calls.end(all[1]!, Exit.void)
    assert.deepStrictEqual(ended, [2])
    assert.strictEqual(calls.settledBelow, 4)
  }))

it.effect("C4 very many calls are taken, of which many were cancelled, with any credit", () =>
  Effect.sync(() => {
    for (const credit of [1, 1_000_000]) {
      const count = 100_000
      const calls = new Calls({ pendingCallsMax: count, pendingBytesMax: count }, new Watched(0))
      const all = Array.from({ length: count }, () => makeCall(calls))
      for (const call of all) calls.add(call)
      for (const call of all.slice(0, count / 2 - 1)) calls.cancel(call)
      const taken = calls.take(credit).map(({ number }) => number)
      assert.lengthOf(taken, Math.min(credit, count / 2 + 1))
      assert.strictEqual(taken[0], count / 2)
    }
  }))
