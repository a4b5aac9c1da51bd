/** One listened path: upgrades requests to links, made of `ws` sockets. */
import * as Headers from "@effect/platform/Headers"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type * as Link from "@troupe/contract/Link"
import * as WebSocketLink from "@troupe/contract/WebSocketLink"
import type { LinkOptions } from "@troupe/server/LinkListener"
import * as Http from "node:http"
import type { Duplex } from "node:stream"
import { WebSocket, WebSocketServer } from "ws"
import { socketOptions } from "./socketOptions.ts"
import * as TextFrame from "./TextFrame.ts"

/** The message was binary: links carry text only (RFC 6455, section 7.4.1). */
const codeUnsupported = 1003

/** The message was longer than allowed. */
const codeTooBig = 1009

/** Our side failed at a message. */
const codeFailed = 1011

/** What the endpoints of a server share. */
export interface EndpointContext {
  /** The sockets of all links. */
  readonly sockets: Set<WebSocket>
  /** Tells somebody about a defect of a handler. */
  readonly report: (cause: unknown) => void
}

const toConnectRequest = (request: Http.IncomingMessage): ConnectRequest => ({
  headers: Headers.fromInput(request.headers as Headers.Input),
  url: request.url ?? "/",
  remoteAddress: request.socket.remoteAddress
})

/** Answers an upgrade with a status, and ends the connection. */
export const refuse = (socket: Duplex, status: number): void => {
  socket.once("finish", () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${Http.STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** What may be sent: others, like 1006, are told to oneself only. */
const isSendable = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)

/** To `ws` 0, less, and NaN are no bound at all. */
const toBound = (messageBytesMax: number): number => messageBytesMax >= 1 ? messageBytesMax : 1

/** `ws` sets the bound of a socket's messages once; a test sees that it can be set later. */
const allow = (socket: WebSocket, messageBytesMax: number): void => {
  const { _receiver: receiver } = socket as unknown as { readonly _receiver: { _maxPayload: number } }
  receiver._maxPayload = toBound(messageBytesMax)
}

/** A `ws` socket as a link. */
class SocketLink implements Link.Link {
  constructor(private readonly socket: WebSocket) {}

  send(text: string): void {
    if (this.socket.readyState === WebSocket.OPEN) TextFrame.send(this.socket, text)
  }

  close(code: number, reason: string): void {
    if (this.socket.readyState !== WebSocket.OPEN) return
    this.socket.close(isSendable(code) ? code : codeFailed, WebSocketLink.toReason(reason))
  }

  buffered(): number {
    return this.socket.bufferedAmount
  }

  allow(messageBytesMax: number): void {
    allow(this.socket, messageBytesMax)
  }

  setReading(reading: boolean): void {
    if (reading) this.socket.resume()
    else this.socket.pause()
  }
}

const ignore = (): void => {}

/** Takes requests to upgrade, one after the other; a link costs no fiber. */
export class LinkEndpoint {
  /** No links are taken any more. */
  closed = false
  private readonly server: WebSocketServer

  constructor(private readonly options: LinkOptions, private readonly context: EndpointContext) {
    this.server = new WebSocketServer({
      ...socketOptions,
      noServer: true,
      clientTracking: false,
      maxPayload: toBound(options.messageBytesMax)
    })
  }

  /** From now on links are refused with the status 503. Those that stand are left alone. */
  close(): void {
    this.closed = true
  }

  upgrade(request: Http.IncomingMessage, socket: Duplex, head: Buffer): void {
    // until ws has the socket, a reset of the peer would be an unhandled error
    socket.on("error", ignore)
    if (this.closed) return refuse(socket, 503)
    const described = toConnectRequest(request)
    const authorized = this.guarded(() => this.options.authorize(described))
    if (authorized !== true) return refuse(socket, authorized === false ? 403 : 500)
    this.server.handleUpgrade(request, socket, head, (upgraded) => {
      socket.off("error", ignore)
      this.accept(upgraded, described)
    })
  }

  private accept(socket: WebSocket, request: ConnectRequest): void {
    const { sockets } = this.context
    sockets.add(socket)
    let tooBig = false
    // an oversized or malformed message is an error, then a close; without a listener it would end the process
    socket.on("error", (error: Error & { readonly code?: string }) => {
      tooBig ||= error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"
    })
    socket.on("close", () => sockets.delete(socket))
    const handler = this.guarded(() => this.options.accept(new SocketLink(socket), request))
    if (!handler) return socket.close(codeFailed)
    socket.on("message", (data: Buffer, isBinary: boolean) => this.onMessage(socket, handler, data, isBinary))
    socket.on(
      "close",
      (code: number, reason: Buffer) =>
        this.guarded(() => handler.onClose({ code: tooBig ? codeTooBig : code, reason: reason.toString("utf8") }))
    )
  }

  private onMessage(socket: WebSocket, handler: Link.LinkHandler, data: Buffer, isBinary: boolean): void {
    if (socket.readyState !== WebSocket.OPEN) return
    if (isBinary) return socket.close(codeUnsupported, "links carry text")
    const handled = this.guarded(() => {
      handler.onMessage(data.toString("utf8"))
      return true
    })
    if (!handled) socket.close(codeFailed)
  }

  /** A defect behind one link must not reach the event loop, where it would end all of them. */
  private guarded<A>(run: () => A): A | undefined {
    try {
      return run()
    } catch (cause) {
      this.context.report(cause)
      return undefined
    }
  }
}
