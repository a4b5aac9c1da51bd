/** Alarms by the time they are due. */
import * as Data from "effect/Data"
import * as Order from "effect/Order"
import * as RedBlackTree from "effect/RedBlackTree"

/** One alarm of one actor. Alarms of one actor that are due together have one position. */
export interface Position {
  /** In milliseconds since the epoch. */
  readonly due: number
  /** The actor's key. */
  readonly key: string
}

interface Entry extends Position {
  readonly id: string
}

/** First by time, then by key: the order in which positions are walked. */
export const order: Order.Order<Position> = Order.combine(
  Order.mapInput(Order.number, ({ due }: Position) => due),
  Order.mapInput(Order.string, ({ key }: Position) => key)
)

const entryOrder: Order.Order<Entry> = Order.combine(order, Order.mapInput(Order.string, ({ id }: Entry) => id))

/** Compared by value, because the tree finds what is to be removed by `Equal`. */
const entry = ({ due, key }: Position, id: string): Entry => Data.struct({ due, key, id })

export class AlarmIndex {
  private tree = RedBlackTree.empty<Entry, void>(entryOrder)

  add(position: Position, id = ""): void {
    this.tree = RedBlackTree.insert(this.tree, entry(position, id), undefined)
  }

  remove(position: Position, id = ""): void {
    this.tree = RedBlackTree.removeFirst(this.tree, entry(position, id))
  }

  get first(): Position | undefined {
    return this.after(undefined, 1)[0]
  }

  /** The first positions after one, each once. */
  after(position: Position | undefined, max: number): ReadonlyArray<Position> {
    const found: Array<Position> = []
    const rest = position ? RedBlackTree.greaterThanEqual(this.tree, { ...position, id: "" }) : this.tree
    for (const [{ due, key }] of rest) {
      const last = found[found.length - 1] ?? position
      if (last?.due === due && last.key === key) continue
      found.push({ due, key })
      if (found.length === max) break
    }
    return found
  }
}
