/** A client that says whatever a test wants it to say, over a socket of its own. */
import * as Frame from "@troupe/contract/protocol/Frame"
import { Effect, Either } from "effect"
import { WebSocket } from "ws"
import { until } from "./until.ts"

type FrameOf<Tag extends Frame.ServerFrame["_tag"]> = Extract<Frame.ServerFrame, { readonly _tag: Tag }>

/** A link to a server on a port, which has been greeted. */
export const dial = (port: number) =>
  Effect.gen(function*() {
    const frames: Array<Frame.ServerFrame> = []
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(`ws://127.0.0.1:${port}/actors`)),
      (socket) => Effect.sync(() => socket.terminate())
    )
    socket.on("error", () => {})
    socket.on("message", (data: Buffer) => {
      for (const frame of Frame.decodeServer(data.toString()) ?? []) frames.push(Either.getOrThrow(frame))
    })
    yield* until(() => socket.readyState === WebSocket.OPEN, "a link stands")
    const say = (...texts: ReadonlyArray<string>) => Effect.sync(() => socket.send(Frame.join(texts)))
    /** The frames with this tag that have been heard. */
    const of = <Tag extends Frame.ServerFrame["_tag"]>(tag: Tag) =>
      frames.filter((frame): frame is FrameOf<Tag> => frame._tag === tag)
    yield* say(Frame.encode({ _tag: "Hello", version: Frame.version }))
    return {
      of,
      say,
      /** Waits until a frame with this tag has been heard. */
      heard: (tag: Frame.ServerFrame["_tag"]) => until(() => of(tag).length > 0, `${tag} is heard`),
      /** Waits for the answer of a message, which shows that all before it has been taken. */
      pong: Effect.suspend(() => {
        const before = of("Pong").length
        return Effect.zipRight(
          say(Frame.encode({ _tag: "Ping" })),
          until(() => of("Pong").length > before, "a Pong is heard")
        )
      }),
      /** The answers that have been heard: the number of the call, and the value. */
      answers: () =>
        of("Message").flatMap(({ payload }) =>
          payload._tag === "Exit" ? [[payload.requestId, (payload.exit as { readonly value: unknown }).value]] : []
        )
    }
  })
