/** Tools to test actors, clients, stores and transports. */
export * as MemoryTransport from "./MemoryTransport.ts"
export * as TransportSuite from "./TransportSuite.ts"
