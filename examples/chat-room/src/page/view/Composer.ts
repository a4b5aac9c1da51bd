/** Where messages are written: Enter sends, Shift and Enter begin a new line. */
import * as Option from "effect/Option"
import { textMax } from "../../contract.ts"
import * as Intent from "../Intent.ts"
import { isHere, type Model } from "../Model.ts"
import { byId } from "./dom.ts"

export const make = (emit: (intent: Intent.Intent) => void) => {
  const form = byId("composer", HTMLFormElement)
  const input = byId("text", HTMLTextAreaElement)
  const left = byId("text-left", HTMLElement)
  const recipient = byId("recipient", HTMLElement)
  const recipientName = byId("recipient-name", HTMLElement)

  const onInput = () => {
    const remaining = textMax - input.value.length
    left.textContent = remaining <= 100 ? `${remaining} left` : ""
  }

  input.maxLength = textMax
  input.addEventListener("input", onInput)
  input.addEventListener("keydown", (event) => {
    // While an input method composes a character, Enter belongs to it.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault()
      form.requestSubmit()
    } else if (event.key === "Escape" && !recipient.hidden) {
      emit(Intent.Address({ to: Option.none() }))
    }
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    const text = input.value.trim()
    if (text !== "") emit(Intent.Send({ text }))
    input.value = ""
    onInput()
    input.focus()
  })
  byId("recipient-clear", HTMLButtonElement).addEventListener("click", () => {
    emit(Intent.Address({ to: Option.none() }))
    input.focus()
  })

  let to: number | undefined
  return {
    focus: () => input.focus(),

    render: (model: Model): void => {
      const person = Option.getOrUndefined(model.to)
      recipient.hidden = person === undefined
      form.classList.toggle("whispering", person !== undefined)
      // A whisper stays a whisper when the person leaves: it must not become public between two keystrokes.
      recipientName.textContent = person === undefined
        ? ""
        : isHere(model, person)
        ? person.name
        : `${person.name} (gone)`
      input.placeholder = person === undefined ? "Write to everybody" : `Whisper to ${person.name}`
      input.ariaLabel = input.placeholder
      if (person !== undefined && person.id !== to) input.focus()
      to = person?.id
    }
  }
}
