/**
 * Events of which only the latest counts, for a client that does not keep up: the newest of each sender and event. As much
 * is kept as there are of these, however many are sent.
 */
import { SparseMap } from "@troupe/contract/Sparse"

/** The connection whose turn has sent an event. */
export interface Sender {
  readonly id: number
  /** It is gone, and nothing of it is kept. */
  readonly ended: boolean
}

/** An event of which only the latest counts. All its receivers share it. */
export interface Fresh {
  readonly event: string
  /** The event, encoded. */
  readonly text: string
  /** Absent: the actor itself. */
  readonly sender: Sender | undefined
}

export class Newest {
  private readonly kept = new SparseMap<string, Fresh>()

  get size(): number {
    return this.kept.size
  }

  /** Keeps an event in the place of an older one of its sender. */
  keep(fresh: Fresh): void {
    if (!fresh.sender?.ended) this.kept.set(`${fresh.sender?.id ?? 0} ${fresh.event}`, fresh)
  }

  /** Hands over what is kept, what has waited longest first, for as long as it is taken. */
  release(take: (fresh: Fresh) => boolean): void {
    for (const [key, fresh] of this.kept) {
      if (!take(fresh)) return
      this.kept.delete(key)
    }
  }

  /** Forgets events of a kind. */
  drop(isDropped: (fresh: Fresh) => boolean): void {
    for (const [key, fresh] of this.kept) if (isDropped(fresh)) this.kept.delete(key)
  }
}
