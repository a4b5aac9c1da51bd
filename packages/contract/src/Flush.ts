/**
 * When the frames and commits of one tick are put together and sent. A service, so that a simulation can decide the
 * order of everything.
 */
import * as Context from "effect/Context"

/** How many microtasks may follow each other before timers and sockets get their turn. */
const roundsMax = 1024

let rounds = 0

/** Tasks that wait for that, in order: what is scheduled later must not overtake them. */
let waiting: Array<() => void> = []

const begin = (): void => {
  const tasks = waiting
  waiting = []
  rounds = 0
  for (const task of tasks) queueMicrotask(task)
}

const schedule = (task: () => void): void => {
  // the live clock of the event loop, which has no service
  if (rounds === 0) setTimeout(begin, 0)
  rounds++
  if (rounds < roundsMax) queueMicrotask(task)
  else waiting.push(task)
}

/**
 * Runs a task at the end of the current tick, after those that were scheduled before. The default is a microtask: every call made, reply written and event sent
 * in one go of the event loop travels in one message, and nothing waits for a timer. A loop of calls that never waits for
 * anything else is made to wait for the event loop, once in a while.
 */
export class Flush extends Context.Reference<Flush>()("@troupe/contract/Flush", {
  defaultValue: () => ({ schedule })
}) {}
