/** Everybody on the board, in their colours. */
import type { Person } from "../../contract.ts"
import type { Model } from "../Model.ts"
import { byId, colour, element, named } from "./dom.ts"

const initials = (name: string) => name.split(/\s+/).map((word) => [...word][0]).join("").slice(0, 2).toUpperCase()

const row = ({ hue, name }: Person, isMe: boolean): HTMLElement => {
  const avatar = element("span", "avatar", initials(name))
  avatar.ariaHidden = "true"
  const node = element("li", "person", avatar, named("span", "name", name))
  if (isMe) node.append(element("span", "you", "you"))
  colour(node, hue)
  return node
}

export const make = () => {
  const list = byId("people", HTMLUListElement)
  const hint = byId("hint", HTMLElement)
  let shown: Pick<Model, "me" | "people"> | undefined
  return {
    /** Pointers move many times a second, people come and go: the list is made anew only for these. */
    render: ({ me, people }: Model): void => {
      if (shown?.people === people && shown.me === me) return
      shown = { me, people }
      list.replaceChildren(...people.map((person) => row(person, person.id === me)))
      hint.dataset["alone"] = String(people.length < 2)
    }
  }
}
