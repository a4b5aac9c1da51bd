/** Says why the connection has ended for good, and asks what now. */
import * as Effect from "effect/Effect"
import { byId } from "./dom.ts"

export const make = () => {
  const dialog = byId("ended", HTMLDialogElement)
  const text = byId("ended-reason", HTMLElement)

  return {
    /** Whether the person wants to join again with the same name. */
    ask: (reason: string): Effect.Effect<boolean> =>
      Effect.async((resume) => {
        const onClose = () => resume(Effect.succeed(dialog.returnValue === "again"))
        text.textContent = reason
        dialog.returnValue = "" // what Escape leaves
        dialog.addEventListener("close", onClose, { once: true })
        dialog.showModal()
        return Effect.sync(() => dialog.removeEventListener("close", onClose))
      })
  }
}
