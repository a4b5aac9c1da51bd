/**
 * When the frames and commits of one tick are put together and sent. A service, so that a simulation can decide the
 * order of everything.
 */
import * as Context from "effect/Context"

/**
 * Runs a task at the end of the current tick. The default is a microtask: every call made, reply written and event sent
 * in one go of the event loop travels in one message, and nothing waits for a timer.
 */
export class Flush extends Context.Reference<Flush>()("@troupe/contract/Flush", {
  defaultValue: () => ({ schedule: (task: () => void): void => queueMicrotask(task) })
}) {}
