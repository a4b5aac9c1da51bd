/** What JSON gives back of what a schema encodes to: it may be less, and then it would not be read again. */
import type * as AST from "effect/SchemaAST"

/**
 * Where a value stands in a text: for a key, which is missing if the value is `undefined`, or by itself, where an `undefined`
 * becomes `null`.
 */
export type Place = "key" | "alone"

/**
 * Whether the encoded form may be more than JSON: a `Date` or another object of a class, or an `undefined` that does not
 * stand for a missing key. It is looked for here: `Schema.encodedSchema` of a schema that is recursive has no end.
 */
export const isUnsure = (ast: AST.AST, place: Place): boolean => {
  const visited = new Set<AST.AST>()
  return place === "key" ? present(ast).some((part) => find(part, visited)) : find(ast, visited)
}

const find = (ast: AST.AST, visited: Set<AST.AST>): boolean => {
  if (visited.has(ast)) return false
  visited.add(ast)
  const findIn = (parts: ReadonlyArray<AST.AST>) => parts.some((part) => find(part, visited))
  switch (ast._tag) {
    case "Declaration":
    case "BigIntKeyword":
    case "SymbolKeyword":
    case "UniqueSymbol":
    case "UndefinedKeyword":
    case "VoidKeyword":
      return true
    case "Suspend":
      return find(ast.f(), visited)
    case "Refinement":
    case "Transformation":
      return find(ast.from, visited)
    case "Union":
      return findIn(ast.types)
    case "TupleType":
      return findIn([...ast.elements, ...ast.rest].map(({ type }) => type))
    case "TypeLiteral":
      return findIn([...ast.propertySignatures, ...ast.indexSignatures].flatMap(({ type }) => present(type)))
    default:
      return false
  }
}

/** What the value of a key can be if the key is there. */
const present = (ast: AST.AST): ReadonlyArray<AST.AST> => {
  if (ast._tag === "Union") return ast.types.flatMap(present)
  return ast._tag === "UndefinedKeyword" || ast._tag === "VoidKeyword" ? [] : [ast]
}

/** What is read of an encoded value that was written. */
export const reread = (encoded: unknown, place: Place): unknown =>
  encoded !== undefined ? JSON.parse(JSON.stringify(encoded) ?? "null") : place === "key" ? undefined : null
