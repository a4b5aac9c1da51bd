import { LocalTransport } from "@troupe/server"
import { MemoryTransport, TransportSuite } from "@troupe/testing"
import { Effect, Layer } from "effect"

const { actors } = TransportSuite

TransportSuite.run("in memory", {
  transport: MemoryTransport.layerServer({ actors }).pipe(Layer.provideMerge(MemoryTransport.layer)),
  cut: Effect.flatMap(MemoryTransport.MemoryNetwork, ({ cut }) => cut)
})

TransportSuite.run("inside one process", { transport: LocalTransport.layer({ actors }) })
