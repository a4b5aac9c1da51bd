/** Links inside one process: a client beside its actors, without a socket, over the same frames. */
import * as Headers from "@effect/platform/Headers"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type { Any } from "@troupe/contract/Definition"
import { Flush } from "@troupe/contract/Flush"
import * as Link from "@troupe/contract/Link"
import { Transport } from "@troupe/contract/Transport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Implementations } from "./ActorServer.ts"
import type { Connections } from "./Connections.ts"
import * as Gateway from "./Gateway.ts"

const request: ConnectRequest = { headers: Headers.empty, url: "local:", remoteAddress: undefined }

/** Two ends of a link. What one sends, the other receives at the end of the tick. */
export class LinkPair {
  private open = true
  readonly client: Link.Link
  private readonly server: Link.Link
  private serverHandler: Link.LinkHandler | undefined
  /** What waits for a server that does not read; undefined while it does. */
  private unread: Array<string> | undefined

  constructor(
    private readonly clientHandler: Link.LinkHandler,
    accept: Gateway.Gateway["accept"],
    private readonly schedule: (task: () => void) => void
  ) {
    const send = (receive: (text: string) => void) => (text: string) =>
      this.schedule(() => {
        if (this.open) receive(text)
      })
    const close = (code: number, reason: string) => this.schedule(() => this.close({ code, reason }))
    const { setReading } = this
    this.client = { send: send((text) => this.receive(text)), close, buffered: () => 0 }
    this.server = { send: send((text) => this.clientHandler.onMessage(text)), close, buffered: () => 0, setReading }
    this.serverHandler = accept(this.server, request)
  }

  /** The server is sent something. */
  private receive(text: string): void {
    if (this.unread) this.unread.push(text)
    else this.serverHandler?.onMessage(text)
  }

  private readonly setReading = (reading: boolean): void => {
    const unread = this.unread ?? []
    this.unread = reading ? undefined : unread
    // it may stop reading again meanwhile
    if (reading) { for (const text of unread) if (this.open) this.receive(text) }
  }

  /** Ends the link for both sides. */
  close(event: Link.CloseEvent): void {
    if (!this.open) return
    this.open = false
    this.serverHandler?.onClose(event)
    this.clientHandler.onClose(event)
  }
}

/** Reaches the actors of the host in this process. The same gateway options hold as for sockets. */
export const layer = <const Actors extends ReadonlyArray<Any>>(
  options: Gateway.Options & { readonly actors: Actors }
): Layer.Layer<Transport, never, Connections | Implementations<Actors>> =>
  Layer.scoped(
    Transport,
    Effect.gen(function*() {
      const gateway = yield* Gateway.make(options)
      const { schedule } = yield* Flush
      return {
        dial: (handler) =>
          Effect.acquireRelease(
            Effect.sync(() => new LinkPair(handler, gateway.accept, schedule)),
            (pair) => Effect.sync(() => pair.close({ code: Link.codeNormal, reason: "" }))
          ).pipe(Effect.map((pair) => pair.client)),
        onOpportunity: () => Effect.void
      }
    })
  )
