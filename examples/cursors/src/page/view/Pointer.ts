/** Where the person's pointer is on the board. */
import * as Stream from "effect/Stream"
import type { Point } from "../../contract.ts"
import { byId } from "./dom.ts"

const clamp = (share: number) => Math.min(1, Math.max(0, share))

const pointIn = (board: HTMLElement, { clientX, clientY }: PointerEvent): Point => {
  const { height, left, top, width } = board.getBoundingClientRect()
  return { x: clamp((clientX - left) / width), y: clamp((clientY - top) / height) }
}

/** The places of the pointer, `null` when it has left the board. Who does not take one in time finds the newest. */
export const make = (): Stream.Stream<Point | null> => {
  const board = byId("board", HTMLElement)
  return Stream.merge(
    Stream.map(Stream.fromEventListener<PointerEvent>(board, "pointermove"), (event) => pointIn(board, event)),
    Stream.as(Stream.fromEventListener(board, "pointerleave"), null)
  ).pipe(Stream.buffer({ capacity: 1, strategy: "sliding" }))
}
