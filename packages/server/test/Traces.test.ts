import { assert, it } from "@effect/vitest"
import { none, ofNamed } from "../src/internal/Recorded.ts"
import { Traces } from "../src/internal/Traces.ts"

const livesOf = (traces: Traces) => ["a", "b", "c"].map((key) => traces.of(key).incarnation)

const answered = (session: string) => ofNamed([{ session, call: 0, exit: "{}" }], 0)

it("L4 lives are counted by key, and of very many keys the oldest ends are forgotten", () => {
  const traces = new Traces(2)
  traces.next("a", none())
  traces.next("b", none())
  traces.next("a", none())
  assert.deepStrictEqual(livesOf(traces), [2, 1, 0])
  traces.next("c", none())
  assert.deepStrictEqual(livesOf(traces), [2, 0, 1])
})

it("T3 what an actor has answered to others is kept until its next end", () => {
  const traces = new Traces()
  for (const session of ["one", "two"]) {
    traces.next("a", answered(session))
    assert.deepStrictEqual(Array.from(traces.of("a").recorded, ([kept]) => kept), [session])
  }
  assert.lengthOf(Array.from(traces.of("b").recorded), 0)
})
