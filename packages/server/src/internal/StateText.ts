/** States as texts. What is stored has to be read again: a schema may encode to what JSON does not give back. */
import type { AnySchema } from "@troupe/contract/Definition"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Json from "@troupe/contract/protocol/Json"
import * as Either from "effect/Either"
import type * as AST from "effect/SchemaAST"

/**
 * Whether the encoded form may be more than JSON: a `Date` or another object of a class, or an `undefined` that does not
 * stand for a missing key. It is looked for here: `Schema.encodedSchema` of a schema that is recursive has no end.
 */
const isUnsure = (ast: AST.AST, visited: Set<AST.AST>): boolean => {
  if (visited.has(ast)) return false
  visited.add(ast)
  const isUnsureIn = (parts: ReadonlyArray<AST.AST>) => parts.some((part) => isUnsure(part, visited))
  switch (ast._tag) {
    case "Declaration":
    case "BigIntKeyword":
    case "SymbolKeyword":
    case "UniqueSymbol":
    case "UndefinedKeyword":
    case "VoidKeyword":
      return true
    case "Suspend":
      return isUnsure(ast.f(), visited)
    case "Refinement":
    case "Transformation":
      return isUnsure(ast.from, visited)
    case "Union":
      return isUnsureIn(ast.types)
    case "TupleType":
      return isUnsureIn([...ast.elements, ...ast.rest].map(({ type }) => type))
    case "TypeLiteral":
      return isUnsureIn([...ast.propertySignatures, ...ast.indexSignatures].flatMap(({ type }) => present(type)))
    default:
      return false
  }
}

/** What the value of a key can be if the key is there. */
const present = (ast: AST.AST): ReadonlyArray<AST.AST> => {
  if (ast._tag === "Union") return ast.types.flatMap(present)
  return ast._tag === "UndefinedKeyword" || ast._tag === "VoidKeyword" ? [] : [ast]
}

/** Makes what encodes a state. It throws if the state does not encode, could not be read again, or is too large. */
export const make = (schema: AnySchema, codec: Codec.Codec, stateBytesMax: number): (state: unknown) => string => {
  const unsure = isUnsure(schema.ast, new Set())
  return (state) => {
    const encoded = codec.encode(state)
    if (Either.isLeft(encoded)) throw new Error(`${codec.what} does not encode: ${Codec.describeSafely(encoded.left)}`)
    const text = Json.encode(encoded.right, codec.what)
    if (Bytes.exceed(text, stateBytesMax))
      throw new Error(`${codec.what} is larger than stateBytesMax, ${stateBytesMax}`)
    const again = unsure ? codec.decode(JSON.parse(text)) : encoded
    if (Either.isRight(again)) return text
    throw new Error(
      `${codec.what} could not be read again, since its schema encodes to more than JSON has: ${
        Codec.describeSafely(again.left)
      }`
    )
  }
}
