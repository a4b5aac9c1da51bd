import { assert, it } from "@effect/vitest"
import { Address, Bytes } from "@troupe/contract"
import { Effect, FastCheck as fc } from "effect"

const anyText = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), fc.string({ maxLength: 600 }))

it.effect.prop(
  "a key is accepted if it is well-formed and has 1 to max UTF-8 bytes",
  [anyText, fc.integer({ min: 1, max: 64 })],
  ([key, max]) =>
    Effect.sync(() => {
      const bytes = Buffer.byteLength(key, "utf8")
      for (const [limit, issue] of [[max, Address.keyIssue(key, max)], [512, Address.keyIssue(key)]] as const) {
        const isWellFormed = !/\p{Surrogate}/u.test(key)
        if (bytes >= 1 && bytes <= limit && isWellFormed) assert.isUndefined(issue)
        else assert.isString(issue)
        if (bytes > limit && isWellFormed) assert.include(issue ?? "", `${limit} bytes, this one has ${bytes}`)
      }
    })
)

it("the limit is in bytes", () => {
  for (const key of ["x".repeat(512), "é".repeat(256), "🐈".repeat(128)]) {
    assert.isUndefined(Address.keyIssue(key))
    assert.include(Address.keyIssue(`${key}x`) ?? "", "513")
  }
  assert.include(Address.keyIssue("") ?? "", "empty")
  assert.include(Address.keyIssue("a\ud800") ?? "", "well-formed")
})

it.effect.prop(
  "idOf differs for different addresses",
  [anyText, anyText, anyText, anyText],
  ([a, b, c, d]) =>
    Effect.sync(() => {
      const pairs: ReadonlyArray<readonly [string, string]> = [[a, b], [c, d], [`${a}/${b}`, c], [a, `${b}/${c}`], [
        a + b,
        c
      ], [a, b + c]]
      for (const [one, first] of pairs) {
        for (const [two, second] of pairs) {
          assert.strictEqual(
            Address.idOf({ contract: one, key: first }) === Address.idOf({ contract: two, key: second }),
            one === two && first === second
          )
        }
      }
    })
)

it("an address is made of texts that are not empty, and reads well", () => {
  const address = Address.make("ChatRoom", "lobby")
  assert.strictEqual(String(address), "ChatRoom/lobby")
  assert.deepStrictEqual(address, Address.make("ChatRoom", "lobby"))
  assert.throws(() => Address.make("", "lobby"))
  assert.throws(() => Address.make("ChatRoom", ""))
})

it.effect.prop(
  "sizes are those of the encoded text",
  [anyText, fc.nat({ max: 100 })],
  ([text, max]) =>
    Effect.sync(() => {
      const bytes = Buffer.byteLength(text, "utf8")
      assert.strictEqual(Bytes.of(text), bytes)
      assert.strictEqual(Bytes.exceed(text, max), bytes > max)
      assert.strictEqual(Bytes.exceed(text, bytes), false)
      if (bytes > 0) assert.strictEqual(Bytes.exceed(text, bytes - 1), true)
    })
)
