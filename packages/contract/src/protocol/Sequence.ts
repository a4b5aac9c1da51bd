/**
 * Reliable, ordered delivery over links that come and go: each direction numbers its messages from 1, keeps them until
 * they are acknowledged, and drops what it has seen. Acknowledgements are cumulative.
 */

/** A message that is kept. */
interface Entry<A> {
  readonly text: string
  /** 0 if somebody else bounds how much of its kind waits here. */
  readonly bytes: number
  readonly attached: A | undefined
}

/**
 * The sending half: messages that the other side has not acknowledged. `A` is what the sender wants to be reminded of
 * when a message has arrived.
 */
export class Outbox<A = never> {
  /** The number of the last message. */
  last = 0
  /** How many bytes the kept texts have that count. */
  bytes = 0
  private counted = 0
  private entries: Array<Entry<A>> = []
  private head = 0

  /** How many messages are kept. */
  get length(): number {
    return this.entries.length - this.head
  }

  /** Keeps a message and returns its number. `bytes` is its size, or 0 if somebody else bounds how much waits here. */
  push(text: string, bytes: number, attached?: A): number {
    this.entries.push({ text, bytes, attached })
    this.bytes += bytes
    if (bytes > 0) this.counted++
    return ++this.last
  }

  /** Whether more is kept than so many bytes. One message may be larger. */
  exceeds(max: number): boolean {
    return this.bytes > max && this.counted > 1
  }

  /** Forgets all messages up to `received`. Returns false if the other side claims what was never sent. */
  acknowledge(received: number, onArrival?: (attached: A) => void): boolean {
    if (received > this.last) return false
    let number = this.last - this.length
    while (number < received) {
      number++
      const entry = this.entries[this.head]!
      this.entries[this.head++] = undefined!
      this.bytes -= entry.bytes
      if (entry.bytes > 0) this.counted--
      if (entry.attached !== undefined) onArrival?.(entry.attached)
    }
    if (this.head === this.entries.length) this.keepNone()
    else if (this.head > 32 && this.head * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.head)
      this.head = 0
    }
    return true
  }

  /** Whether this holds for something that was attached to a message which is kept. */
  some(predicate: (attached: A) => boolean): boolean {
    for (let i = this.head; i < this.entries.length; i++) {
      const { attached } = this.entries[i]!
      if (attached !== undefined && predicate(attached)) return true
    }
    return false
  }

  /** Forgets all messages: nobody will ask for them. */
  clear(): void {
    this.keepNone()
    this.bytes = this.counted = 0
  }

  /** Without the room that there was for them: mostly there is nothing. */
  private keepNone(): void {
    if (this.entries.length > 0) this.entries = []
    this.head = 0
  }

  /** Hands over all messages that are kept, in order. */
  replay(write: (seq: number, text: string) => void): void {
    let number = this.last - this.length
    for (let i = this.head; i < this.entries.length; i++) write(++number, this.entries[i]!.text)
  }
}

/** The receiving half: the number of the last message that arrived. */
export class Inbox {
  received = 0
  /** How large what was not acknowledged at once is at most, in bytes. */
  unacknowledged = 0

  /** `next` if the message is to be taken now, `seen` if it is a repetition, `gap` if one before it is missing. */
  accept(seq: number): "next" | "seen" | "gap" {
    if (seq <= this.received) return "seen"
    if (seq > this.received + 1) return "gap"
    this.received = seq
    return "next"
  }
}
