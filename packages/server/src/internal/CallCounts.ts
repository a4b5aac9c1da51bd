/** Counts calls that are in flight, by what they are made to. */
export class CallCounts {
  private readonly counts = new Map<string, number>()

  constructor(private readonly max: number) {}

  /** Adds calls. Returns false, and adds none, if there would be more than may be. */
  add(to: string, count: number): boolean {
    const sum = (this.counts.get(to) ?? 0) + count
    if (sum > this.max) return false
    this.counts.set(to, sum)
    return true
  }

  remove(to: string, count: number): void {
    const rest = (this.counts.get(to) ?? 0) - count
    if (rest > 0) this.counts.set(to, rest)
    else this.counts.delete(to)
  }
}
