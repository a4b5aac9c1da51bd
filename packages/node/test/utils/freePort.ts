/** A port for a program that is told where to listen. */
import { Effect } from "effect"
import * as Net from "node:net"

/** A port of 127.0.0.1 on which nobody listens. */
export const freePort = Effect.async<number>((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})
