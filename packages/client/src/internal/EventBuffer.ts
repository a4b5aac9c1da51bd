/** What has arrived for a reader of an event and has not been read, within a bound. */
import { Gap } from "@troupe/contract/Gap"

export interface EventBuffer {
  readonly size: number
  /** Adds an event. `sender` is known of events of which only the latest counts. */
  readonly add: (event: unknown, sender: number | undefined) => void
  /** Something may have been missed here. */
  readonly gap: () => void
  readonly takeAll: () => Array<unknown>
}

const gap = new Gap()

/** Keeps every event, in order. When there are too many, all of them are replaced by a `Gap`. */
export class EveryEvent implements EventBuffer {
  private events: Array<unknown> = []

  constructor(
    private readonly max: number,
    private readonly onGap: () => void
  ) {}

  get size(): number {
    return this.events.length
  }

  add(event: unknown): void {
    if (this.events.length >= this.max) {
      this.events = []
      this.gap()
    }
    this.events.push(event)
  }

  gap(): void {
    if (this.events[this.events.length - 1] === gap) return
    this.onGap()
    if (this.events.length >= this.max) this.events = []
    this.events.push(gap)
  }

  takeAll(): Array<unknown> {
    const { events } = this
    this.events = []
    return events
  }
}

/** Keeps the newest event of each sender. When there are too many, the one that is longest out of date goes. */
export class NewestEvents implements EventBuffer {
  private readonly bySender = new Map<number | undefined, unknown>()

  constructor(private readonly max: number) {}

  get size(): number {
    return this.bySender.size
  }

  add(event: unknown, sender: number | undefined): void {
    this.bySender.delete(sender)
    this.bySender.set(sender, event)
    if (this.bySender.size <= this.max) return
    for (const oldest of this.bySender.keys()) return void this.bySender.delete(oldest)
  }

  /** What was missed has been overtaken. */
  gap(): void {}

  takeAll(): Array<unknown> {
    const events = Array.from(this.bySender.values())
    this.bySender.clear()
    return events
  }
}

/** The buffer of a reader, for an event of which every one counts, or only the latest. `onGap`: it finds a gap. */
export const makeBuffer = (latest: boolean, max: number, onGap: () => void): EventBuffer =>
  latest ? new NewestEvents(max) : new EveryEvent(max, onGap)
