/** Where a proxy listens. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { Options } from "./Faults.ts"
import type { Proxy } from "./Proxy.ts"

const close = (server: Net.Server, proxy: Proxy) =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
    proxy.end()
  })

/** Listens until the scope closes, and returns the port. */
export const listen = (
  proxy: Proxy,
  { host = "127.0.0.1", port = 0 }: Options
): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Net.Server>((resume) => {
      const server = Net.createServer({ noDelay: true, allowHalfOpen: true }, proxy.accept)
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(port, host, () => resume(Effect.succeed(server)))
    }),
    (server) => close(server, proxy)
  ).pipe(Effect.map((server) => (server.address() as Net.AddressInfo).port))
