/** The pointers of the others. Each follows its position, frame by frame, for as long as it is not there. */
import type { Point } from "../../contract.ts"
import type { Cursor } from "../Model.ts"
import * as Motion from "../Motion.ts"
import { byId, colour, element, named, picture } from "./dom.ts"

interface Shown {
  readonly node: HTMLElement
  at: Point
  to: Point
}

const draw = ({ hue, name }: Cursor): HTMLElement => {
  const node = element("div", "cursor", picture("arrow"), named("span", "label", name))
  node.dataset["name"] = name
  colour(node, hue)
  return node
}

export const make = () => {
  const board = byId("board", HTMLElement)
  const stillness = matchMedia("(prefers-reduced-motion: reduce)")
  const shown = new Map<number, Shown>()
  let last: number | undefined

  const place = ({ at, node }: Shown) => {
    node.style.transform = `translate(${at.x * board.clientWidth}px, ${at.y * board.clientHeight}px)`
  }

  const frame = (now: number) => {
    const millis = stillness.matches ? Infinity : Math.max(0, now - (last ?? now))
    last = now
    let moving = false
    for (const cursor of shown.values()) {
      if (cursor.at === cursor.to) continue
      cursor.at = Motion.step(cursor.at, cursor.to, millis)
      place(cursor)
      moving = true
    }
    if (moving) requestAnimationFrame(frame)
    else last = undefined
  }

  const animate = () => {
    if (last !== undefined) return
    last = performance.now()
    requestAnimationFrame(frame)
  }

  addEventListener("resize", () => shown.forEach(place))

  const appear = (cursor: Cursor): Shown => {
    const fresh = { node: draw(cursor), at: cursor.at, to: cursor.at }
    shown.set(cursor.id, fresh)
    place(fresh)
    board.append(fresh.node)
    return fresh
  }

  return {
    render: (cursors: ReadonlyArray<Cursor>): void => {
      const here = new Set<number>(cursors.map(({ id }) => id))
      for (const [id, { node }] of shown) {
        if (here.has(id)) continue
        node.remove()
        shown.delete(id)
      }
      for (const cursor of cursors) (shown.get(cursor.id) ?? appear(cursor)).to = cursor.at
      animate()
    }
  }
}
