/** Whether anything of the process goes on by itself, without a time, a file or a socket. */
import { defaultScheduler, type Scheduler } from "effect/Scheduler"

/** How many tasks of fibers wait for the scheduler. */
let waiting = 0

/**
 * Effect makes a fiber that yields again and again wait for a timer of the event loop, once in 2048 times, and nothing
 * tells that it does: so its tasks are counted. Between two turns of the event loop none waits, but of such fibers.
 */
const counted = (scheduler: Scheduler): void => {
  const schedule = scheduler.scheduleTask.bind(scheduler)
  scheduler.scheduleTask = (task, priority, fiber) => {
    waiting++
    schedule(
      () => {
        waiting--
        task()
      },
      priority,
      fiber
    )
  }
}

counted(defaultScheduler)

/** Browsers have none of it. */
const { process, setImmediate } = globalThis as {
  readonly process?: { readonly getActiveResourcesInfo?: () => ReadonlyArray<string> }
  readonly setImmediate?: (task: () => void) => void
}

const afterTimers = (task: () => void): void => void setTimeout(task, 0)

const afterMicrotasks = setImmediate ?? afterTimers

/** How many turns it takes. A message, its turn, its commit and its answer are microtasks, and need one altogether. */
const turns = 5

/** How often they are taken again at most: something may go round for ever. */
const roundsMax = 200

/** Does something when nothing goes on any more, or at last. */
export const whenIdle = (then: () => void): void => {
  let rounds = 0
  let left = turns
  const turn = () => {
    if (--left > 0) return afterMicrotasks(turn)
    const next = waiting > 0
      ? afterTimers
      : process?.getActiveResourcesInfo?.().includes("Immediate")
      ? afterMicrotasks
      : undefined
    if (!next || ++rounds > roundsMax) return then()
    left = turns
    next(turn)
  }
  afterMicrotasks(turn)
}
