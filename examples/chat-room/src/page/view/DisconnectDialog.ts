/** Asks a moderator why somebody has to go. That person is shown the reason. */
import { type Person, reasonMax } from "../../contract.ts"
import { byId } from "./dom.ts"

export const make = (onConfirm: (who: Person, reason: string) => void) => {
  const dialog = byId("disconnect", HTMLDialogElement)
  const form = byId("disconnect-form", HTMLFormElement)
  const name = byId("disconnect-name", HTMLElement)
  const input = byId("disconnect-reason", HTMLInputElement)
  let who: Person | undefined

  input.maxLength = reasonMax
  byId("disconnect-cancel", HTMLButtonElement).addEventListener("click", () => dialog.close())
  form.addEventListener("submit", () => {
    const reason = input.value.trim()
    if (who !== undefined && reason !== "") onConfirm(who, reason)
  })

  return {
    open: (person: Person): void => {
      who = person
      name.textContent = person.name
      dialog.showModal()
      input.select()
    }
  }
}
