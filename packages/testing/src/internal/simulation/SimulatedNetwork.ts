/** The network of a simulation: servers that come and go under names, and lines of clients to the one that is in charge. */
import * as Headers from "@effect/platform/Headers"
import * as Link from "@troupe/contract/Link"
import { DialError, type Transport } from "@troupe/contract/Transport"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Accept, SimulatedLink, type Surroundings } from "./SimulatedLink.ts"

export class SimulatedNetwork {
  private readonly servers = new Map<string, Accept>()
  private links: Array<{ readonly link: SimulatedLink; readonly server: string }> = []
  private dials = 0
  /** The name of the server that dials reach. */
  inCharge = ""

  constructor(private readonly around: Surroundings) {}

  /** Dials reach this server, while it is in charge, until the scope closes. */
  listen(accept: Accept, name: string): Effect.Effect<void, never, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => void this.servers.set(name, accept)),
      () => Effect.sync(() => this.servers.get(name) === accept && this.servers.delete(name))
    ))
  }

  /** The way of one client. */
  line(client: string): Transport["Type"] {
    return {
      dial: (handler) =>
        Effect.flatMap(
          this.dial(client, handler),
          (link) =>
            Effect.as(Effect.addFinalizer(() => Effect.sync(() => link.client.close(Link.codeNormal, ""))), link.client)
        ),
      onOpportunity: () => Effect.void
    }
  }

  private dial(client: string, handler: Link.LinkHandler): Effect.Effect<SimulatedLink, DialError> {
    return Effect.suspend(() => {
      const { dice, faults, trace } = this.around
      const { hang, latencyMax, refusal } = faults()
      const name = `link ${++this.dials} of ${client}`
      if (dice.happens(hang)) {
        trace.add(name, "hangs")
        return Effect.never
      }
      const refused = dice.happens(refusal)
      return Effect.zipRight(
        Effect.sleep(dice.between(0, latencyMax)),
        Effect.suspend(() => {
          const accept = this.servers.get(this.inCharge)
          if (refused || !accept) {
            trace.add(name, "refused")
            return new DialError({ message: "connection refused" })
          }
          trace.add(name, `to ${this.inCharge}`)
          const request = { headers: Headers.empty, url: "simulated:", remoteAddress: client }
          const link = new SimulatedLink(name, this.around, handler, accept, request)
          this.links = this.links.filter(({ link }) => !link.over)
          this.links.push({ link, server: this.inCharge })
          return Effect.succeed(link)
        })
      )
    })
  }

  /** A machine has lost its power: its links carry nothing, and nobody is told. */
  darken(server: string): void {
    for (const { link, server: at } of this.links) if (at === server) link.silence(["client", "server"])
  }

  /** Cuts the links to servers that are not in charge. */
  cutOthers(): void {
    for (const { link, server } of this.links) if (server !== this.inCharge) link.cut()
  }
}
