/** The form to join with. It comes filled in. */
import type { Params } from "@troupe/contract/Contract"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { type ChatRoom, Name, nameMax } from "../../contract.ts"
import { byId } from "./dom.ts"

const manners = ["Merry", "Curious", "Gentle", "Bold", "Dreamy", "Witty", "Velvet", "Nimble", "Brave", "Sunny"] as const
const callings = ["Prompter", "Understudy", "Fiddler", "Juggler", "Poet", "Acrobat", "Piper", "Dancer", "Mime"] as const

/** A name that nobody minds to be called. */
export const friendlyName = Effect.map(
  Effect.all([Random.choice(manners), Random.choice(callings)]),
  ([manner, calling]) => `${manner} ${calling}`
)

export const make = (name: string) => {
  const section = byId("join", HTMLElement)
  const form = byId("join-form", HTMLFormElement)
  const nameInput = byId("name", HTMLInputElement)
  const tokenInput = byId("token", HTMLInputElement)
  const submit = byId("join-submit", HTMLButtonElement)
  const refusal = byId("refusal", HTMLElement)

  nameInput.value = name
  nameInput.maxLength = nameMax
  for (const button of form.querySelectorAll<HTMLButtonElement>("button[data-token]")) {
    button.addEventListener("click", () => tokenInput.value = button.dataset["token"] ?? "")
  }

  const setBusy = (busy: boolean) => {
    submit.disabled = busy
    submit.textContent = busy ? "Joining…" : "Join the room"
  }

  const show = () => {
    byId("room", HTMLElement).hidden = true
    section.hidden = false
    setBusy(false)
  }

  return {
    /** Waits until the form is sent with a name that the contract allows. */
    submitted: Effect.async<Params<ChatRoom>>((resume) => {
      const onSubmit = (event: SubmitEvent) => {
        event.preventDefault()
        refusal.textContent = ""
        const name = nameInput.value.trim()
        if (!Schema.is(Name)(name)) {
          refusal.textContent = `A name has 1 to ${nameMax} characters.`
          return
        }
        setBusy(true)
        resume(Effect.succeed({ name, token: tokenInput.value.trim() }))
      }
      form.addEventListener("submit", onSubmit)
      return Effect.sync(() => form.removeEventListener("submit", onSubmit))
    }),

    show,

    /** Shows why the room did not let the person in. */
    refuse: (reason: string): void => {
      show()
      refusal.textContent = reason
      tokenInput.focus()
      tokenInput.select()
    }
  }
}
