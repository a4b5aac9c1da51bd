/** A server process on a file, killed with SIGKILL under load of client processes. `npm run crash` does it for longer. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Answer, Held } from "../crash/Answer.ts"
import * as CrashRun from "../crash/CrashRun.ts"
import * as Findings from "../crash/Findings.ts"

it.scopedLive(
  "T3 C7 a server killed under load of 4 client processes: each call takes effect once, in order, and is answered",
  () =>
    Effect.gen(function*() {
      const kills = 20
      const report = yield* CrashRun.make({ kills, clients: 4 })
      console.log(`crash run: ${JSON.stringify(report)}`)
      const { calls, ledgers, seconds: _, unknown, ...found } = report
      assert.isAbove(calls, kills * 12)
      assert.isAbove(ledgers, 3, "some were full")
      // only calls that are not sent again, and few of them
      assert.isAtMost(unknown, calls / 4)
      assert.deepStrictEqual(found, { kills, lost: 0, doubled: 0, foreign: 0, outOfOrder: 0, hung: [] })
    }),
  180_000
)

it("what must not be is found: the checks of a crash run have eyes", () => {
  const done = (entry: string, ledger: number, more: Partial<Answer> = {}): Answer => ({
    key: "a",
    entry,
    end: "done",
    ledger,
    ...more
  })
  const find = (ledger: ReadonlyArray<string>, answers: ReadonlyArray<Answer>, journal: ReadonlyArray<string> = []) => {
    const held: Held = { key: "a", ledger, journal }
    return Object.entries(Findings.of(answers, [held])).flatMap(([what, count]) =>
      count > 0 ? [`${count} ${what}`] : []
    )
  }
  const unknown: Answer = { key: "a", entry: "1s-3", end: "unknown" }
  const both = done("1-2", 2, { journal: 1 })
  const tail = done("1s-3", 3, { tail: ["1-2", "1s-3"] })
  assert.deepStrictEqual(find(["1-1", "1-2", "1s-3"], [done("1-1", 1), both, tail], ["1-2"]), [])
  assert.deepStrictEqual(find(["1-1", "1s-3"], [done("1-1", 1), unknown]), [])
  assert.deepStrictEqual(find(["1-1"], [done("1-1", 1), unknown]), [])
  assert.deepStrictEqual(find(["1-1"], [done("1-1", 1), done("1-2", 2)]), ["1 lost", "1 outOfOrder"])
  assert.deepStrictEqual(find(["1-1", "1-2"], [done("1-1", 1), both]), ["1 lost", "1 outOfOrder"])
  assert.deepStrictEqual(find(["1-1", "1-1"], [done("1-1", 1)]), ["1 doubled"])
  assert.deepStrictEqual(find(["1s-3", "1s-3"], [unknown]), ["1 doubled"])
  assert.deepStrictEqual(find(["1-1"], [{ key: "a", entry: "1-1", end: "declined" }]), ["1 foreign"])
  assert.deepStrictEqual(find(["1-2", "1-1"], [done("1-2", 1), done("1-1", 2)]), ["1 outOfOrder"])
  assert.deepStrictEqual(find(["1-1", "2-1"], [done("1-1", 2), done("2-1", 1)]), ["2 outOfOrder"])
  assert.deepStrictEqual(
    find(["1-1", "1-2", "1s-3"], [done("1-1", 1), done("1-2", 2), { ...tail, tail: ["1-1", "1s-3"] }]),
    [
      "1 outOfOrder"
    ]
  )
})
