/**
 * Why connections were ended for good, for clients that were away at that moment: they are told when they come back, for as
 * long as they could have resumed.
 */
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import type { Expiry } from "@troupe/contract/Expiry"
import { SparseMap } from "@troupe/contract/Sparse"
import type { ServerConnection } from "./ServerConnection.ts"

interface Farewell {
  readonly connection: ServerConnection
  readonly reason: DisconnectReason
}

export class Farewells {
  private readonly byConnection = new SparseMap<ConnectionId, Farewell>()
  private readonly bySession = new SparseMap<string, Farewell>()

  constructor(private readonly window: Expiry) {}

  add(connection: ServerConnection, reason: DisconnectReason): void {
    const farewell = { connection, reason }
    this.byConnection.set(connection.id, farewell)
    this.bySession.set(connection.session.id, farewell)
    this.window.start({
      onExpired: () => {
        this.byConnection.delete(connection.id)
        if (this.bySession.get(connection.session.id) === farewell) this.bySession.delete(connection.session.id)
      }
    })
  }

  /** What a client is told that wants to resume a connection that was ended. */
  onResume(id: ConnectionId, token: string): DisconnectReason | undefined {
    const farewell = this.byConnection.get(id)
    return farewell?.connection.knows(token) ? farewell.reason : undefined
  }

  /** What a client is told that wants to open a connection in a session that was ended. */
  onOpen(session: string): DisconnectReason | undefined {
    return this.bySession.get(session)?.reason
  }
}
