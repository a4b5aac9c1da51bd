/**
 * Links in memory, with the encoding of the real ones, and a network that can be told to fail. Everything runs under
 * `TestClock`: a link delivers at the end of the tick.
 */
import * as Headers from "@effect/platform/Headers"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import { Flush } from "@troupe/contract/Flush"
import * as Link from "@troupe/contract/Link"
import { DialError, Transport } from "@troupe/contract/Transport"
import type { Connections } from "@troupe/server/Connections"
import * as Gateway from "@troupe/server/Gateway"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** What a dial meets: a server, a refusal, or silence. */
export type Reachability = "reachable" | "refused" | "silent"

/** A message on its way. */
export interface Sent {
  readonly from: "client" | "server"
  readonly text: string
}

/** The network between the clients and the server of a test. */
export class MemoryNetwork extends Context.Tag("@troupe/testing/MemoryNetwork")<MemoryNetwork, {
  /** Cuts all links: both sides see them close without a word. What was on its way is lost. */
  readonly cut: Effect.Effect<void>
  /** From now on, dials meet this. Default: `reachable`. Links that stand are not touched. */
  readonly setReachability: (reachability: Reachability) => Effect.Effect<void>
  /** While set, links carry nothing in either direction, and nobody is told. */
  readonly setFrozen: (frozen: boolean) => Effect.Effect<void>
  /** While `false`, the clients of the links that stand now read nothing: what they are sent waits, and counts as buffered. */
  readonly setReading: (reading: boolean) => Effect.Effect<void>
  /** Called for each message before it is delivered. Returning `"cut"` cuts its link, before or after delivery. */
  readonly onMessage: (tap: (sent: Sent) => void | "cut-before" | "cut-after") => Effect.Effect<void>
  /** Called by clients as if the browser had come online. */
  readonly opportunity: Effect.Effect<void>
  /** How many dials there have been. */
  readonly dials: Effect.Effect<number>
  /** How many links stand. */
  readonly links: Effect.Effect<number>
  /** Dials reach this gateway until the scope closes. */
  readonly listen: (accept: Gateway.Gateway["accept"]) => Effect.Effect<void, never, Scope.Scope>
}>() {}

const request: ConnectRequest = { headers: Headers.empty, url: "memory:", remoteAddress: "memory" }

/** One link: two ends that hand over what is sent at the end of the tick. */
class MemoryLink {
  open = true
  /** The side that has closed the link without the other's knowledge. */
  private gone: Sent["from"] | undefined
  /** What waits for a server that does not read; undefined while it does. */
  private unread: Array<Sent> | undefined
  /** The same for a client. */
  private unreadByClient: Array<Sent> | undefined
  readonly client: Link.Link
  private readonly server: Link.LinkHandler

  constructor(
    private readonly network: Network,
    private readonly clientHandler: Link.LinkHandler,
    accept: Gateway.Gateway["accept"]
  ) {
    this.client = this.end("client", () => this.server)
    this.server = accept(this.end("server", () => this.clientHandler), request)
  }

  close(event: Link.CloseEvent): void {
    if (!this.open) return
    this.open = false
    this.network.links.delete(this)
    if (this.gone !== "server") this.server.onClose(event)
    if (this.gone !== "client") this.clientHandler.onClose(event)
  }

  /** While the network is frozen only the side that closes knows; the other finds out when it sends. */
  private closeFrom(from: Sent["from"], event: Link.CloseEvent): void {
    if (!this.network.frozen) return this.close(event)
    if (!this.open || this.gone) return
    this.gone = from
    const handler = from === "client" ? this.clientHandler : this.server
    handler.onClose(event)
  }

  private end(from: Sent["from"], receiver: () => Link.LinkHandler): Link.Link {
    const { schedule } = this.network
    return {
      send: (text) => schedule(() => this.deliver({ from, text }, receiver())),
      close: (code, reason) => schedule(() => this.closeFrom(from, { code, reason })),
      buffered: () => from === "server" ? sizeOf(this.unreadByClient) : 0,
      ...(from === "server" ? { setReading: this.setReading } : {})
    }
  }

