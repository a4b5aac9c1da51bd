/** The transports without a socket keep to the laws of transports. */
import { Flush, Link, Transport } from "@troupe/contract"
import { LocalTransport } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import * as TransportLaws from "@troupe/testing/TransportLaws"
import { Context, Effect, Layer } from "effect"

const memory = Effect.map(Layer.build(MemoryTransport.layer), (context) => ({
  transport: Context.get(context, Transport.Transport),
  listen: Context.get(context, MemoryTransport.MemoryNetwork).listen
}))

TransportLaws.register("MemoryTransport.layer", {
  make: memory,
  unreachable: Effect.map(memory, ({ transport }) => transport)
})

/** The pair of ends the transport is made of, because its layer has a gateway behind it. */
const local = Effect.map(Flush.Flush, ({ schedule }): TransportLaws.Harness => {
  let accept: Parameters<TransportLaws.Harness["listen"]>[0]
  return {
    listen: (next) => Effect.sync(() => void (accept = next)),
    transport: {
      dial: (handler) =>
        Effect.acquireRelease(
          Effect.sync(() => new LocalTransport.LinkPair(handler, accept, schedule)),
          (pair) => Effect.sync(() => pair.close({ code: Link.codeNormal, reason: "" }))
        ).pipe(Effect.map((pair) => pair.client)),
      onOpportunity: () => Effect.void
    }
  }
})

TransportLaws.register("LocalTransport", { make: local })
