import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import { assert, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as MsgPack from "../src/internal/MsgPack.ts"

/** What a client of @effect/rpc may send: values of JSON, and `undefined` where a field is absent. */
const value = fc.jsonValue({ maxDepth: 5 }).chain((json) =>
  fc.constantFrom(json, undefined, { json, none: undefined }, [json, json], "é".repeat(40), "x".repeat(70_000), [
    ...Array(70_000).keys()
  ])
)

const pack = (values: ReadonlyArray<unknown>) => {
  const parser = RpcSerialization.msgPack.unsafeMake()
  return Buffer.concat(values.map((value) => parser.encode(value) as Uint8Array))
}

it.prop("takes whatever a client packs, and nothing that was cut off", [
  fc.array(value, { minLength: 1, maxLength: 5 })
], ([
  values
]) => {
  const body = pack(values)
  MsgPack.check(body)
  assert.deepStrictEqual(
    RpcSerialization.msgPack.unsafeMake().decode(body),
    RpcSerialization.msgPack.unsafeMake().decode(body)
  )
})

it("refuses an array, and a map, that says it is longer than the body", () => {
  for (const first of [0xdd, 0xdf]) {
    assert.throws(() => MsgPack.check(new Uint8Array([first, 0, 0, 0, 6])))
    // each of these would fit, but not all of them
    assert.throws(() => MsgPack.check(new Uint8Array(Array.from({ length: 4 }, () => [first, 0, 0, 0, 8]).flat())))
  }
  MsgPack.check(new Uint8Array([0xdd, 0, 0, 0, 2, 1, 2]))
})
