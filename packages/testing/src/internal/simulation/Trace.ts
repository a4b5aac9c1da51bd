/** What happens in a simulation, a line each: to be compared, by its digest, and to be read when something is wrong. */

/** FNV-1a of 64 bits, as two halves of 32. */
class Digest {
  private high = 0xcbf29ce4
  private low = 0x84222325

  add(text: string): void {
    let { high, low } = this
    for (let i = 0; i < text.length; i++) {
      low = (low ^ text.charCodeAt(i)) >>> 0
      // times 2^40 + 0x1b3, in parts that a double can hold
      const product = low * 0x1b3
      high = (Math.imul(high, 0x1b3) + (low << 8) + Math.floor(product / 0x1_0000_0000)) >>> 0
      low = product >>> 0
    }
    this.high = high
    this.low = low
  }

  get text(): string {
    return this.high.toString(16).padStart(8, "0") + this.low.toString(16).padStart(8, "0")
  }
}

export class Trace {
  readonly lines: Array<string> = []
  length = 0
  /** The last line. */
  last = ""
  private readonly digested = new Digest()

  /** `kept`: whether the lines are kept, and not their digest alone. */
  constructor(
    private readonly kept: boolean,
    private readonly now: () => number
  ) {}

  add(who: string, what: string): void {
    const line = `${this.now().toFixed(3)} ${who} ${what}`
    this.length++
    this.last = line
    this.digested.add(line)
    if (this.kept) this.lines.push(line)
  }

  /** 64 bits that tell one trace from another. */
  get digest(): string {
    return this.digested.text
  }
}
