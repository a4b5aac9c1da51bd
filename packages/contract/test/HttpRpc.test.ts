import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Actor, Codec, HttpRpc } from "@troupe/contract"
import { Arbitrary, Either, FastCheck as fc, Schema } from "effect"

const Params = Schema.Struct({
  name: Schema.String,
  at: Schema.optionalWith(Schema.Date, { exact: true }),
  tags: Schema.NullOr(Schema.Array(Schema.String))
})

class Door extends Actor.Tag<Door>()("Door", { params: Params }) {}
class Yard extends Actor.Tag<Yard>()("Yard", { rpcs: RpcGroup.make(Rpc.make("Walk")) }) {}
class Gate extends Actor.Tag<Gate>()("Gate", { params: Schema.NullOr(Schema.String) }) {}

class Hill extends Actor.Tag<Hill>()("Hill", { params: Schema.Struct({ height: Schema.NullOr(Schema.Number) }) }) {}

const read = (contract: typeof Door | typeof Yard | typeof Gate, header: string) =>
  Either.getOrThrow(Codec.ofContract(contract).params.decode(HttpRpc.decodeParams(header)))

describe("HttpRpc", () => {
  it.prop("parameters come back from a header in ASCII", [Arbitrary.make(Params)], ([params]) => {
    const header = HttpRpc.encodeParams(Door, params)
    assert.match(header, /^[ -~]*$/)
    assert.deepStrictEqual(read(Door, header), params)
  })

  it("no parameters are an empty header, and null is not none", () => {
    assert.strictEqual(HttpRpc.encodeParams(Yard, undefined), "")
    assert.strictEqual(read(Yard, ""), undefined)
    assert.strictEqual(HttpRpc.encodeParams(Gate, null), "null")
    assert.strictEqual(read(Gate, "null"), null)
  })

  it("parameters that JSON has not are refused, and not other ones sent", () => {
    assert.throws(() => HttpRpc.encodeParams(Hill, { height: NaN }), /params of Hill has a number that JSON has not/)
    assert.strictEqual(HttpRpc.encodeParams(Hill, { height: null }), `{"height":null}`)
  })

  it.prop("a key stands in the path as one piece", [fc.string({ unit: "grapheme", minLength: 1 })], ([key]) => {
    const [, contract, encoded, rpc, ...rest] = HttpRpc.pathOf(Yard, key).split("/")
    assert.deepStrictEqual([contract, decodeURIComponent(encoded!), rpc, rest], ["Yard", key, "rpc", []])
  })

  it("a contract without rpcs has a group without them", () => {
    assert.strictEqual(Door.httpRpcs.requests.size, 0)
    expectTypeOf(Door.httpRpcs).toEqualTypeOf<RpcGroup.RpcGroup<never>>()
    assert.deepStrictEqual(Array.from(Yard.httpRpcs.requests.keys()), ["Walk"])
    assert.strictEqual(Yard.definition.rpcs.requests.get("Walk")!.middlewares.size, 0)
  })
})
