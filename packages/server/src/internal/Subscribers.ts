/** Who has subscribed to which event. */
import * as Frame from "@troupe/contract/protocol/Frame"
import { SparseMap } from "@troupe/contract/Sparse"
import type { ServerConnection } from "./ServerConnection.ts"

interface Entry {
  connections: Set<ServerConnection>
  /** A snapshot has been handed out: the set must be copied before it is changed. */
  shared: boolean
}

export class Subscribers {
  private readonly byEvent = new SparseMap<string, Entry>()

  constructor(private readonly subscriptionsMax: number) {}

  /** Returns what the client is told if it has as many as it may. */
  add(connection: ServerConnection, event: string): string | undefined {
    const { subscriptions } = connection
    if (subscriptions.size >= this.subscriptionsMax && !subscriptions.has(event)) {
      return Frame.encodeSubscribeRejected(event, `subscriptionsMax is ${this.subscriptionsMax}`)
    }
    subscriptions.add(event)
    this.own(event).add(connection)
    return undefined
  }

  remove(connection: ServerConnection, event: string): void {
    if (!connection.subscriptions.delete(event)) return
    this.own(event).delete(connection)
    connection.dropKept((fresh) => fresh.event === event)
  }

  removeAll(connection: ServerConnection): void {
    for (const event of connection.subscriptions) this.own(event).delete(connection)
  }

  /** Those subscribed now, in the order in which they subscribed. It does not change any more. */
  snapshot(event: string): Iterable<ServerConnection> {
    const entry = this.byEvent.get(event)
    if (!entry) return []
    entry.shared = true
    return entry.connections
  }

  private own(event: string): Set<ServerConnection> {
    let entry = this.byEvent.get(event)
    if (!entry) this.byEvent.set(event, entry = { connections: new Set(), shared: false })
    if (entry.shared) {
      entry.connections = new Set(entry.connections)
      entry.shared = false
    }
    return entry.connections
  }
}
