/** The conversation: what is confirmed, and below it what still waits. */
import * as DateTime from "effect/DateTime"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type { Person } from "../../contract.ts"
import * as Intent from "../Intent.ts"
import type { Draft, Entry, Model } from "../Model.ts"
import { avatar, badge } from "./Badge.ts"
import { button, byId, element, icon, list, written } from "./dom.ts"

interface Row {
  readonly entry: Entry
  readonly me: Person | undefined
  /** The one above is by the same person and recent, so name and badge need not be repeated. */
  readonly follows: boolean
}

const followsWithinMillis = 5 * 60_000

const follows = (entry: Entry, above: Entry | undefined): boolean =>
  entry._tag === "Said" && above?._tag === "Said" && entry.from.name === above.from.name &&
  // a guest may take a moderator's name, and must not come to stand below their badge
  entry.from.role === above.from.role && DateTime.distance(above.at, entry.at) < followsWithinMillis

const timeOnly = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" })
const dateAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" })

const time = (at: DateTime.Utc): HTMLElement => {
  const date = DateTime.toDateUtc(at)
  const isToday = date.toDateString() === new Date().toDateString()
  const node = element("time", "time", (isToday ? timeOnly : dateAndTime).format(date))
  node.dateTime = date.toISOString()
  return node
}

const lines = ({ entry, follows, me }: Row): HTMLElement => {
  const text = written("p", "text", entry.text)
  switch (entry._tag) {
    case "Announced":
      return element("li", "announcement", icon("horn"), text, time(entry.at))
    case "Said": {
      const mine = entry.from.name === me?.name ? " mine" : ""
      if (follows) return element("li", `message follows${mine}`, text)
      const head = element(
        "p",
        "head",
        written("span", "name", entry.from.name),
        ...badge(entry.from.role),
        time(entry.at)
      )
      return element("li", `message${mine}`, avatar(entry.from.name), head, text)
    }
    case "Whispered": {
      // by the name too, because a page that has joined again has another id; somebody of the same name may whisper to me
      const mine = entry.from.id === me?.id || (entry.to.id !== me?.id && entry.from.name === me?.name)
      const names = mine
        ? ["to ", written("span", "name", entry.to.name)]
        : [written("span", "name", entry.from.name), " to you"]
      const head = element("p", "head", icon("whisper"), element("span", "", ...names), time(entry.at))
      return element("li", "message whisper", avatar(entry.from.name), head, text)
    }
  }
}

const draftLines = (draft: Draft, emit: (intent: Intent.Intent) => void): HTMLElement => {
  const text = written("p", "text", draft.text)
  const to = Option.match(draft.to, { onNone: () => "", onSome: (to) => ` to ${to.name}` })
  return Option.match(draft.problem, {
    onNone: () => element("li", "draft", text, element("p", "state", icon("clock"), `Waiting to be sent${to}`)),
    onSome: (problem) => {
      const state = element("p", "state", problem.text)
      if (problem.unsent) state.append(button("link", "Send again", () => emit(Intent.SendAgain({ draft }))))
      state.append(button("link", "Discard", () => emit(Intent.Discard({ draft }))))
      return element("li", "draft failed", text, state)
    }
  })
}

export const make = (emit: (intent: Intent.Intent) => void) => {
  const scroller = byId("conversation", HTMLElement)
  const nothing = byId("nothing-yet", HTMLElement)
  const newer = byId("newer", HTMLButtonElement)

  const renderRows = list<Row>(byId("messages", HTMLElement), {
    key: ({ entry }) => String(entry.id),
    same: (a, b) => Equal.equals(a.entry, b.entry) && a.me?.name === b.me?.name && a.follows === b.follows,
    make: lines
  })
  const renderDrafts = list<Draft>(byId("drafts", HTMLElement), {
    key: (draft) => String(draft.key),
    same: (a, b) => a.problem === b.problem,
    make: (draft) => draftLines(draft, emit)
  })

  // Whoever reads at the end stays at the end; whoever has scrolled up is left alone and told that there is more.
  let atEnd = true
  const toEnd = () => {
    atEnd = true
    newer.hidden = true
    scroller.scrollTop = scroller.scrollHeight
  }
  let top = 0
  scroller.addEventListener("scroll", () => {
    // Only going up leaves the end: what grows below, or a composer that grows from there, does not.
    if (scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48) atEnd = true
    else if (scroller.scrollTop < top) atEnd = false
    if (atEnd) newer.hidden = true
    top = scroller.scrollTop
  })
  newer.addEventListener("click", toEnd)
  new ResizeObserver(() => {
    if (atEnd) toEnd()
  }).observe(scroller)

  let last = 0
  let drafts = 0
  return {
    render: (model: Model): void => {
      const me = Option.getOrUndefined(model.me)
      renderRows(model.entries.map((entry, i) => ({ entry, me, follows: follows(entry, model.entries[i - 1]) })))
      renderDrafts(model.drafts)
      nothing.hidden = model.entries.length + model.drafts.length > 0
      const newest = model.entries.at(-1)?.id ?? 0
      if (atEnd || model.drafts.length > drafts) toEnd()
      else if (newest > last) newer.hidden = false
      last = newest
      drafts = model.drafts.length
    }
  }
}
