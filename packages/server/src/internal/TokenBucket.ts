/** How often something may happen: so many times a second, and what was not used in the last second at once. */
export class TokenBucket {
  private readonly capacity: number
  private tokens: number

  /** `now` and all other times are milliseconds of one clock. */
  constructor(private readonly perSecond: number, private at: number) {
    this.capacity = this.tokens = Math.max(1, perSecond)
  }

  /** It happens, now, so many times. Returns after how many milliseconds it may happen again. */
  take(now: number, times = 1): number {
    if (this.perSecond === Infinity) return 0
    const passed = Math.max(0, now - this.at)
    this.at = now
    this.tokens = Math.min(this.capacity, this.tokens + passed * this.perSecond / 1000) - times
    return this.tokens >= 1 ? 0 : Math.ceil((1 - this.tokens) * 1000 / this.perSecond)
  }
}
