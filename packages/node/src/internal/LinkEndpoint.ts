/** One listened path: upgrades requests to links, made of `ws` sockets. */
import * as Headers from "@effect/platform/Headers"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type * as Link from "@troupe/contract/Link"
import type { LinkOptions } from "@troupe/server/LinkListener"
import type * as Http from "node:http"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"

/** The message was binary: links carry text only (RFC 6455, section 7.4.1). */
const codeUnsupported = 1003

/** How long a peer may take to answer a close frame before its socket is destroyed. */
const closeTimeoutMillis = 2000

const connectRequest = (request: Http.IncomingMessage): ConnectRequest => ({
  headers: Headers.fromInput(request.headers as Headers.Input),
  url: request.url ?? "/",
  remoteAddress: request.socket.remoteAddress
})

/** A `ws` socket as a link. */
const linkOf = (socket: WebSocket): Link.Link => ({
  send: (text) => {
    if (socket.readyState === socket.OPEN) socket.send(text)
  },
  close: (code, reason) => {
    if (socket.readyState !== socket.OPEN) return
    socket.close(code, reason)
    const timer = setTimeout(() => socket.terminate(), closeTimeoutMillis)
    socket.once("close", () => clearTimeout(timer))
  },
  buffered: () => socket.bufferedAmount
})

/** Connects a socket and a handler. */
const attach = (socket: WebSocket, handler: Link.LinkHandler): void => {
  // an oversized or malformed message is an `error`, followed by `close`; without a listener it would end the process
  socket.on("error", () => {})
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    if (isBinary) socket.close(codeUnsupported, "links carry text")
    else handler.onMessage(data.toString("utf8"))
  })
  socket.once("close", (code: number, reason: Buffer) => handler.onClose({ code, reason: reason.toString("utf8") }))
}

export class LinkEndpoint {
  private readonly sockets: WebSocketServer

  constructor(private readonly options: LinkOptions) {
    this.sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.messageBytesMax
    })
  }

  upgrade(request: Http.IncomingMessage, socket: Duplex, head: Buffer): void {
    // until the upgrade is done, a reset of the peer would be an unhandled error
    socket.on("error", () => socket.destroy())
    const described = connectRequest(request)
    if (!this.options.authorize(described)) {
      socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
      return
    }
    this.sockets.handleUpgrade(request, socket, head, (upgraded) => {
      attach(upgraded, this.options.accept(linkOf(upgraded), described))
    })
  }
}
