import { LocalTransport } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import * as TransportSuite from "@troupe/testing/TransportSuite"
import { Effect, Layer } from "effect"

const { actors } = TransportSuite

TransportSuite.register("in memory", {
  transport: MemoryTransport.layerServer({ actors }).pipe(Layer.provideMerge(MemoryTransport.layer)),
  cut: Effect.flatMap(MemoryTransport.MemoryNetwork, ({ cut }) => cut)
})

TransportSuite.register("inside one process", { transport: LocalTransport.layer({ actors }) })
