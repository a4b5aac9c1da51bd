/** What a server writes past `ws` is what `ws` would have written, in the same order. */
import { assert, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"
import { socketOptions } from "../src/internal/socketOptions.ts"
import * as TextFrame from "../src/internal/TextFrame.ts"
import { until } from "./utils/until.ts"

/** The two ends of a socket, and all that has come to the client's. */
const pair = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocketServer({ ...socketOptions, port: 0, host: "127.0.0.1" })),
    (server) => Effect.promise(() => new Promise((resolve) => server.close(resolve)))
  )
  const accepted = new Promise<WebSocket>((resolve) => server.once("connection", resolve))
  yield* Effect.promise(() =>
    new Promise((resolve) => server.address() ? resolve(0) : server.once("listening", resolve))
  )
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    (client) => Effect.sync(() => client.terminate())
  )
  const heard: Array<string> = []
  client.on("message", (data: Buffer, isBinary) => heard.push(isBinary ? "binary" : data.toString("utf8")))
  client.on("pong", () => heard.push("pong"))
  client.on("ping", (data: Buffer) => heard.push(`ping ${data.toString()}`))
  const open = new Promise((resolve) => client.once("open", resolve))
  const socket = yield* Effect.promise(() => accepted)
  yield* Effect.promise(() => open)
  return { heard, socket }
})

/** Lengths at which the header of a frame changes. */
const edges = [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 257, 65_534, 65_535, 65_536, 65_537, 200_000]

it.scopedLive("texts of every length of header arrive as they are, between those that ws writes itself", () =>
  Effect.gen(function*() {
    const { heard, socket } = yield* pair
    const sent: Array<string> = []
    for (const [i, length] of edges.entries()) {
      for (const end of ["", "é", "\u{1f60a}", "\u007f", "\u0080"]) {
        const text = "x".repeat(Math.max(0, length - end.length)) + end
        sent.push(text)
        TextFrame.send(socket, text)
      }
      sent.push(`ping ${i}`)
      socket.ping(`${i}`)
    }
    yield* until(() => heard.length >= sent.length, "all has arrived")
    assert.deepStrictEqual(heard.map((text) => text.length), sent.map((text) => text.length))
    assert.isTrue(heard.every((text, i) => text === sent[i]))
  }))

it.scopedLive("any texts arrive, in order", () =>
  Effect.gen(function*() {
    const { heard, socket } = yield* pair
    const text = fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: "grapheme", maxLength: 300 }), fc.json())
    const sent = fc.sample(text, 2000)
    for (const one of sent) TextFrame.send(socket, one)
    yield* until(() => heard.length >= sent.length, "all has arrived")
    assert.deepStrictEqual(heard, sent)
    assert.strictEqual(socket.bufferedAmount, 0)
  }))

it.scopedLive("what a client does not read counts as buffered", () =>
  Effect.gen(function*() {
    const { socket } = yield* pair
    const stream =
      (socket as unknown as { readonly _socket: { readonly cork: () => void; readonly uncork: () => void } })
        ._socket
    stream.cork()
    TextFrame.send(socket, "x".repeat(1000))
    assert.strictEqual(socket.bufferedAmount, 1004)
    stream.uncork()
    yield* until(() => socket.bufferedAmount === 0, "it has left")
  }))
