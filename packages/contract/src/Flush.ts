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

let page: MessagePort | undefined

/** Begins anew when timers and sockets have had their turn: the live clock of the event loop, which has no service. */
const beginLater = (): void => {
  if (typeof document === "undefined") return void setTimeout(begin, 0)
  // the timers of a tab that is hidden come once a minute, its messages to itself at once
  if (!page) {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = begin
    page = port2
  }
  page.postMessage(0)
}

const schedule = (task: () => void): void => {
  if (rounds === 0) beginLater()
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
