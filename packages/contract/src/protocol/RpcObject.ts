/** Makes the object behind an `RpcClient` type from one function that performs calls. */
import type * as Headers from "@effect/platform/Headers"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import type { RpcCodec } from "./Codec.ts"

/** What may be said beside the payload of a call; the options of `RpcClient`. */
export interface CallOptions {
  readonly headers?: Headers.Input | undefined
  /** Return as soon as the call has been taken, without its answer. */
  readonly discard?: boolean | undefined
  /** Of a stream: give a mailbox instead. */
  readonly asMailbox?: boolean | undefined
  /** How many values the mailbox holds. Default: 16. */
  readonly streamBufferSize?: number | undefined
}

type Stream_ = Stream.Stream<unknown, unknown>

const notYet = { disableValidation: true }

/**
 * The payload of a call, made with the constructor of its schema if it has one, as @effect/rpc does. What does not fit is
 * found when it is encoded.
 */
export const construct = ({ rpc: { payloadSchema } }: RpcCodec, payload: unknown): unknown =>
  payloadSchema.make ? payloadSchema.make(payload, notYet) : payload

/** An object with a method for each rpc. As in @effect/rpc, a tag `a.b` becomes the method `b` of the property `a`. */
export const of = (codecs: ReadonlyMap<string, RpcCodec>, methodOf: (codec: RpcCodec) => unknown): object => {
  const client: Record<string, any> = {}
  for (const codec of codecs.values()) {
    const { _tag: tag } = codec.rpc
    const dot = tag.indexOf(".")
    const target = dot === -1 ? client : client[tag.slice(0, dot)] ??= {}
    target[tag.slice(dot + 1)] = methodOf(codec)
  }
  return client
}

/** The object of an `RpcClient`: payloads are made with the constructor of their schema. */
export const make = (
  codecs: ReadonlyMap<string, RpcCodec>,
  call: (codec: RpcCodec, payload: unknown, options: CallOptions | undefined) => Effect.Effect<unknown, unknown>,
  /** Performs the calls of stream rpcs, if there are any. */
  stream: (codec: RpcCodec, payload: unknown, options: CallOptions | undefined) => Stream_ = () => Stream.empty
): object =>
  of(codecs, (codec) => (payload: unknown, options?: CallOptions) => {
    if (!codec.element) return Effect.suspend(() => call(codec, construct(codec, payload), options))
    const values = Stream.suspend(() => stream(codec, construct(codec, payload), options))
    const capacity = options?.streamBufferSize ?? 16
    return options?.asMailbox ? Mailbox.fromStream(values, { capacity, strategy: "suspend" }) : values
  })
