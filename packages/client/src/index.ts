/** Live connections to actors, which keep themselves up. Safe for browsers. */
export * as ActorClient from "./ActorClient.ts"
export * as ClientOptions from "./ClientOptions.ts"
export * as Connection from "./Connection.ts"
export * as ConnectionStatus from "./ConnectionStatus.ts"
export * as Metrics from "./Metrics.ts"
export * as Promises from "./Promises.ts"
export * as WebSocketTransport from "./WebSocketTransport.ts"
