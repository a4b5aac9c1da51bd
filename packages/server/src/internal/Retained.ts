/**
 * What is kept under names until somebody says that it is not needed any more, or, since that may never come, for a time.
 */
import { SparseMap } from "@troupe/contract/Sparse"
import type * as Clock from "effect/Clock"

interface Entry<A> {
  readonly value: A
  readonly since: number
}

export interface RetainedOwner<A> {
  /** What is not over is kept, however old it is. */
  readonly isOver: (value: A) => boolean
  /** It was kept for long enough. */
  readonly onExpired: (value: A) => void
}

export class Retained<A> {
  private readonly entries = new SparseMap<string, Entry<A>>()

  constructor(
    private readonly clock: Clock.Clock,
    private readonly millis: number,
    private readonly owner: RetainedOwner<A>
  ) {}

  get(name: string): A | undefined {
    return this.entries.get(name)?.value
  }

  set(name: string, value: A): void {
    const now = this.clock.unsafeCurrentTimeMillis()
    this.expire(now)
    // the oldest come first, and one that is set again is not old
    this.entries.delete(name)
    this.entries.set(name, { value, since: now })
  }

  delete(name: string): void {
    this.entries.delete(name)
  }

  *[Symbol.iterator](): Iterator<readonly [name: string, value: A]> {
    for (const [name, { value }] of this.entries) yield [name, value]
  }

  /** The oldest come first. */
  private expire(now: number): void {
    for (const [name, { since, value }] of this.entries) {
      if (now - since < this.millis) return
      if (!this.owner.isOver(value)) continue
      this.entries.delete(name)
      this.owner.onExpired(value)
    }
  }
}
