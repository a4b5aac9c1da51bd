/** A port for a program that is told where to listen. */
import { Effect, Random } from "effect"
import * as Net from "node:net"

/**
 * A port of 127.0.0.1 on which nobody listens. It is none of those that the system gives to outgoing connections: one of
 * them could have it when the program wants it, and one that dials it while nobody listens could be connected to itself.
 */
export const freePort: Effect.Effect<number> = Effect.flatMap(
  Random.nextIntBetween(10_000, 30_000),
  (port) =>
    Effect.async<number>((resume) => {
      const server = Net.createServer()
      server.on("error", () => resume(freePort))
      server.listen(port, "127.0.0.1", () => void server.close(() => resume(Effect.succeed(port))))
    })
)
