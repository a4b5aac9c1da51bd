import { assert, it } from "@effect/vitest"
import * as Address from "@troupe/contract/Address"
import { Turn } from "../src/internal/Turn.ts"
import { WaitGraph } from "../src/internal/WaitGraph.ts"

const actor = (key: number) => Address.make("Hop", String(key))

/** Actors of which each waits for the next. */
const chain = (length: number) => {
  const graph = new WaitGraph()
  const turns = Array.from({ length }, () => new Turn({}, {}))
  turns.forEach((turn, i) => graph.begin(actor(i), turn, actor(i + 1)))
  return { graph, turns }
}

it("the last of very many actors, each of which waits for the next, must not call the first", () => {
  const length = 50_000
  const { graph, turns } = chain(length)
  const path = graph.cycle(actor(length), actor(0))
  assert.lengthOf(path ?? [], length + 2)
  assert.deepStrictEqual(path?.slice(0, 3).map(({ key }) => key), [String(length), "0", "1"])
  assert.strictEqual(path?.at(-1)?.key, String(length))
  assert.isUndefined(graph.cycle(actor(length), actor(length + 1)))
  turns[100]!.sealed = true
  assert.isUndefined(graph.cycle(actor(length), actor(0)))
})
