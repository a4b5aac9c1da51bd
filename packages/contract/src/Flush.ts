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
let pageTasks: Array<() => void> = []

/** Of a page: the timers of a tab that is hidden come once a minute, its messages to itself at once. */
const afterMessage = (task: () => void): void => {
  if (!page) {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      const tasks = pageTasks
      pageTasks = []
      for (const task of tasks) queueMicrotask(task)
    }
    page = port2
  }
  if (pageTasks.push(task) === 1) page.postMessage(0)
}

/** Sooner than a timer, which takes a millisecond. Browsers have none. */
const { setImmediate } = globalThis as { readonly setImmediate?: (task: () => void) => void }

/** The live event loop, which has no service. */
const afterTimers = (task: () => void): void => {
  if (typeof document === "undefined") setTimeout(task, 0)
  else afterMessage(task)
}

const later = setImmediate ?? afterTimers

/** `begin`, which is on its way once at most: a second one would bring a third. */
const once = (soon: (task: () => void) => void): () => void => {
  let onItsWay = false
  const arrive = () => {
    onItsWay = false
    begin()
  }
  return () => {
    if (onItsWay) return
    onItsWay = true
    soon(arrive)
  }
}

/** Costs less than the other while there is little to do. */
const beginAfterTimers = once(afterTimers)

const beginLater = once(later)

const schedule = (task: () => void): void => {
  if (rounds === 0) beginAfterTimers()
  rounds++
  if (rounds < roundsMax) return queueMicrotask(task)
  waiting.push(task)
  beginLater()
}

/**
 * `schedule` runs a task at the end of the current tick, after those that were scheduled before. The default is a microtask:
 * every call made, reply written and event sent in one go of the event loop travels in one message, and nothing waits for a
 * timer. A loop of calls that never waits for anything else is made to wait for the event loop, once in a while.
 *
 * `later` runs one when timers and sockets have had their turn.
 */
export class Flush extends Context.Reference<Flush>()("@troupe/contract/Flush", {
  defaultValue: () => ({ schedule, later })
}) {}
