/** The conversation: questions, answers as they are written, and a question that waits. */
import * as Option from "effect/Option"
import type { Message } from "../../contract.ts"
import * as Intent from "../Intent.ts"
import type { Draft, Model } from "../Model.ts"
import { button, byId, element, written } from "./dom.ts"

/** How an answer has ended, where that is worth a word. */
const endings = { writing: "", complete: "", stopped: "Stopped", failed: "The model has failed here" } as const

interface Row {
  readonly node: HTMLElement
  readonly update: (message: Message) => void
}

const makeRow = (message: Message): Row => {
  if (message._tag === "Question") {
    return { node: element("li", "question", written("p", "text", message.text)), update: () => {} }
  }
  // Its text only grows: what is new is added to it, so that a selection in it stays where it is.
  const data = document.createTextNode("")
  const text = element("div", "text", data)
  const ending = element("p", "ending")
  const node = element("li", "answer", text, ending)
  text.dir = "auto"
  return {
    node,
    update: (message) => {
      if (message._tag !== "Answer") return
      data.appendData(message.text.slice(data.length))
      ending.textContent = endings[message.progress]
      node.dataset["progress"] = message.progress
      node.ariaBusy = String(message.progress === "writing")
    }
  }
}

const draftRow = (draft: Draft, emit: (intent: Intent.Intent) => void): HTMLElement => {
  const text = written("p", "text", draft.text)
  return Option.match(draft.problem, {
    onNone: () => element("li", "question draft", text, element("p", "state", "Waiting to be sent")),
    onSome: (problem) => {
      const state = element("p", "state", problem.text, " ")
      if (problem.unsent) state.append(button("link", "Ask again", () => emit(Intent.Ask({ text: draft.text }))), " ")
      state.append(button("link", "Discard", () => emit(Intent.Discard())))
      return element("li", "question draft failed", text, state)
    }
  })
}

export const make = (emit: (intent: Intent.Intent) => void) => {
  const scroller = byId("conversation", HTMLElement)
  const list = byId("messages", HTMLElement)
  const drafts = byId("drafts", HTMLElement)
  const welcome = byId("welcome", HTMLElement)
  const rows = new Map<number, Row>()

  for (const suggestion of welcome.querySelectorAll("button")) {
    suggestion.addEventListener("click", () => emit(Intent.Ask({ text: suggestion.textContent ?? "" })))
  }

  // Whoever reads at the end stays at the end; whoever has scrolled up is left alone.
  let atEnd = true
  const toEnd = () => void (scroller.scrollTop = scroller.scrollHeight)
  let top = 0
  scroller.addEventListener("scroll", () => {
    if (scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48) atEnd = true
    else if (scroller.scrollTop < top) atEnd = false
    top = scroller.scrollTop
  })
  new ResizeObserver(() => {
    if (atEnd) toEnd()
  }).observe(scroller)

  const renderRows = (messages: ReadonlyArray<Message>) => {
    const ids = new Set(messages.map(({ id }) => id))
    for (const [id, { node }] of rows) {
      if (ids.has(id)) continue
      node.remove() // the conversation has become too long to keep it
      rows.delete(id)
    }
    for (const message of messages) {
      const row = rows.get(message.id) ?? makeRow(message)
      if (!rows.has(message.id)) list.append(row.node)
      rows.set(message.id, row)
      row.update(message)
    }
  }

  let draft: Option.Option<Draft> = Option.none()
  return {
    render: (model: Model): void => {
      renderRows(model.messages)
      welcome.hidden = !model.read || model.messages.length > 0 || Option.isSome(model.draft)
      if (draft !== model.draft)
        drafts.replaceChildren(...Option.toArray(model.draft).map((draft) => draftRow(draft, emit)))
      if (atEnd || (Option.isNone(draft) && Option.isSome(model.draft))) toEnd()
      draft = model.draft
    }
  }
}
