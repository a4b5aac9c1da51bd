/**
 * A client that says what it is told to, frame by frame, and keeps what it hears: for who writes a client of their own,
 * and for what no client of ours would say. `docs/protocol.md` describes the frames.
 */
import * as Frame from "@troupe/contract/protocol/Frame"
import { type DialError, Transport } from "@troupe/contract/Transport"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { settle } from "./TestTime.ts"

/** A frame as it may be on the wire, in its long form. */
export interface Json {
  readonly [field: string]: unknown
}

const encode = Schema.encodeSync(Frame.ServerFrame)

/** The frames of a server's message, in their long form. */
export const framesOf = (text: string): ReadonlyArray<Json> => {
  const wire = JSON.parse(text) as ReadonlyArray<Json>
  const frames = Frame.decodeServer(text) ?? []
  return frames.map((frame, i) => Either.isRight(frame) ? encode(frame.right) : wire[i]!)
}

/** A link, and what has come over it. */
export interface RawClient {
  /** All frames of the server, in order. After its last one stands `{ _tag: "LinkClosed", code, reason }`. It grows. */
  readonly heard: ReadonlyArray<Json>
  /** Sends frames, long or short, in one message, and returns what came back without time passing. */
  readonly say: (...frames: ReadonlyArray<Json | ReadonlyArray<unknown>>) => Effect.Effect<ReadonlyArray<Json>>
  /** The same, with a text that need not be one of frames. */
  readonly sayText: (text: string) => Effect.Effect<ReadonlyArray<Json>>
  /** The frames of the server with this tag so far, decoded. A defect if one does not decode. */
  readonly of: <Tag extends Frame.ServerFrame["_tag"]>(
    tag: Tag
  ) => ReadonlyArray<Extract<Frame.ServerFrame, { readonly _tag: Tag }>>
  /** Closes the link, as the end of the scope does. */
  readonly close: Effect.Effect<void>
}

/** Opens a link. */
export const make: Effect.Effect<RawClient, DialError, Transport | Scope.Scope> = Effect.gen(function*() {
  const { dial } = yield* Transport
  const heard: Array<Json> = []
  const scope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
  const link = yield* Scope.extend(
    dial({
      onMessage: (text) => heard.push(...framesOf(text)),
      onClose: ({ code, reason }) => heard.push({ _tag: "LinkClosed", code, reason })
    }),
    scope
  )
  const sayText = (text: string) =>
    Effect.suspend(() => {
      const before = heard.length
      link.send(text)
      return Effect.map(settle, () => heard.slice(before))
    })
  const decoded = (frame: Json) => Frame.decodeServer(JSON.stringify([frame]))!.map(Either.getOrThrow)
  return {
    heard,
    sayText,
    say: (...frames) => sayText(JSON.stringify(frames)),
    of: (tag) => heard.flatMap((frame) => frame._tag === tag ? decoded(frame) : []).filter(isA(tag)),
    close: Effect.zipRight(Scope.close(scope, Exit.void), settle)
  }
})

const isA =
  <Tag extends Frame.ServerFrame["_tag"]>(tag: Tag) =>
  (frame: Frame.ServerFrame): frame is Extract<Frame.ServerFrame, { readonly _tag: Tag }> => frame._tag === tag

/** What every link begins with. */
export const hello: Json = { _tag: "Hello", version: Frame.version }

/** What `open` can be told. */
export interface OpenOptions {
  readonly params?: unknown
  /** Default: 1. */
  readonly channel?: number
  /** 32 characters that name the session. Default: always the same ones. */
  readonly session?: string
  /** Events to subscribe to. Default: none. */
  readonly events?: ReadonlyArray<string>
  /** The how manieth connection of the session it is. Default: one more than that of the last one that was asked for. */
  readonly opening?: number
  /** All calls with a smaller number have their answers. Default: 1. */
  readonly settledBelow?: number
  /** No call from this number on has been sent yet. Default: all may have been, and those not in `pending` are given up. */
  readonly sentBelow?: number
  /** The calls that have no answer yet. Default: none. */
  readonly pending?: ReadonlyArray<number>
}

let openings = 0

/** Opens a connection on a channel. */
export const open = (actor: { readonly contract: string }, key: string, options: OpenOptions = {}): Json => ({
  _tag: "Open",
  channel: 1,
  session: "0123456789abcdef0123456789abcdef",
  contract: actor.contract,
  key,
  events: [],
  opening: ++openings,
  settledBelow: 1,
  sentBelow: Number.MAX_SAFE_INTEGER,
  pending: [],
  ...options
})

/** What `request` can be told. */
export interface RequestOptions {
  /** Default: 1. */
  readonly channel?: number
  /** The number of the call, which stays the same when it is sent again on a later connection. Default: `seq`. */
  readonly call?: number
}

/** A call, as message `seq` of its connection. */
export const request = (
  seq: number,
  tag: string,
  payload?: unknown,
  { call = seq, channel = 1 }: RequestOptions = {}
): Json => ({ _tag: "Message", channel, seq, payload: { _tag: "Request", id: String(call), tag, payload } })
