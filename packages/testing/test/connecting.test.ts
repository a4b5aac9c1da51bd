import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { backend, connect, Probe, run } from "./support/lab.ts"

it.effect("A0 smoke", () => run(Effect.gen(function*() {
  const probe = yield* Probe
  const ann = yield* connect("ann", { events: ["appended"] })
  assert.strictEqual(yield* ann.rpc.Append({ item: "x" }), 1)
  assert.strictEqual(yield* (yield* backend).Count(), 1)
  assert.deepStrictEqual(probe.notes, ["build main"])
})))
