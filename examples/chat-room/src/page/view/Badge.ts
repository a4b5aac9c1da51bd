/** How a person looks beside their name. */
import type { Role } from "../../contract.ts"
import { element } from "./dom.ts"

/** The same hue for the same name, on every page. */
const hueOf = (name: string): number => {
  let hash = 7
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 3600
  return hash / 10
}

const initialsOf = (name: string): string =>
  name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase()

export const avatar = (name: string): HTMLElement => {
  const node = element("span", "avatar", initialsOf(name))
  node.style.setProperty("--hue", String(hueOf(name)))
  node.ariaHidden = "true"
  return node
}

/** A moderator has a badge, a guest has none. */
export const badge = (role: Role): ReadonlyArray<HTMLElement> =>
  role === "moderator" ? [element("span", "badge", "moderator")] : []
