/** The conversation as the page knows it, as plain data, and how it changes. Nothing here knows the DOM or the network. */
import * as Option from "effect/Option"
import type { Message, Person, Whispered } from "../contract.ts"

/** What stands in the conversation for good. */
export type Entry = Message | Whispered

/** A message that has no answer yet, or got one that it did not want. */
export interface Draft {
  readonly key: number
  readonly text: string
  readonly to: Option.Option<Person>
  readonly problem: Option.Option<Problem>
}

export interface Problem {
  readonly text: string
  /** Whether the message has certainly not been delivered, so that sending it again says nothing twice. */
  readonly unsent: boolean
}

export interface Model {
  readonly me: Option.Option<Person>
  readonly people: ReadonlyArray<Person>
  /** Sorted by id, each id once. */
  readonly entries: ReadonlyArray<Entry>
  /** In the order in which they were written. */
  readonly drafts: ReadonlyArray<Draft>
  readonly nextKey: number
  /** Whom the next message is for, if not for everybody. */
  readonly to: Option.Option<Person>
  /** Something that went wrong and belongs to no message. */
  readonly notice: Option.Option<string>
}

export const empty: Model = {
  me: Option.none(),
  people: [],
  entries: [],
  drafts: [],
  nextKey: 1,
  to: Option.none(),
  notice: Option.none()
}

/** How many entries the page keeps. */
const entriesMax = 500

const sorted = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  [...new Map(entries.map((entry) => [entry.id, entry])).values()].sort((a, b) => a.id - b.id).slice(-entriesMax)

/** An event or an answer has brought an entry. It may be known already: then nothing changes. */
export const withEntry = (entry: Entry) => (model: Model): Model => ({
  ...model,
  entries: sorted([...model.entries, entry])
})

/**
 * The history replaces what the page has up to the history's end, so that it shows no hole where it missed more than the
 * history holds. Whispers are not in the history and stay.
 */
export const withHistory = (history: ReadonlyArray<Message>) => (model: Model): Model => {
  const end = history.at(-1)?.id ?? 0
  const others = model.entries.filter((entry) => entry._tag === "Whispered" || entry.id > end)
  return { ...model, entries: sorted([...history, ...others]) }
}

export const withPeople = (people: ReadonlyArray<Person>) => (model: Model): Model => ({ ...model, people })

export const withMe = (me: Person) => (model: Model): Model => ({ ...model, me: Option.some(me) })

export const withRecipient = (to: Option.Option<Person>) => (model: Model): Model => ({ ...model, to })

export const withNotice = (notice: Option.Option<string>) => (model: Model): Model => ({ ...model, notice })

/** A message has been written. Returns its draft too, by whose key it is found again. */
export const written = (text: string, to: Option.Option<Person>) => (model: Model): readonly [Draft, Model] => {
  const draft: Draft = { key: model.nextKey, text, to, problem: Option.none() }
  return [draft, { ...model, nextKey: model.nextKey + 1, drafts: [...model.drafts, draft] }]
}

export const withoutDraft = (key: number) => (model: Model): Model => ({
  ...model,
  drafts: model.drafts.filter((draft) => draft.key !== key)
})

/** The answer to a draft has come: it becomes an entry, in one step, so that it is never shown twice. */
export const confirmed = (key: number, entry: Entry) => (model: Model): Model =>
  withEntry(entry)(withoutDraft(key)(model))

export const failed = (key: number, problem: Problem) => (model: Model): Model => ({
  ...model,
  drafts: model.drafts.map((draft) => draft.key === key ? { ...draft, problem: Option.some(problem) } : draft)
})

/** Whether the person is in the room now. */
export const isHere = (model: Model, person: Person): boolean => model.people.some(({ id }) => id === person.id)
