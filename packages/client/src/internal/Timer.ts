/**
 * One moment at a time that is waited for: the last that was asked for. Clients in one process wait for the same ones, the
 * next sign of life of each link, and share a fiber for those that are equally long.
 */
import { type Expirable, Expiry } from "@troupe/contract/Expiry"
import type * as Clock from "effect/Clock"
import * as Runtime from "effect/Runtime"
import type { ClientServices } from "./ClientServices.ts"

/** By clock, and by how long they wait in milliseconds. There are only those that somebody waits with. */
const shared = new WeakMap<Clock.Clock, Map<number, Expiry>>()

const sharedBy = (clock: Clock.Clock): Map<number, Expiry> => {
  const found = shared.get(clock)
  if (found) return found
  const made = new Map<number, Expiry>()
  shared.set(clock, made)
  return made
}

export class Timer implements Expirable {
  private millis = 0
  private task: (() => void) | undefined

  constructor(private readonly services: Pick<ClientServices, "clock" | "runtime">) {}

  /** Runs a task after so many milliseconds, in place of what has been waited for. */
  set(millis: number, task: () => void): void {
    const { clock, runtime } = this.services
    this.clear()
    this.task = task
    this.millis = millis
    const byMillis = sharedBy(clock)
    const found = byMillis.get(this.millis)
    if (found) return found.start(this)
    const expiry = new Expiry(clock, Runtime.runFork(runtime), this.millis)
    byMillis.set(this.millis, expiry)
    expiry.start(this)
  }

  onExpired(): void {
    const { task } = this
    this.clear()
    task?.()
  }

  /** Nobody is left waiting for a client that is closed, and no scope has to know of the fiber. */
  clear(): void {
    if (!this.task) return
    this.task = undefined
    const byMillis = sharedBy(this.services.clock)
    const expiry = byMillis.get(this.millis)
    expiry?.stop(this)
    if (!expiry || expiry.size > 0) return
    expiry.end()
    byMillis.delete(this.millis)
  }
}
