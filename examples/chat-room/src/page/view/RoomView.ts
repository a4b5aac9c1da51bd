/** The room: people, conversation, composer. */
import * as Option from "effect/Option"
import * as Intent from "../Intent.ts"
import type { Model } from "../Model.ts"
import * as Composer from "./Composer.ts"
import * as DisconnectDialog from "./DisconnectDialog.ts"
import { byId } from "./dom.ts"
import * as Messages from "./Messages.ts"
import * as People from "./People.ts"

export const make = (emit: (intent: Intent.Intent) => void) => {
  const disconnectDialog = DisconnectDialog.make((who, reason) => emit(Intent.Disconnect({ who, reason })))
  const people = People.make({ emit, askToDisconnect: disconnectDialog.open })
  const messages = Messages.make(emit)
  const composer = Composer.make(emit)
  const notice = byId("notice", HTMLElement)
  const noticeText = byId("notice-text", HTMLElement)

  byId("notice-dismiss", HTMLButtonElement).addEventListener("click", () => emit(Intent.DismissNotice()))
  byId("leave", HTMLButtonElement).addEventListener("click", () => emit(Intent.Leave()))

  // Wide, the people are a sidebar that stands open; narrow, they fold away above the conversation.
  const sidebar = byId("sidebar", HTMLDetailsElement)
  const wide = matchMedia("(min-width: 760px)")
  const fit = () => sidebar.open = wide.matches
  fit()
  wide.addEventListener("change", fit)
  sidebar.addEventListener("toggle", () => sidebar.open ||= wide.matches)

  let to: number | undefined
  return {
    /** Shows the room instead of the form. */
    show: (): void => {
      byId("join", HTMLElement).hidden = true
      byId("room", HTMLElement).hidden = false
      if (wide.matches) composer.focus() // on a phone it would open the keyboard
    },

    render: (model: Model): void => {
      people.render(model)
      messages.render(model)
      composer.render(model)
      notice.hidden = Option.isNone(model.notice)
      const next = Option.getOrUndefined(model.to)?.id
      if (next !== undefined && next !== to && !wide.matches) sidebar.open = false
      to = next
      noticeText.textContent = Option.getOrElse(model.notice, () => "")
    }
  }
}
