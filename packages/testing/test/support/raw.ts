/** A client that says whatever a test wants it to say, and a listener on the network. */
import { Frame, Transport } from "@troupe/contract"
import { MemoryTransport } from "@troupe/testing"
import { Effect } from "effect"
import { settle } from "./lab.ts"

export type Json = { readonly [field: string]: unknown }

/** A link of its own. `say` sends frames as one message and returns what the server answered. */
export const rawLink = Effect.gen(function*() {
  const transport = yield* Transport.Transport
  const heard: Array<Json> = []
  const link = yield* transport.dial({
    onMessage: (text) => heard.push(...JSON.parse(text) as Array<Json>),
    onClose: () => heard.push({ _tag: "LinkClosed" })
  })
  const sayText = (text: string) =>
    Effect.gen(function*() {
      const before = heard.length
      link.send(text)
      yield* settle
      return heard.slice(before)
    })
  return {
    /** All that the server has said, in order. */
    heard: heard as ReadonlyArray<Json>,
    sayText,
    say: (...frames: ReadonlyArray<Json>) => sayText(JSON.stringify(frames))
  }
})

export const hello: Json = { _tag: "Hello", version: Frame.version }

export const open = (params: unknown, key = "main", pending: ReadonlyArray<number> = []): Json => ({
  _tag: "Open",
  channel: 1,
  session: "0123456789abcdef0123456789abcdef",
  contract: "Lab",
  key,
  params,
  events: [],
  settledBelow: 1,
  pending
})

/** A call as message `seq` of its connection. Its number is another one if it is sent again on a later connection. */
export const request = (seq: number, tag: string, payload?: unknown, number = seq): Json => ({
  _tag: "Message",
  channel: 1,
  seq,
  payload: { _tag: "Request", id: String(number), tag, payload }
})

/** All that travels inside `Message` frames from the server to its clients, from now on, in order. */
export const listen = Effect.gen(function*() {
  const network = yield* MemoryTransport.MemoryNetwork
  const messages: Array<Json> = []
  const texts: Array<string> = []
  yield* network.onMessage(({ from, text }) => {
    if (from === "client") return
    texts.push(text)
    for (const frame of JSON.parse(text) as Array<Json>) {
      if (frame._tag === "Message") messages.push(frame.payload as Json)
    }
  })
  return { messages, texts }
})
