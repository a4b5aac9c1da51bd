/** Tools to test actors and clients. The laws of stores and transports need vitest, and are modules of their own. */
export * as MemoryTransport from "./MemoryTransport.ts"
