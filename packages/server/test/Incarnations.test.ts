import { assert, it } from "@effect/vitest"
import { Incarnations } from "../src/internal/Incarnations.ts"

it("L4 lives are counted by key, and of very many keys the oldest ends are forgotten", () => {
  const incarnations = new Incarnations(2)
  incarnations.next("a")
  incarnations.next("b")
  incarnations.next("a")
  assert.deepStrictEqual(["a", "b", "c"].map((key) => incarnations.of(key)), [2, 1, 0])
  incarnations.next("c")
  assert.deepStrictEqual(["a", "b", "c"].map((key) => incarnations.of(key)), [2, 0, 1])
})
