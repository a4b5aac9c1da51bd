import { assert, it } from "@effect/vitest"
import { none, ofNamed } from "../src/internal/Recorded.ts"
import { Remains } from "../src/internal/Remains.ts"

const livesOf = (remains: Remains) => ["a", "b", "c"].map((key) => remains.of(key).incarnation)

const answered = (session: string) => ofNamed([{ session, call: 0, exit: "{}" }], 0)

it("L4 lives are counted by key, and of very many keys the oldest ends are forgotten", () => {
  const remains = new Remains(2)
  remains.next("a", none())
  remains.next("b", none())
  remains.next("a", none())
  assert.deepStrictEqual(livesOf(remains), [2, 1, 0])
  remains.next("c", none())
  assert.deepStrictEqual(livesOf(remains), [2, 0, 1])
})

it("T3 what an actor has answered to others is kept until its next end", () => {
  const remains = new Remains()
  for (const session of ["one", "two"]) {
    remains.next("a", answered(session))
    assert.deepStrictEqual(Array.from(remains.of("a").recorded, ([kept]) => kept), [session])
  }
  assert.lengthOf(Array.from(remains.of("b").recorded), 0)
})
