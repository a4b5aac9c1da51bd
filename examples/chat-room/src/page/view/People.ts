/** Who is in the room. A click on somebody addresses the next message to them alone. */
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type { Person } from "../../contract.ts"
import * as Intent from "../Intent.ts"
import type { Model } from "../Model.ts"
import { avatar, badge } from "./Badge.ts"
import { button, byId, element, icon, list, written } from "./dom.ts"

interface Row {
  readonly person: Person
  readonly isMe: boolean
  readonly addressed: boolean
  readonly removable: boolean
}

export const make = (options: {
  readonly emit: (intent: Intent.Intent) => void
  readonly askToDisconnect: (person: Person) => void
}) => {
  const count = byId("people-count", HTMLElement)

  const row = ({ addressed, isMe, person, removable }: Row): HTMLElement => {
    const name = element("span", "person-name", written("span", "name", person.name), ...badge(person.role))
    if (isMe) {
      name.append(element("span", "you", "you"))
      return element("li", "person", element("div", "person-main", avatar(person.name), name))
    }
    const address = button(
      "person-main",
      `Whisper to ${person.name}`,
      () => options.emit(Intent.Address({ to: addressed ? Option.none() : Option.some(person) })),
      avatar(person.name),
      name,
      element("span", "hint", icon("whisper"))
    )
    address.ariaPressed = String(addressed)
    const item = element("li", "person", address)
    if (removable) {
      const label = `Disconnect ${person.name}`
      item.append(button("icon-button danger", label, () => options.askToDisconnect(person), icon("door")))
    }
    return item
  }

  const renderRows = list<Row>(byId("people", HTMLElement), {
    key: ({ person }) => String(person.id),
    same: (a, b) =>
      Equal.equals(a.person, b.person) && a.isMe === b.isMe && a.addressed === b.addressed &&
      a.removable === b.removable,
    make: row
  })

  return {
    render: (model: Model): void => {
      const me = Option.getOrUndefined(model.me)
      const to = Option.getOrUndefined(model.to)
      count.textContent = String(model.people.length)
      renderRows(model.people.map((person) => ({
        person,
        isMe: person.id === me?.id,
        addressed: person.id === to?.id,
        removable: me?.role === "moderator" && person.id !== me.id
      })))
    }
  }
}
