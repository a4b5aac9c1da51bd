/** One moment at a time that is waited for: the last that was asked for. It has a fiber while there is one. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import type { ClientServices } from "./ClientServices.ts"

export class Timer {
  private fiber: Fiber.RuntimeFiber<void> | undefined

  constructor(private readonly services: Pick<ClientServices, "clock" | "runtime">) {}

  /** Runs a task after so many milliseconds, in place of what has been waited for. */
  set(millis: number, task: () => void): void {
    this.clear()
    const wait = Effect.map(this.services.clock.sleep(Duration.millis(millis)), () => {
      this.fiber = undefined
      task()
    })
    // who made it clears it: no scope has to know of the fiber
    this.fiber = Runtime.runFork(this.services.runtime)(wait)
  }

  clear(): void {
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.fiber = undefined
  }
}
