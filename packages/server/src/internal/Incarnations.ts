/**
 * How often the memory actors of an implementation have been destroyed, by key. Clients are told, so that they do not take
 * one life for another. Of very many, those that were destroyed first are forgotten: their clients have gone long since.
 */
export class Incarnations {
  private readonly byKey = new Map<string, number>()

  constructor(private readonly keysMax = 100_000) {}

  of(key: string): number {
    return this.byKey.get(key) ?? 0
  }

  /** The actor has been destroyed once more. */
  next(key: string): void {
    const ended = this.of(key)
    this.byKey.delete(key)
    this.byKey.set(key, ended + 1)
    const [oldest] = this.byKey.keys()
    if (oldest !== undefined && this.byKey.size > this.keysMax) this.byKey.delete(oldest)
  }
}
