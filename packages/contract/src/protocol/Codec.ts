/**
 * The schemas of a contract, compiled once. Both sides use the same: what one encodes the other decodes. All values here
 * are in their encoded form ready for `JSON.stringify`, or as it comes out of `JSON.parse`.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as RpcSchema from "@effect/rpc/RpcSchema"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Any, AnySchema, Definition } from "../Definition.ts"
import * as Forked from "../Forked.ts"
import * as Latest from "../Latest.ts"
import { ServerDefect } from "../ServerDefect.ts"
import * as Faithful from "./Faithful.ts"
import { nameLengthMax } from "./ShortFrame.ts"

type Result<A> = Either.Either<A, ParseResult.ParseIssue>

/** Both directions of one schema. `what` names the actor and the field in defects. */
export interface Codec {
  readonly encode: (value: unknown) => Result<unknown>
  readonly decode: (value: unknown) => Result<unknown>
  readonly what: string
}

/** An rpc of a contract: its declaration, and its codecs. */
export interface RpcCodec {
  readonly rpc: Rpc.AnyWithProps
  readonly payload: Codec
  /** An `Exit`: success, the rpc's typed error, or a `ServerDefect`. That of a stream has no value. */
  readonly exit: Codec
  /** One value of the stream, if it is a stream rpc. */
  readonly element: Codec | undefined
  /** Whether its handler runs beside the turns. */
  readonly forked: boolean
}

/** An event of a contract. */
export interface EventCodec extends Codec {
  /** Whether it matters only while it is fresh. */
  readonly latest: boolean
}

/** All codecs of a contract. */
export interface ContractCodec {
  readonly params: Codec
  readonly connectError: Codec
  readonly rpcs: ReadonlyMap<string, RpcCodec>
  readonly internal: ReadonlyMap<string, RpcCodec>
  readonly events: ReadonlyMap<string, EventCodec>
}

const isAsync = (issue: ParseResult.ParseIssue): boolean => {
  switch (issue._tag) {
    case "Forbidden":
      return true
    case "Pointer":
    case "Refinement":
    case "Transformation":
      return isAsync(issue.issue)
    case "Composite":
      return (Predicate.isIterable(issue.issues)
        ? Array.from(issue.issues as Iterable<ParseResult.ParseIssue>)
        : [issue.issues])
        .some(isAsync)
    default:
      return false
  }
}

/** Decodes what comes from elsewhere: a schema that throws has refused it. */
export const decoder = <A, I>(
  schema: Schema.Schema<A, I>
): (value: unknown) => Either.Either<A, ParseResult.ParseIssue> => {
  const decode = ParseResult.decodeUnknownEither(schema)
  return (value) => {
    try {
      return decode(value)
    } catch (error) {
      return Either.left(new ParseResult.Type(schema.ast, value, `its schema threw: ${String(error)}`))
    }
  }
}

/**
 * Compiles a schema. One that is not synchronous refuses what it decodes, and throws when it encodes; so does one that encodes
 * a value to more than JSON has, if it would not read it again. All name `what`.
 */
export const make = (schema: AnySchema, what: string, place: Faithful.Place = "key"): Codec => {
  const issue = `the schema of ${what} is not synchronous: actors need schemas that are`
  const checked =
    (run: (value: unknown) => Result<unknown>, refuse: (value: unknown) => Result<unknown>) =>
    (value: unknown): Result<unknown> => {
      const result = run(value)
      return Either.isLeft(result) && isAsync(result.left) ? refuse(value) : result
    }
  const encode = checked(ParseResult.encodeUnknownEither(schema), () => {
    throw new TypeError(issue)
  })
  // what comes from elsewhere is decoded in callbacks: nobody is there to catch anything
  const decode = checked(decoder(schema), (value) => Either.left(new ParseResult.Forbidden(schema.ast, value, issue)))
  if (!Faithful.isUnsure(schema.ast, place)) return { what, encode, decode }
  const encodeFaithfully = (value: unknown) => {
    const encoded = encode(value)
    if (Either.isLeft(encoded)) return encoded
    const again = decode(Faithful.reread(encoded.right, place))
    if (Either.isRight(again)) return encoded
    throw new TypeError(
      `${what} could not be read again, since its schema encodes to more than JSON has: ${describeSafely(again.left)}`
    )
  }
  return { what, encode: encodeFaithfully, decode }
}

/** The encoded form of a value of this server: that it does not encode is a defect. */
export const encodeOrThrow = (codec: Codec, value: unknown): unknown => {
  const encoded = codec.encode(value)
  if (Either.isRight(encoded)) return encoded.right
  throw new TypeError(`${codec.what} does not encode: ${describeSafely(encoded.left)}`)
}

const exitSchema = (rpc: Rpc.AnyWithProps, stream: StreamSchemas | undefined): AnySchema =>
  Schema.Exit({
    success: stream ? Schema.Void : rpc.successSchema as AnySchema,
    failure: (stream ? Schema.Union(stream.failure, rpc.errorSchema) : rpc.errorSchema) as AnySchema,
    defect: ServerDefect
  }) as AnySchema

