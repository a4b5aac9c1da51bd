/** Where questions are written: Enter asks, Shift and Enter begin a new line. While an answer is written, it can be stopped. */
import * as Option from "effect/Option"
import { questionMax } from "../../contract.ts"
import * as Intent from "../Intent.ts"
import { empty, isReady, type Model, unfinished } from "../Model.ts"
import { byId } from "./dom.ts"

export const make = (emit: (intent: Intent.Intent) => void) => {
  const form = byId("composer", HTMLFormElement)
  const input = byId("text", HTMLTextAreaElement)
  const ask = byId("ask", HTMLButtonElement)
  const stop = byId("stop", HTMLButtonElement)
  const notice = byId("notice", HTMLElement)
  const noticeText = byId("notice-text", HTMLElement)
  let model = empty

  const fit = () => {
    ask.disabled = !isReady(model) || input.value.trim() === ""
  }

  input.maxLength = questionMax
  input.addEventListener("input", fit)
  input.addEventListener("keydown", (event) => {
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    const text = input.value.trim()
    if (text === "" || !isReady(model)) return
    emit(Intent.Ask({ text }))
    input.value = ""
    fit()
  })
  stop.addEventListener("click", () => {
    const answer = unfinished(model)
    if (answer) emit(Intent.Stop({ answer: answer.id }))
    input.focus()
  })
  byId("notice-dismiss", HTMLButtonElement).addEventListener("click", () => emit(Intent.DismissNotice()))
  input.focus()

  return {
    render: (next: Model): void => {
      model = next
      const writing = unfinished(model) !== undefined
      ask.hidden = writing
      stop.hidden = !writing
      stop.disabled = Option.isSome(model.stopping)
      notice.hidden = Option.isNone(model.notice)
      noticeText.textContent = Option.getOrElse(model.notice, () => "")
      fit()
    }
  }
}
