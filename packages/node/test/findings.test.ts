/** What the crash loop compares finds each way in which ledgers can be wrong. */
import { assert, describe, it } from "@effect/vitest"
import type { Answer, Held } from "../crash/Answer.ts"
import * as Findings from "../crash/Findings.ts"

const well: Findings.Findings = { lost: 0, doubled: 0, foreign: 0, outOfOrder: 0 }

const entries = (count: number) => Array.from({ length: count }, (_, i) => `1a-${i}`)

/** Ten calls that have all been answered as they should, and what is held then. */
const answers = entries(10).map((entry, i): Answer => ({ key: "a0", entry, end: "done", ledger: i + 1 }))
const held: Held = { key: "a0", ledger: entries(10), journal: [], slip: [] }

const find = (changed: Partial<Held>, last: Partial<Answer> = {}) =>
  Findings.of([...answers.slice(0, 9), { ...answers[9]!, ...last }], [{ ...held, ...changed }])

/** What an answer tells of the last slip, and of the stream that gave it. */
const slip = { slip: 1, torn: ["1a-9"] }
const tail = (from: number) => ({ tail: entries(10).slice(from) })

describe("the comparison of a crash run finds", () => {
  it("nothing in one that is right", () => {
    assert.deepStrictEqual(find({}), well)
    assert.deepStrictEqual(find({ journal: ["1a-9"] }, { journal: 1 }), well)
    assert.deepStrictEqual(find({}, slip), well)
    assert.deepStrictEqual(find({}, tail(2)), well)
    assert.deepStrictEqual(find({}, { end: "unknown" }), well)
  })

  const wrong: Record<string, Findings.Findings> = {
    "an entry that is lost": find({ ledger: entries(9) }),
    "an entry that is there twice": find({ ledger: [...entries(10), "1a-9"] }),
    "an entry that nobody has asked for": find({ ledger: [...entries(10), "1a-10"] }),
    "an entry of a call that was declined": find({}, { end: "declined" }),
    "two entries in the wrong order": find({ ledger: [...entries(8), "1a-9", "1a-8"] }),
    "the place of another entry": find({}, { ledger: 9 }),
    "an entry that is lost in the journal": find({}, { journal: 1 }),
    "the place of another entry of the journal": find({ journal: ["1a-9"] }, { journal: 2 }),
    "an entry that is lost with the slip": find({}, { slip: 1, torn: [] }),
    "an entry on two slips": find({ slip: ["1a-9"] }, slip),
    "two entries of a slip that was torn up in the wrong order": Findings.of([
      ...answers.slice(0, 8),
      { ...answers[8]!, slip: 1, torn: [] },
      { ...answers[9]!, slip: 2, torn: ["1a-9", "1a-8"] }
    ], [held]),
    "a stream with a hole": find({}, { tail: ["1a-6", "1a-7", "1a-9"] }),
    "a stream whose beginning is lost": find({}, tail(5))
  }

  for (const [what, findings] of Object.entries(wrong)) it(what, () => assert.notDeepEqual(findings, well))
})
