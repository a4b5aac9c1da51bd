/** Runs actors: wakes them at their first use, keeps at most one activation for each address, and lets them sleep. */
import { ActorHost } from "@troupe/contract/ActorHost"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ActorStore } from "./ActorStore.ts"
import type { Connections } from "./Connections.ts"
import type { Options } from "./HostOptions.ts"
import { Host } from "./internal/Host.ts"
import { limits } from "./internal/Limits.ts"

export { defaults, type Options } from "./HostOptions.ts"
export { ActorHost }

/** A host over a store. Implementations register with it; gateways open connections through it. */
export const layer = (options: Options = {}): Layer.Layer<ActorHost | Connections, never, ActorStore> =>
  Layer.scopedContext(Effect.map(Host.make(limits(options)), (host) => host.context))
