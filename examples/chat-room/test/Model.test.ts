/** How the page's data changes, without a browser. */
import { ConnectionId } from "@troupe/contract/ConnectionId"
import { DateTime, Option } from "effect"
import { assert, describe, it } from "vitest"
import { Person, Said, Whispered } from "../src/contract.ts"
import * as Model from "../src/page/Model.ts"

const ada = Person.make({ id: ConnectionId.make(1), name: "Ada", role: "guest" })
const at = DateTime.unsafeMake(0)
const said = (id: number) => Said.make({ id, at, from: ada, text: `message ${id}` })
const whispered = (id: number) => Whispered.make({ id, at, from: ada, to: ada, text: `whisper ${id}` })

const after = (...changes: ReadonlyArray<(model: Model.Model) => Model.Model>) =>
  changes.reduce((model, change) => change(model), Model.empty)

const ids = (model: Model.Model) => model.entries.map(({ id }) => id)

describe("Model", () => {
  it("sorts entries and keeps each once", () => {
    const model = after(Model.withEntry(said(2)), Model.withEntry(said(1)), Model.withEntry(said(2)))
    assert.deepStrictEqual(ids(model), [1, 2])
  })

  it("lets the history replace what it covers, but no whispers and nothing newer", () => {
    const before = after(...[said(1), whispered(2), said(3), said(9)].map(Model.withEntry))
    assert.deepStrictEqual(ids(Model.withHistory([said(4), said(5)])(before)), [2, 4, 5, 9])
  })

  it("turns a draft into an entry in one step", () => {
    const [draft, model] = Model.written("message 1", Option.none())(Model.empty)
    assert.deepStrictEqual(model.drafts, [draft])
    const next = Model.confirmed(draft.key, said(1))(model)
    assert.deepStrictEqual(next.drafts, [])
    assert.deepStrictEqual(ids(next), [1])
  })

  it("keeps a failed draft, with what went wrong", () => {
    const [draft, model] = Model.written("message 1", Option.some(ada))(Model.empty)
    const next = Model.failed(draft.key, { text: "no", unsent: true })(model)
    assert.deepStrictEqual(next.drafts, [{ ...draft, problem: Option.some({ text: "no", unsent: true }) }])
    assert.deepStrictEqual(Model.withoutDraft(draft.key)(next).drafts, [])
  })
})
