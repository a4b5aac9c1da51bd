/** Which events matter only while they are fresh, as an annotation on their schema. */
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

export const TypeId: unique symbol = Symbol.for("@troupe/contract/Latest")

export type TypeId = typeof TypeId

/** The schema of an event of which only the latest counts. `Actor.latest(schema)` makes it. */
export interface Latest<A, I> extends Schema.Schema<A, I> {
  readonly [TypeId]: TypeId
}

/** Marks a schema. What is made of it later with `annotations` is still marked; a schema around it is not. */
export const make = <A, I>(schema: Schema.Schema<A, I>): Latest<A, I> =>
  Object.assign(Schema.make<A, I>(AST.annotations(schema.ast, { [TypeId]: true })), { [TypeId]: TypeId } as const)

/** Whether only the latest event of this schema counts. */
export const of = ({ ast }: Schema.Schema.Any): boolean => ast.annotations[TypeId] === true
