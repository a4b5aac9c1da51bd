/** What a raw client says to the lab, and a listener on the network. */
import { MemoryTransport, RawClient } from "@troupe/testing"
import { Effect } from "effect"
import { Lab } from "./lab.ts"

export type Json = RawClient.Json

export const { hello, make: rawLink } = RawClient

export const open = (params: unknown, key = "main", pending: ReadonlyArray<number> = []): Json =>
  RawClient.open(Lab, key, { params, pending })

/** A call as message `seq` of its connection. Its number is another one if it is sent again on a later connection. */
export const request = (seq: number, tag: string, payload?: unknown, call = seq): Json =>
  RawClient.request(seq, tag, payload, { call })

/** All that travels inside `Message` frames from the server to its clients, from now on, in order. */
export const listen = Effect.gen(function*() {
  const network = yield* MemoryTransport.MemoryNetwork
  const messages: Array<Json> = []
  const texts: Array<string> = []
  yield* network.onMessage(({ from, text }) => {
    if (from === "client") return
    texts.push(text)
    for (const frame of RawClient.framesOf(text)) {
      if (frame._tag === "Message") messages.push(frame.payload as Json)
    }
  })
  return { messages, texts }
})
