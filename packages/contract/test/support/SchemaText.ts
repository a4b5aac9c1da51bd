/** A schema as text: what it looks like on the wire, with every bound that is checked there. */
import * as Option from "effect/Option"
import * as AST from "effect/SchemaAST"

/** Schemas that are written elsewhere, and are referred to by their name. */
export type Names = ReadonlyMap<AST.AST, string>

const property = (names: Names) => ({ name, isOptional, type }: AST.PropertySignature): string =>
  `${String(name)}${isOptional ? "?" : ""}: ${render(withoutUndefined(type, isOptional), names)}`

/** An optional field is one that may be absent; JSON has no `undefined` for it. */
const withoutUndefined = (ast: AST.AST, isOptional: boolean): AST.AST =>
  isOptional && AST.isUnion(ast) ? AST.Union.make(ast.types.filter((type) => !AST.isUndefinedKeyword(type))) : ast

const titleOf = (ast: AST.Refinement): string =>
  Option.getOrThrowWith(AST.getTitleAnnotation(ast), () => new TypeError(`a check of ${ast.from} has no title`))

/** What is on the wire, under any number of transformations. */
const wireOf = (ast: AST.AST): AST.AST => AST.isTransformation(ast) ? wireOf(ast.from) : ast

const tuple = ({ elements, rest }: AST.TupleType, names: Names): string => {
  const first = elements.map(({ isOptional, type }) => `${render(type, names)}${isOptional ? "?" : ""}`)
  return rest.length === 0 ? `[${first.join(", ")}]` : `Array<${render(rest[0]!.type, names)}>`
}

/** The text of a schema. A shape this protocol has no use for is an error, so that nothing is left out in silence. */
export const render = (ast: AST.AST, names: Names): string => {
  const name = names.get(ast)
  if (name !== undefined) return name
  switch (ast._tag) {
    case "Refinement":
      return `${render(ast.from, names)} & ${titleOf(ast)}`
    case "Transformation":
      return `${render(wireOf(ast), names)} of (${render(ast.to, names)})`
    case "TypeLiteral":
      if (ast.indexSignatures.length > 0) break
      return ast.propertySignatures.length === 0
        ? "{}"
        : `{ ${ast.propertySignatures.map(property(names)).join(", ")} }`
    case "Union":
      return ast.types.map((type) => render(type, names)).join(" | ")
    case "TupleType":
      return tuple(ast, names)
    case "Literal":
      return JSON.stringify(ast.literal)
    case "StringKeyword":
    case "NumberKeyword":
    case "BooleanKeyword":
    case "UnknownKeyword":
    case "ObjectKeyword":
      return ast.toString()
  }
  throw new TypeError(`no text for ${ast._tag}: ${ast}`)
}
