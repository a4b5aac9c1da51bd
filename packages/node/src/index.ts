/** Troupe on Node: the socket server, and the transport of Node clients. */
export * as NodeActors from "./NodeActors.ts"
export * as NodeWebSocketTransport from "./NodeWebSocketTransport.ts"
export * as SqliteStore from "./SqliteStore.ts"