const isSuccess = (value: unknown): value is { readonly value?: unknown } => Predicate.isTagged(value, "Success")

/**
 * An `Exit`. A success, in either form, needs only the schema of its value; of one that does not fit, as of all else, the
 * schema of the whole says what there is to say.
 */
const exitCodec = (rpc: Rpc.AnyWithProps, stream: StreamSchemas | undefined, what: string): Codec => {
  const whole = make(exitSchema(rpc, stream), what)
  if (stream) return whole
  const success = make(rpc.successSchema as AnySchema, what)
  return {
    what,
    encode: (exit) => {
      if (!Exit.isExit(exit) || Exit.isFailure(exit)) return whole.encode(exit)
      const value = success.encode(exit.value)
      return Either.isRight(value) ? Either.right({ _tag: "Success", value: value.right }) : whole.encode(exit)
    },
    decode: (exit) => {
      if (!isSuccess(exit)) return whole.decode(exit)
      const value = success.decode(exit.value)
      return Either.isRight(value) ? Either.right(Exit.succeed(value.right)) : whole.decode(exit)
    }
  }
}

type StreamSchemas = Option.Option.Value<ReturnType<typeof RpcSchema.getStreamSchemas>>

const rpcCodecs = (name: string, group: Definition["internal"], internal = false): ReadonlyMap<string, RpcCodec> => {
  const codecs = new Map<string, RpcCodec>()
  for (const rpc of (group?.requests.values() ?? []) as Iterable<Rpc.AnyWithProps>) {
    const what = `${name}.${rpc._tag}`
    const stream = Option.getOrUndefined(RpcSchema.getStreamSchemas(rpc.successSchema.ast))
    if (stream && internal) throw new TypeError(`${what} is a stream rpc: between actors calls return one value`)
    if (rpc.middlewares.size > 0) {
      throw new TypeError(`${what} has a middleware, which nobody would run: onBeforeConnect says who may call`)
    }
    codecs.set(rpc._tag, {
      rpc,
      payload: make(rpc.payloadSchema as unknown as AnySchema, `the payload of ${what}`),
      exit: exitCodec(rpc, stream, `the reply of ${what}`),
      element: stream && make(stream.success as AnySchema, `a value of ${what}`, "alone"),
      forked: Forked.of(rpc)
    })
  }
  return codecs
}

/** A frame with a longer one would not be read, and cost the link. */
const checkName = (what: string, name: string): void => {
  if (name.length > nameLengthMax) throw new TypeError(`the name of ${what} is longer than ${nameLengthMax}: ${name}`)
}

const checkNames = ({ contract, definition }: Any): void => {
  checkName("a contract", contract)
  for (const group of [definition.rpcs, definition.internal]) {
    for (const tag of group?.requests.keys() ?? []) checkName("an rpc", tag)
  }
  for (const event of Object.keys(definition.events ?? {})) checkName("an event", event)
}

const compile = ({ contract, definition }: Any): ContractCodec => ({
  params: make(definition.params ?? Schema.Void, `the params of ${contract}`),
  connectError: make(
    // a schema of nothing is one of anything, but for the variance of its annotations
    definition.connectError ?? (Schema.Never as unknown as AnySchema),
    `the connectError of ${contract}`
  ),
  rpcs: rpcCodecs(contract, definition.rpcs),
  internal: rpcCodecs(contract, definition.internal, true),
  events: new Map(
    Object.entries(definition.events ?? {}).map(([name, schema]) => [
      name,
      { ...make(schema, `the event ${name} of ${contract}`), latest: Latest.of(schema) }
    ])
  )
})

const compiled = new WeakMap<Any, ContractCodec>()

/** The codecs of a contract, compiled at the first call. */
export const ofContract = (contract: Any): ContractCodec => {
  const known = compiled.get(contract)
  if (known) return known
  checkNames(contract)
  const made = compile(contract)
  compiled.set(contract, made)
  return made
}

/** As much of a description as is sent: what it quotes can be as long as a message. */
const descriptionMax = 2000

/** A parse issue with values, for the client that sent them. */
export const describe = (issue: ParseResult.ParseIssue): string => {
  const text = format(() => ParseResult.TreeFormatter.formatIssueSync(issue))
  return text.length > descriptionMax ? `${text.slice(0, descriptionMax)}…` : text
}

/** To write down a value that is nested very deeply overflows the stack. */
const format = (run: () => string): string => {
  try {
    return run()
  } catch {
    return "the value is none that can be described"
  }
}

const nameOf = (tag: ParseResult.ArrayFormatterIssue["_tag"]): string =>
  tag === "Forbidden" ? "Forbidden, as is a schema that is not synchronous" : tag

/** A parse issue without values, for logs: the path and what was expected there. */
export const describeSafely = (issue: ParseResult.ParseIssue): string =>
  format(() =>
    ParseResult.ArrayFormatter.formatIssueSync(issue)
      .map(({ _tag, path }) => `${path.length === 0 ? "value" : path.map(String).join(".")}: ${nameOf(_tag)}`)
      .join(", ")
  )
