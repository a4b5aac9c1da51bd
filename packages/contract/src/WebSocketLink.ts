/** Links over WebSockets, for every platform that has a constructor of them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Link from "./Link.ts"
import { DialError } from "./Transport.ts"

export interface Options {
  /** Where the server is: `ws:`, `wss:`, `http:` or `https:`; in a browser it may be relative to the page. */
  readonly url: string | (() => string)
}

/** What is needed of a `WebSocket`; that of browsers and that of the package `ws` have it. */
export interface Socket {
  readonly readyState: number
  readonly bufferedAmount: number
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  send(data: string): void
  close(code?: number, reason?: string): void
}

const OPEN = 1

const resolve = (url: string): string => {
  const base = (globalThis as { readonly location?: { readonly href: string } }).location?.href
  const resolved = new URL(url, base)
  resolved.protocol = resolved.protocol.replace(/^http/, "ws")
  return resolved.href
}

const linkOf = (socket: Socket): Link.Link => ({
  send: (text) => {
    if (socket.readyState === OPEN) socket.send(text)
  },
  close: (code, reason) => close(socket, code, reason),
  buffered: () => socket.bufferedAmount
})

/** A browser lets a page close with 1000 only, or with a code of its own from 3000 on. */
const close = (socket: Socket, code: number, reason: string): void =>
  socket.close(code === Link.codeNormal || code >= 3000 ? code : Link.codeNormal, reason)

/** Forgets a socket: what it still says is nobody's business. `onerror` stays, because an unhandled one is thrown. */
const abandon = (socket: Socket): void => {
  socket.onopen = socket.onmessage = socket.onclose = null
  socket.onerror = () => {}
  socket.close()
}

/**
 * Opens a link with a socket made by `construct`, which is given an absolute `ws:` or `wss:` URL. Interrupting it closes
 * the socket; so does the end of the scope.
 */
export const dial = (
  { url }: Options,
  construct: (url: string) => Socket
): (handler: Link.LinkHandler) => Effect.Effect<Link.Link, DialError, Scope.Scope> =>
(handler) =>
  Effect.uninterruptibleMask((restore) =>
    restore(open(typeof url === "string" ? url : url(), construct, handler)).pipe(
      Effect.tap((socket) => Effect.addFinalizer(() => Effect.sync(() => closeQuietly(socket, handler)))),
      Effect.map(linkOf)
    )
  )

const closeQuietly = (socket: Socket, handler: Link.LinkHandler): void => {
  if (socket.onclose === null) return
  abandon(socket)
  handler.onClose({ code: Link.codeNormal, reason: "" })
}

const open = (
  target: string,
  construct: (url: string) => Socket,
  handler: Link.LinkHandler
): Effect.Effect<Socket, DialError> =>
  Effect.async((resume) => {
    const failed = (why: string) => resume(new DialError({ message: `${target} cannot be reached: ${why}` }))
    let socket: Socket
    try {
      socket = construct(resolve(target))
    } catch (error) {
      return failed(error instanceof Error ? error.message : String(error))
    }
    let why = "the connection failed"
    socket.onerror = (event: { readonly message?: string }) => {
      why = event.message || why
    }
    socket.onclose = () => failed(why)
    socket.onmessage = ({ data }: { readonly data: unknown }) => {
      if (typeof data === "string") handler.onMessage(data)
    }
    socket.onopen = () => {
      socket.onclose = ({ code, reason }: Link.CloseEvent) => {
        socket.onclose = null
        handler.onClose({ code, reason })
      }
      resume(Effect.succeed(socket))
    }
    return Effect.sync(() => abandon(socket))
  })
