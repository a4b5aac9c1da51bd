/** What a connection has subscribed to: the readers of each event, and whether the server knows. */
import { CallRejected, type ConnectionError } from "@troupe/contract/ConnectionError"
import { SparseMap, SparseSet } from "@troupe/contract/Sparse"
import * as Exit from "effect/Exit"
import type { EventBuffer } from "./EventBuffer.ts"
import { EventReader } from "./EventReader.ts"

type Waiter = (exit: Exit.Exit<void, ConnectionError>) => void

interface Subscription {
  readonly readers: Set<EventReader>
  /** Keeps what arrives before the first reader, if the event was named in `connect`. */
  first: EventReader | undefined
  live: boolean
  waiters: Array<Waiter>
}

/** The connection they are of. */
export interface SubscriptionsOwner {
  readonly makeBuffer: (event: string) => EventBuffer
  /** Tells the server. */
  readonly tell: (tag: "Subscribe" | "Unsubscribe", event: string) => void
}

export class Subscriptions {
  private readonly byEvent = new SparseMap<string, Subscription>()
  /** Events the server has been asked for and has not answered. Until then it is told nothing more of them. */
  private readonly awaited = new SparseSet<string>()

  constructor(
    events: ReadonlyArray<string>,
    private readonly owner: SubscriptionsOwner
  ) {
    for (const event of events) {
      const first = new EventReader(owner.makeBuffer(event))
      this.byEvent.set(event, { readers: new Set([first]), first, live: false, waiters: [] })
    }
  }

  /** The events there are readers for. */
  get events(): ReadonlyArray<string> {
    return Array.from(this.byEvent, ([event]) => event)
  }

  /** Adds a reader. `ready` is called when the server has acknowledged the subscription. */
  add(event: string, ready: Waiter): EventReader {
    const known = this.byEvent.get(event)
    const reader = known?.first ?? new EventReader(this.owner.makeBuffer(event))
    const subscription = known ?? { readers: new Set(), first: undefined, live: false, waiters: [] }
    subscription.first = undefined
    subscription.readers.add(reader)
    if (subscription.live) ready(Exit.void)
    else subscription.waiters.push(ready)
    if (!known) {
      this.byEvent.set(event, subscription)
      if (!this.awaited.has(event)) this.request(event)
    }
    return reader
  }

  /** Removes a reader. The last one ends the subscription. */
  remove(event: string, reader: EventReader): void {
    reader.end()
    const subscription = this.byEvent.get(event)
    if (!subscription?.readers.delete(reader) || subscription.readers.size > 0) return
    this.byEvent.delete(event)
    if (!this.awaited.has(event)) this.owner.tell("Unsubscribe", event)
  }

  /** Asks the server for an event. */
  private request(event: string): void {
    this.awaited.add(event)
    this.owner.tell("Subscribe", event)
  }

  acknowledged(event: string): void {
    this.awaited.delete(event)
    if (this.byEvent.has(event)) this.live(event)
    // its readers have gone meanwhile
    else this.owner.tell("Unsubscribe", event)
  }

  rejected(event: string, issue: string): void {
    this.awaited.delete(event)
    const subscription = this.byEvent.get(event)
    if (!subscription) return
    this.byEvent.delete(event)
    const error = () => new CallRejected({ issue, sent: "no" })
    // they may have been live on an earlier connection
    for (const reader of subscription.readers) reader.end(error())
    for (const waiter of subscription.waiters) waiter(Exit.fail(error()))
  }

  /**
   * A new connection stands, which was opened with these events; what has been asked for since is asked for again. Returns
   * the readers that had been live before: they may have missed some.
   */
  reopened(opened: ReadonlySet<string>): ReadonlyArray<EventReader> {
    this.awaited.clear()
    const missed: Array<EventReader> = []
    for (const [event, subscription] of this.byEvent) {
      if (subscription.live) missed.push(...subscription.readers)
      if (opened.has(event)) this.live(event)
      else this.request(event)
    }
    for (const event of opened) if (!this.byEvent.has(event)) this.owner.tell("Unsubscribe", event)
    return missed
  }

  event(name: string, payload: unknown, sender?: number): void {
    for (const reader of this.byEvent.get(name)?.readers ?? []) reader.offer(payload, sender)
  }

  /** Ends all streams and all that wait for one. */
  close(error: () => ConnectionError): void {
    for (const { readers, waiters } of this.byEvent.values()) {
      for (const reader of readers) reader.end(error())
      for (const waiter of waiters) waiter(Exit.fail(error()))
    }
    this.byEvent.clear()
  }

  private live(event: string): void {
    const subscription = this.byEvent.get(event)
    if (!subscription) return
    subscription.live = true
    const waiters = subscription.waiters
    subscription.waiters = []
    for (const waiter of waiters) waiter(Exit.void)
  }
}
