/** What is remembered of the memory actors of an implementation that have been destroyed. */
import { none, type RecordedReplies } from "./Recorded.ts"

/** What an actor has left at its end. */
export interface Remnant {
  /** How often it has been destroyed. Clients are told, so that they do not take one life for another. */
  readonly incarnation: number
  /** What it has answered to actors that may ask again. */
  readonly recorded: RecordedReplies
}

/**
 * Remains by key. Of very many, those of actors that were destroyed first are forgotten: whom they were kept for has gone
 * long since.
 */
export class Remains {
  private readonly byKey = new Map<string, Remnant>()

  constructor(private readonly keysMax = 100_000) {}

  of(key: string): Remnant {
    return this.byKey.get(key) ?? { incarnation: 0, recorded: none() }
  }

  /** The actor has been destroyed once more. */
  next(key: string, recorded: RecordedReplies): void {
    const { incarnation } = this.of(key)
    this.byKey.delete(key)
    this.byKey.set(key, { incarnation: incarnation + 1, recorded })
    const [oldest] = this.byKey.keys()
    if (oldest !== undefined && this.byKey.size > this.keysMax) this.byKey.delete(oldest)
  }
}
