/** The few lines of DOM that the views share. What people are called only ever becomes text, never HTML. */

/** The element with this id in index.html. */
export const byId = <E extends HTMLElement>(id: string, type: new() => E): E => {
  const found = document.getElementById(id)
  if (found instanceof type) return found
  throw new Error(`index.html has no ${type.name} with the id "${id}"`)
}

/** A new element. */
export const element = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[K] => {
  const node = document.createElement(tag)
  node.className = className
  node.append(...children)
  return node
}

/** A name: `dir` keeps text of the other direction from reordering what stands around it. */
export const named = <K extends keyof HTMLElementTagNameMap>(tag: K, className: string, name: string) => {
  const node = element(tag, className, name)
  node.dir = "auto"
  return node
}

/** One of the pictures in index.html. It only decorates. */
export const picture = (id: string): SVGElement => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use")
  use.setAttribute("href", `#${id}`)
  svg.setAttribute("aria-hidden", "true")
  svg.append(use)
  return svg
}

/** Gives an element somebody's colour. */
export const colour = (node: HTMLElement, hue: number): void => node.style.setProperty("--hue", String(hue))
