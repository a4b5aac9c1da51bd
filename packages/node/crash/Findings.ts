/** Compares what callers were told with what the ledgers hold. */
import { tailLength } from "../test/utils/Ledger.ts"
import type { Answer, Held } from "./Answer.ts"

/** How often something was found that must not be. */
export interface Findings {
  /** Answered, and not there. */
  readonly lost: number
  /** There twice. */
  readonly doubled: number
  /** There, and it was not asked for, or was declined. */
  readonly foreign: number
  /** Behind a later one of the same queue, or not at the place that was told. */
  readonly outOfOrder: number
}

/** Of a list with entries that have to be there, and others that may. */
const compare = (list: ReadonlyArray<string>, done: ReadonlyArray<string>, unknown: ReadonlyArray<string>) => {
  const found = new Set(list)
  const known = new Set([...done, ...unknown])
  return {
    lost: done.filter((entry) => !found.has(entry)).length,
    doubled: list.length - found.size,
    foreign: list.filter((entry) => !known.has(entry)).length
  }
}

/** How many entries stand behind a later one of their queue. */
const disorder = (entries: ReadonlyArray<string>): number => {
  const last = new Map<string, number>()
  return entries.filter((entry) => {
    const [queue, text] = entry.split("-") as [string, string]
    const number = Number(text)
    const before = last.get(queue) ?? -1
    last.set(queue, Math.max(before, number))
    return number < before
  }).length
}

const sum = (a: number, b: number): number => a + b

/** Whether a stream has not given the entries up to a place, as many as it gives or as there were. */
const isMistoldOf = (tail: ReadonlyArray<string>, place: number, { ledger }: Held): boolean =>
  tail.join() !== ledger.slice(Math.max(0, place - tailLength), place).join()

/** Whether a call was told of something that is not so. */
const isMistold = ({ entry, journal, ledger, tail }: Answer, held: Held): boolean =>
  (ledger !== undefined && held.ledger[ledger - 1] !== entry)
  || (journal !== undefined && held.journal[journal - 1] !== entry)
  || (tail !== undefined && isMistoldOf(tail, ledger!, held))

const ofKey = (answers: ReadonlyArray<Answer>, held: Held): Findings => {
  const entries = (those: (answer: Answer) => boolean) => answers.filter(those).map(({ entry }) => entry)
  const unknown = entries(({ end }) => end === "unknown")
  const ledger = compare(held.ledger, entries(({ end }) => end === "done"), unknown)
  const journal = compare(held.journal, entries((answer) => answer.journal !== undefined), [])
  // each entry stands on one of the slips that were torn up, or on the last
  const slips = [...answers.flatMap(({ torn = [] }) => torn), ...held.slip]
  const slip = compare(slips, entries((answer) => answer.slip !== undefined), [])
  return {
    lost: ledger.lost + journal.lost + slip.lost,
    doubled: ledger.doubled + journal.doubled + slip.doubled,
    foreign: ledger.foreign + journal.foreign + slip.foreign,
    outOfOrder:
      [held.ledger, held.journal, held.slip, ...answers.map(({ torn = [] }) => torn)].map(disorder).reduce(sum)
      + answers.filter((answer) => isMistold(answer, held)).length
  }
}

/** What is wrong, over all ledgers. */
export const of = (answers: ReadonlyArray<Answer>, held: ReadonlyArray<Held>): Findings => {
  const byKey = new Map<string, Array<Answer>>(held.map(({ key }) => [key, []]))
  for (const answer of answers) byKey.get(answer.key)?.push(answer)
  const all = held.map((each) => ofKey(byKey.get(each.key) ?? [], each))
  const total = (of: keyof Findings) => all.map((findings) => findings[of]).reduce(sum, 0)
  return { lost: total("lost"), doubled: total("doubled"), foreign: total("foreign"), outOfOrder: total("outOfOrder") }
}