  private readonly setReading = (reading: boolean): void => {
    const unread = this.unread ?? []
    this.unread = reading ? undefined : unread
    if (reading) { for (const sent of unread) this.deliver(sent, this.server) }
  }

  setClientReading(reading: boolean): void {
    const unread = this.unreadByClient ?? []
    this.unreadByClient = reading ? undefined : unread
    if (reading) { for (const sent of unread) this.deliver(sent, this.clientHandler) }
  }

  private deliver(sent: Sent, receiver: Link.LinkHandler): void {
    if (!this.open || this.network.frozen) return
    if (this.gone) return this.close({ code: Link.codeAbnormal, reason: "reset" })
    const unread = sent.from === "client" ? this.unread : this.unreadByClient
    if (unread) return void unread.push(sent)
    const fate = this.network.tap(sent)
    if (fate !== "cut-before") receiver.onMessage(sent.text)
    if (fate) this.close({ code: Link.codeAbnormal, reason: "cut" })
  }
}

const sizeOf = (messages: ReadonlyArray<Sent> = []): number => messages.reduce((sum, { text }) => sum + text.length, 0)

class Network {
  readonly links = new Set<MemoryLink>()
  readonly opportunities = new Set<() => void>()
  reachability: Reachability = "reachable"
  frozen = false
  dials = 0
  accept: Gateway.Gateway["accept"] | undefined
  tap: (sent: Sent) => void | "cut-before" | "cut-after" = () => {}

  constructor(readonly schedule: (task: () => void) => void) {}

  readonly cut = Effect.sync(() => {
    for (const link of this.links) link.close({ code: Link.codeAbnormal, reason: "cut" })
  })

  dial(handler: Link.LinkHandler): Effect.Effect<MemoryLink, DialError> {
    return Effect.suspend(() => {
      this.dials++
      if (this.reachability === "silent") return Effect.never
      if (this.reachability === "refused" || !this.accept) return new DialError({ message: "connection refused" })
      const link = new MemoryLink(this, handler, this.accept)
      this.links.add(link)
      return Effect.succeed(link)
    })
  }
}

const make = Effect.map(Flush, ({ schedule }) => {
  const network = new Network(schedule)
  const service: typeof MemoryNetwork.Service = {
    cut: network.cut,
    setReachability: (reachability) => Effect.sync(() => void (network.reachability = reachability)),
    setFrozen: (frozen) => Effect.sync(() => void (network.frozen = frozen)),
    setReading: (reading) => Effect.sync(() => network.links.forEach((link) => link.setClientReading(reading))),
    onMessage: (tap) => Effect.sync(() => void (network.tap = tap)),
    opportunity: Effect.sync(() => network.opportunities.forEach((listener) => listener())),
    dials: Effect.sync(() => network.dials),
    links: Effect.sync(() => network.links.size),
    listen: (accept) =>
      Effect.acquireRelease(
        Effect.sync(() => void (network.accept = accept)),
        () => Effect.sync(() => void (network.accept = undefined))
      )
  }
  const transport: typeof Transport.Service = {
    dial: (handler) =>
      Effect.flatMap(network.dial(handler), (link) =>
        Effect.as(
          Effect.addFinalizer(() => Effect.sync(() => link.close({ code: Link.codeNormal, reason: "" }))),
          link.client
        )),
    onOpportunity: (listener) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => network.opportunities.add(listener)),
        () => Effect.sync(() => network.opportunities.delete(listener))
      ))
  }
  return Context.make(MemoryNetwork, service).pipe(Context.add(Transport, transport))
})

/** A network, and the transport of the clients on it. */
export const layer: Layer.Layer<MemoryNetwork | Transport> = Layer.effectContext(make)

/** A gateway on the network, for as long as the layer lives. */
export const layerServer = (options: Gateway.Options): Layer.Layer<never, never, Connections | MemoryNetwork> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const network = yield* MemoryNetwork
    const gateway = yield* Gateway.make(options)
    yield* network.listen(gateway.accept)
  }))
