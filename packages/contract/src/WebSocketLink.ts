/** Links over WebSockets, for every platform that has a constructor of them. */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Link from "./Link.ts"
import { DialError } from "./Transport.ts"

/** Where links lead. */
export interface Options {
  /**
   * Where the server is: `ws:`, `wss:`, `http:` or `https:`; in a browser it may be relative to the page. A function is
   * asked at each dial.
   */
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

const encoder = new TextEncoder()

/** As much of a reason as a close frame has room for: 123 bytes (RFC 6455, section 5.5). */
export const toReason = (reason: string): string =>
  reason.slice(0, encoder.encodeInto(reason, new Uint8Array(123)).read)

/** The address of the socket, and the same without what may be secret in it, for messages. */
const resolve = (url: string) => {
  const base = (globalThis as { readonly location?: { readonly href: string } }).location?.href
  const resolved = new URL(url, base)
  resolved.protocol = resolved.protocol.replace(/^http/, "ws")
  return { href: resolved.href, shown: `${resolved.protocol}//${resolved.host}${resolved.pathname}` }
}

/** A browser lets a page close with 1000 only, or with a code of its own from 3000 on. */
const toCode = (code: number): number => code >= 3000 && code < 5000 ? code : Link.codeNormal

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** Who waits for the end of a dial. */
interface Dialler {
  readonly onOpen: (link: Link.Link) => void
  readonly onFailure: (why: string) => void
}

/** One dial, and the link that comes of it. */
class Dialled implements Link.Link {
  private phase: "dialling" | "open" | "over" = "dialling"
  private why = "the connection failed"

  constructor(
    private readonly socket: Socket,
    private readonly handler: Link.LinkHandler,
    /** The socket's listeners outlive the dial, and must not keep who waited for it in memory. */
    private dialler: Dialler | undefined
  ) {
    socket.onopen = () => {
      this.phase = "open"
      socket.onopen = null
      this.settled()?.onOpen(this)
    }
    socket.onmessage = ({ data }: { readonly data: unknown }) => this.onData(data)
    // browsers say nothing here; it is followed by a close
    socket.onerror = ({ message }: { readonly message?: string }) => {
      if (message) this.why = message
    }
    socket.onclose = ({ code, reason }: Link.CloseEvent) => {
      this.settled()?.onFailure(this.why)
      this.end({ code, reason })
    }
  }

  private settled(): Dialler | undefined {
    const { dialler } = this
    this.dialler = undefined
    return dialler
  }

  send(text: string): void {
    if (this.socket.readyState === OPEN) this.socket.send(text)
  }

  close(code: number, reason: string): void {
    this.socket.close(toCode(code), toReason(reason))
  }

  buffered(): number {
    return this.socket.bufferedAmount
  }

  /** Closes the socket, and hears no more of it. */
  abandon(): void {
    if (this.phase === "over") return
    this.end({ code: Link.codeNormal, reason: "" })
    this.socket.close(Link.codeNormal, "")
  }

  private onData(data: unknown): void {
    if (this.phase !== "open") return
    if (typeof data === "string") return this.handler.onMessage(data)
    this.socket.onmessage = null
    this.close(Link.codeNormal, "links carry text")
  }

  private end(event: Link.CloseEvent): void {
    const wasOpen = this.phase === "open"
    this.phase = "over"
    this.dialler = undefined
    // `onerror` stays, because an unhandled one is thrown by some
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null
    if (wasOpen) this.handler.onClose(event)
  }
}

/**
 * Opens a link with a socket made by `construct`, which is given an absolute `ws:` or `wss:` URL. Interrupting the dial
 * closes the socket, and so does the end of the scope. What a `DialError` says leaves out all of the URL that may be secret.
 */
export const dial = (
  options: Options,
  construct: (url: string) => Socket
): (handler: Link.LinkHandler) => Effect.Effect<Link.Link, DialError, Scope.Scope> =>
(handler) =>
  Effect.suspend(() => {
    let dialled: Dialled | undefined
    let abandoned = false
    const abandon = Effect.sync(() => {
      abandoned = true
      dialled?.abandon()
    })
    const open = Effect.async<Link.Link, DialError>((resume) => {
      let shown = "the server"
      // the scope had been closed before
      if (abandoned) return resume(new DialError({ message: "nobody wants the link any more" }))
      const fail = (why: string) => resume(new DialError({ message: `${shown} cannot be reached: ${why}` }))
      try {
        const target = resolve(typeof options.url === "string" ? options.url : options.url())
        shown = target.shown
        dialled = new Dialled(construct(target.href), handler, {
          onOpen: (link) => resume(Effect.succeed(link)),
          onFailure: fail
        })
      } catch (error) {
        fail(messageOf(error))
      }
      return abandon
    })
    return Effect.zipRight(Effect.flatMap(Effect.scope, (scope) => Scope.addFinalizer(scope, abandon)), open)
  })
