/** A message between a client and a server, as whoever looks on sees it. */
import * as Frame from "@troupe/contract/protocol/Frame"
import * as Arr from "effect/Array"
import type * as Either from "effect/Either"

/** An end of a link. */
export type Side = "client" | "server"

type AnyFrame = Frame.ClientFrame | Frame.ServerFrame

/** What a frame, or a message in one, can be. */
export type Tag = AnyFrame["_tag"] | Frame.ClientMessage["_tag"] | Frame.ServerMessage["_tag"]

/** A message on its way. */
export class Sent {
  private decoded: ReadonlyArray<AnyFrame> | undefined

  constructor(readonly from: Side, readonly text: string) {}

  /** What it is made of, as far as it decodes. */
  get frames(): ReadonlyArray<AnyFrame> {
    const decode: (text: string) => ReadonlyArray<Either.Either<AnyFrame, unknown>> | undefined = this.from === "client"
      ? Frame.decodeClient
      : Frame.decodeServer
    return this.decoded ??= Arr.getRights(decode(this.text) ?? [])
  }

  /** Whether one of its frames has this tag, or one of the messages in them: an `Exit`, say. */
  readonly carries = (tag: Tag): boolean =>
    this.frames.some((frame) => frame._tag === tag || (frame._tag === "Message" && frame.payload._tag === tag))
}
