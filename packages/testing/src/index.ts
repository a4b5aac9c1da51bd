/** Tools to test actors and clients. The laws of stores and transports need vitest, and are modules of their own. */
export * as MemoryTransport from "./MemoryTransport.ts"
export * as RawClient from "./RawClient.ts"
export * as Simulation from "./Simulation.ts"
export * as TestClient from "./TestClient.ts"
export * as TestHost from "./TestHost.ts"
export * as TestKit from "./TestKit.ts"
export * as TestStore from "./TestStore.ts"
export * as TestTime from "./TestTime.ts"
