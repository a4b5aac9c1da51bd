/** Clients and actors that come and go by the thousand: nothing of them stays. Real processes, whose memory is looked at. */
import { assert, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import type { Plan } from "./programs/come-and-go.ts"
import * as Program from "./utils/Program.ts"
import type { Vitals } from "./utils/Vitals.ts"

vi.setConfig({ testTimeout: 120_000 })

type Look = Vitals & { readonly cycles: number }

/** Without these, what the engine compiles, and the notes it takes for that, would be most of what grows. */
const uncompiled = ["--no-opt", "--always-sparkplug"]

/** Runs a plan, and returns what the process held at each look. */
const run = (plan: Plan, flags: ReadonlyArray<string> = []) =>
  Effect.gen(function*() {
    const program = yield* Program.start("come-and-go", [JSON.stringify(plan)], {
      bundle: yield* Program.bundle("come-and-go"),
      flags: ["--expose-gc", "--single-threaded-gc", "--max-semi-space-size=32", ...flags]
    })
    assert.strictEqual(yield* program.endedWithin("100 seconds"), 0, program.errors())
    const looks = program.lines.map((line) => JSON.parse(line) as Look)
    assert.deepStrictEqual(looks.map(({ cycles }) => cycles), plan.looks)
    return looks
  })

/** Holds the second look to the first: what there is does not depend on how many have come and gone. */
const compare = ([first, last]: ReadonlyArray<Look>, bytesMax: number) =>
  Effect.sync(() => {
    const cycles = last!.cycles - first!.cycles
    const bytes = (last!.bytes - first!.bytes) / cycles
    console.log(`${bytes.toFixed(1)} bytes a cycle over ${cycles} cycles: ${JSON.stringify([first, last])}`)
    assert.isAtMost(bytes, bytesMax)
    // equal timeouts share a fiber, and a timer, which are there for as long as there are any
    for (const what of ["fibers", "timers"] as const) assert.isAtMost(last![what], first![what] + 4, what)
    for (const what of ["sockets", "connections", "activations"] as const) {
      assert.strictEqual(last![what], first![what], what)
    }
  })

// Whatever is kept of a cycle is a kilobyte or more: an entry of a session, a connection, an activation, a fiber. The smallest
// that could be, an entry of a map under a key, is 100 bytes. An engine that compiles moves some 500 KiB about, which are 60
// bytes for each of 8 000 cycles.

it.scopedLive("C11 L6 10 000 clients, each with a link of its own, and 10 000 actors: nothing of them stays", () =>
  Effect.flatMap(
    run({
      actors: "many",
      durability: "commit",
      looks: [2_000, 10_000],
      atATime: 100,
      keys: Number.MAX_SAFE_INTEGER,
      // longer than the test: what is stored need not be in memory as well
      retentionMillis: 86_400_000
    }),
    (looks) => compare(looks, 150)
  ))

it.scopedLive("C11 L6 clients that come to an actor that stays, or vanish from it without a word", () =>
  Effect.flatMap(
    run(
      { actors: "one", durability: "commit", looks: [300, 1_100], atATime: 50, keys: 1, retentionMillis: 100 },
      uncompiled
    ),
    (looks) => compare(looks, 50)
  ))

it.scopedLive("L6 actors of which nothing is stored, that go to sleep and wake again", () =>
  Effect.flatMap(
    run(
      { actors: "many", durability: "memory", looks: [300, 1_100], atATime: 100, keys: 100, retentionMillis: 100 },
      uncompiled
    ),
    (looks) => compare(looks, 50)
  ))
