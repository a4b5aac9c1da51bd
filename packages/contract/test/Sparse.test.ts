import { assert, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { SparseMap, SparseSet } from "../src/Sparse.ts"

const key = fc.integer({ min: 0, max: 4 })

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constant("set" as const), key, fc.nat()) },
  { weight: 3, arbitrary: fc.tuple(fc.constant("delete" as const), key, fc.constant(0)) },
  fc.tuple(fc.constant("clear" as const), key, fc.constant(0))
)

it("is what a Map and a Set are, whatever is done to it", () => {
  fc.assert(fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
    const [map, set] = [new SparseMap<number, number>(), new SparseSet<number>()]
    const [expected, expectedSet] = [new Map<number, number>(), new Set<number>()]
    for (const [what, key, value] of operations) {
      switch (what) {
        case "set":
          map.set(key, value)
          expected.set(key, value)
          set.add(key)
          expectedSet.add(key)
          break
        case "delete": {
          const was = expected.delete(key)
          assert.strictEqual(map.delete(key), was)
          assert.strictEqual(set.delete(key), expectedSet.delete(key))
          break
        }
        case "clear":
          map.clear()
          expected.clear()
          set.clear()
          expectedSet.clear()
      }
      assert.strictEqual(map.size, expected.size)
      assert.strictEqual(set.size, expectedSet.size)
      assert.deepStrictEqual(Array.from(map), Array.from(expected))
      assert.deepStrictEqual(Array.from(map.keys()), Array.from(expected.keys()))
      assert.deepStrictEqual(Array.from(map.values()), Array.from(expected.values()))
      assert.deepStrictEqual(Array.from(set), Array.from(expectedSet))
      for (let other = 0; other <= 5; other++) {
        assert.strictEqual(map.get(other), expected.get(other))
        assert.strictEqual(map.has(other), expected.has(other))
        assert.strictEqual(set.has(other), expectedSet.has(other))
      }
    }
  }))
})

it("what is deleted while it is iterated does not disturb", () => {
  for (const size of [1, 2, 5]) {
    const map = new SparseMap<number, number>()
    for (let i = 0; i < size; i++) map.set(i, i)
    const seen: Array<number> = []
    for (const [key] of map) {
      seen.push(key)
      map.delete(key)
    }
    assert.lengthOf(seen, size)
    assert.strictEqual(map.size, 0)
  }
})
