/**
 * Why connections were ended for good, for clients that were away at that moment: they are told when they come back, for as
 * long as they could have resumed, whether the actor has been in memory all the time or not.
 */
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import type { Expiry } from "@troupe/contract/Expiry"
import type { ServerConnection } from "./ServerConnection.ts"

/** Those of an implementation: tokens and sessions are secrets of their own, whichever actor they belong to. */
export class Farewells {
  private readonly bySecret = new Map<string, DisconnectReason>()

  constructor(private readonly window: Expiry) {}

  add({ session, tokens }: Pick<ServerConnection, "session" | "tokens">, reason: DisconnectReason): void {
    // nobody comes in under one of them before the time is over
    const secrets = [session.id, ...tokens]
    for (const secret of secrets) this.bySecret.set(secret, reason)
    this.window.start({ onExpired: () => secrets.forEach((secret) => this.bySecret.delete(secret)) })
  }

  /** What a client is told that wants to resume a connection that was ended. */
  onResume(token: string): DisconnectReason | undefined {
    return this.bySecret.get(token)
  }

  /** What a client is told that wants to open a connection in a session that was ended. */
  onOpen(session: string): DisconnectReason | undefined {
    return this.bySecret.get(session)
  }
}
