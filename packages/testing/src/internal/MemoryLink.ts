/** One link of the network in memory: two ends that hand over what is sent at the end of the tick. */
import * as Headers from "@effect/platform/Headers"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import * as Link from "@troupe/contract/Link"
import type { Side } from "./Sent.ts"

/** What becomes of a message: it arrives, or its link is cut before or after that. */
export type Fate = void | "cut-before" | "cut-after"

/** What a link asks of the line it is on, and of the network around it. */
export interface Surroundings {
  readonly schedule: (task: () => void) => void
  readonly isFrozen: () => boolean
  readonly isHeld: () => boolean
  readonly fate: (from: Side, text: string) => Fate
  readonly onGone: (link: MemoryLink) => void
}

const request: ConnectRequest = { headers: Headers.empty, url: "memory:", remoteAddress: "memory" }

const cut: Link.CloseEvent = { code: Link.codeAbnormal, reason: "cut" }

export class MemoryLink {
  private open = true
  /** The side that has closed the link without the other's knowledge. */
  private gone: Side | undefined
  /** It has lost something while it was frozen. What comes later must not arrive: a link has no holes. */
  private broken = false
  /** What waits for a server that does not read; undefined while it does. */
  private unread: Array<string> | undefined
  /** The same for a client. */
  private unreadByClient: Array<string> | undefined
  /** What is held back on its way, in the order in which it was sent. */
  private readonly waiting: Array<() => void> = []
  readonly client: Link.Link
  private readonly server: Link.LinkHandler

  constructor(
    private readonly around: Surroundings,
    private readonly clientHandler: Link.LinkHandler,
    accept: (link: Link.Link, request: ConnectRequest) => Link.LinkHandler
  ) {
    this.client = this.side("client", () => this.server)
    this.server = accept(this.side("server", () => this.clientHandler), request)
  }

  /** Whether both sides take it for one. */
  get stands(): boolean {
    return this.open && this.gone === undefined
  }

  /** Ends the link for both sides. */
  close(event: Link.CloseEvent): void {
    if (!this.open) return
    this.open = false
    this.around.onGone(this)
    if (this.gone !== "server") this.server.onClose(event)
    if (this.gone !== "client") this.clientHandler.onClose(event)
  }

  /** Both sides see it close without a word. */
  cut(): void {
    this.close(cut)
  }

  /** One side sees it close, and the other does not. */
  cutAt(side: Side): void {
    this.leave(side, cut)
  }

  /** The client is done with it. */
  end(event: Link.CloseEvent): void {
    this.arrive(() => this.closeFrom("client", event))
  }

  /** Delivers what was held back. */
  release(): void {
    while (this.waiting.length > 0 && !this.around.isHeld()) this.waiting.shift()!()
  }

  /** The other side finds out when it sends. */
  private leave(side: Side, event: Link.CloseEvent): void {
    if (!this.open || this.gone === side) return
    if (this.gone) return this.close(event)
    this.gone = side
    const handler = side === "client" ? this.clientHandler : this.server
    handler.onClose(event)
  }

  private side(from: Side, receiver: () => Link.LinkHandler): Link.Link {
    return {
      send: (text) => this.travel(() => this.deliver(from, text, receiver())),
      close: (code, reason) => this.travel(() => this.closeFrom(from, { code, reason })),
      buffered: () => from === "server" ? sizeOf(this.unreadByClient) : 0,
      ...(from === "server" ? { setReading: this.setReading } : {})
    }
  }

  private travel(arrival: () => void): void {
    this.around.schedule(() => this.arrive(arrival))
  }

  /** Nothing overtakes what is held back. */
  private arrive(arrival: () => void): void {
    if (this.waiting.length > 0 || this.around.isHeld()) this.waiting.push(arrival)
    else arrival()
  }

  /** While the network is frozen only the side that closes knows. */
  private closeFrom(from: Side, event: Link.CloseEvent): void {
    if (this.around.isFrozen()) this.leave(from, event)
    else if (this.gone !== from) this.close(event)
  }

  private readonly setReading = (reading: boolean): void => {
    const unread = this.unread ?? []
    this.unread = reading ? undefined : unread
    if (reading) { for (const text of unread) this.deliver("client", text, this.server) }
  }

  /** While `false`, the client reads nothing: what it is sent waits, and counts as buffered. */
  setClientReading(reading: boolean): void {
    const unread = this.unreadByClient ?? []
    this.unreadByClient = reading ? undefined : unread
    if (reading) { for (const text of unread) this.deliver("server", text, this.clientHandler) }
  }

  private deliver(from: Side, text: string, receiver: Link.LinkHandler): void {
    if (!this.open || this.gone === from) return
    if (this.around.isFrozen()) return void (this.broken = true)
    if (this.gone || this.broken) return this.close({ code: Link.codeAbnormal, reason: "reset" })
    const unread = from === "client" ? this.unread : this.unreadByClient
    if (unread) return void unread.push(text)
    const fate = this.around.fate(from, text)
    if (fate !== "cut-before") receiver.onMessage(text)
    if (fate) this.cut()
  }
}

const sizeOf = (texts: ReadonlyArray<string> = []): number => texts.reduce((sum, { length }) => sum + length, 0)
