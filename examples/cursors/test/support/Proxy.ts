/** A TCP proxy that can go down, to stand for a network that does. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"

export interface Proxy {
  readonly port: number
  /** Cuts every connection, and refuses new ones until `restore`. */
  readonly cut: () => Promise<void>
  readonly restore: () => Promise<void>
}

export const start = async (targetPort: number): Promise<Proxy> => {
  const sockets = new Set<Socket>()
  const track = (socket: Socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket)).on("error", () => socket.destroy())
  }
  const server: Server = createServer((socket) => {
    const target = connect(targetPort, "127.0.0.1")
    track(socket)
    track(target)
    socket.on("close", () => target.destroy())
    target.on("close", () => socket.destroy())
    socket.pipe(target).pipe(socket)
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    port,
    cut: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
    restore: () => listen(port)
  }
}
