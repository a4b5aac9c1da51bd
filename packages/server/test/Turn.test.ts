/** What is left of a turn when it is over: a connection keeps that of its `onConnect` for as long as it stands. */
import { assert, it } from "@effect/vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Cell, Turn } from "../src/internal/Turn.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

it("a turn that is over keeps neither the state it has made nor what it has sent alive", async () => {
  const cell = new Cell<object>({})
  const turn = new Turn({}, {})
  const weak = (() => {
    const [state, event] = [{ items: [1] }, { sent: 0 }]
    turn.write(cell, state)
    assert.isTrue(turn.changes(cell))
    turn.outputs.push(() => event.sent++)
    turn.disconnects.push(() => event.sent++)
    turn.apply()
    assert.strictEqual(cell.current, state)
    turn.send(() => event.sent++)
    assert.strictEqual(event.sent, 3)
    return [new WeakRef(state), new WeakRef(event)]
  })()
  cell.current = {}
  // what a weak reference has led to is kept until the end of the turn of the event loop
  await new Promise((resolve) => setImmediate(resolve))
  collectGarbage()
  assert.deepStrictEqual(weak.map((ref) => ref.deref()), [undefined, undefined])
  assert.isFalse(turn.changes(cell))
})
