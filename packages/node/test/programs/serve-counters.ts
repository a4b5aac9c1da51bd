/** Serves the actors of `utils/Counters.ts` on a port and a store file, says so, and waits to be killed. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { layerServer } from "../utils/Counters.ts"

const [, , port, filename] = process.argv

await Effect.runPromise(Effect.scoped(Effect.zipRight(
  Layer.build(layerServer(createServer(), Number(port), { filename: filename! }, { idleTimeout: "100 millis" })),
  Effect.zipRight(Effect.sync(() => console.log("open")), Effect.never)
)))
