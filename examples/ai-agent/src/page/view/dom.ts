/** The few lines of DOM that the views share. What people wrote only ever becomes text, never HTML. */

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

/** What somebody wrote: `dir` keeps text of the other direction from reordering what stands around it. */
export const written = <K extends keyof HTMLElementTagNameMap>(tag: K, className: string, text: string) => {
  const node = element(tag, className, text)
  node.dir = "auto"
  return node
}

/** One of the icons in index.html. It only decorates: what it means stands beside it, or in the button's label. */
export const icon = (name: string): SVGElement => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use")
  use.setAttribute("href", `#icon-${name}`)
  svg.setAttribute("aria-hidden", "true")
  svg.classList.add("icon")
  svg.append(use)
  return svg
}

export const button = (
  className: string,
  label: string,
  onClick: () => void,
  ...children: ReadonlyArray<Node | string>
) => {
  const node = element("button", className, ...(children.length === 0 ? [label] : children))
  node.type = "button"
  if (children.length > 0) {
    node.ariaLabel = label
    node.title = label
  }
  node.addEventListener("click", onClick)
  return node
}

/**
 * Shows items as the children of an element. A child is kept while its item stays the same, so focus, selection and
 * scroll positions are, and a screen reader hears only of what is new.
 */
export const list = <A>(parent: Element, options: {
  readonly key: (item: A) => string
  readonly same: (a: A, b: A) => boolean
  readonly make: (item: A) => HTMLElement
}) => {
  let shown = new Map<string, { readonly item: A; readonly node: HTMLElement }>()
  return (items: ReadonlyArray<A>): void => {
    const next = new Map(items.map((item) => {
      const key = options.key(item)
      const old = shown.get(key)
      return [key, old && options.same(old.item, item) ? old : { item, node: options.make(item) }] as const
    }))
    for (const [key, { node }] of shown) if (next.get(key)?.node !== node) node.remove()
    let index = 0
    for (const { node } of next.values()) {
      if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null)
      index++
    }
    shown = next
  }
}
