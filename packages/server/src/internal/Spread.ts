/**
 * Tasks of which only some run in one go of the event loop. What is sent to many does not keep timers and sockets from
 * their turn, and what is to be sent to the same ones meanwhile goes with it.
 */
import type { Flush } from "@troupe/contract/Flush"
import * as MutableList from "effect/MutableList"

export class Spread {
  private readonly tasks = MutableList.empty<() => void>()
  private running = false

  constructor(
    private readonly flush: Flush["Type"],
    /** How many tasks run in one go. */
    private readonly tasksMax: number
  ) {}

  /** Runs a task after those that wait already, at the end of this tick if they are few. */
  readonly schedule = (task: () => void): void => {
    MutableList.append(this.tasks, task)
    if (this.running) return
    this.running = true
    this.flush.schedule(this.run)
  }

  private readonly run = (): void => {
    try {
      for (let count = 0; count < this.tasksMax; count++) MutableList.shift(this.tasks)?.()
    } finally {
      this.running = MutableList.length(this.tasks) > 0
      if (this.running) this.flush.later(this.run)
    }
  }
}
