/** How the page's data changes, without a browser. */
import { ConnectionId } from "@troupe/contract/ConnectionId"
import { assert, describe, it } from "vitest"
import * as Model from "../src/page/Model.ts"

const [ada, bob, eve] = ["Ada", "Bob", "Eve"].map((name, i) => ({ id: ConnectionId.make(i + 1), name, hue: i }))
const at = { x: 0.5, y: 0.5 }

const looked = Model.seen({ me: ada!.id, people: [ada!, bob!], places: [{ id: ada!.id, at }, { id: bob!.id, at }] })()

const names = (model: Model.Model) => Model.cursors(model).map(({ name }) => name)

describe("Model", () => {
  it("shows the pointers of the others that are on the board", () => {
    assert.deepStrictEqual(Model.cursors(looked), [{ ...bob!, at }])
    assert.deepStrictEqual(names(Model.withPlace({ id: bob!.id, at: null })(looked)), [])
  })

  it("shows a pointer when its person is known, whichever is told first", () => {
    const moved = Model.withPlace({ id: eve!.id, at })(looked)
    assert.deepStrictEqual(names(moved), ["Bob"])
    assert.deepStrictEqual(names(Model.withPeople([ada!, bob!, eve!])(moved)), ["Bob", "Eve"])
  })

  it("keeps nothing of those who have left", () => {
    const left = Model.withPeople([ada!])(looked)
    assert.deepStrictEqual([...left.places.keys()], [ada!.id])
    assert.deepStrictEqual(names(left), [])
  })
})
