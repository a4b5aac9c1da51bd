import { assert, it } from "@effect/vitest"
import { Sequence } from "@troupe/contract"
import { Effect, FastCheck as fc } from "effect"

type Command =
  | { readonly _tag: "push"; readonly text: string; readonly attached: boolean }
  | { readonly _tag: "acknowledge"; readonly part: number }
  | { readonly _tag: "lie"; readonly by: number }
  | { readonly _tag: "repeat" }
  | { readonly _tag: "replay" }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("push" as const),
      text: fc.string({ unit: "binary", maxLength: 5 }),
      attached: fc.boolean()
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("acknowledge" as const),
      part: fc.double({ min: 0, max: 1, noNaN: true })
    })
  },
  fc.record({ _tag: fc.constant("lie" as const), by: fc.integer({ min: 1, max: 5 }) }),
  fc.constant({ _tag: "repeat" as const }),
  fc.constant({ _tag: "replay" as const })
)

/** Many commands, so that the outbox has to move its entries, too. */
const commands = fc.array(command, { maxLength: 200, size: "max" })

const replayed = (outbox: Sequence.Outbox<number>) => {
  const kept: Array<readonly [number, string]> = []
  outbox.replay((seq, text) => kept.push([seq, text]))
  return kept
}

it.effect.prop(
  "an outbox keeps what is not acknowledged, in order, and reminds once of what is",
  [commands],
  ([run]) =>
    Effect.sync(() => {
      const outbox = new Sequence.Outbox<number>()
      /** The naive one: all messages there ever were, and how many have arrived. */
      const all: Array<{ readonly text: string; readonly attached: boolean }> = []
      let arrived = 0
      const reminded: Array<number> = []
      for (const step of run) {
        switch (step._tag) {
          case "push": {
            all.push(step)
            const { attached, text } = step
            assert.strictEqual(
              outbox.push(text, Buffer.byteLength(text, "utf8"), attached ? all.length : undefined),
              all.length
            )
            break
          }
          case "acknowledge": {
            const to = arrived + Math.round(step.part * (all.length - arrived))
            reminded.length = 0
            assert.isTrue(outbox.acknowledge(to, (number) => reminded.push(number)))
            const due = all.flatMap(({ attached }, i) => attached && i >= arrived && i < to ? [i + 1] : [])
            assert.deepStrictEqual(reminded, due)
            arrived = to
            break
          }
          case "repeat": {
            // an acknowledgement of what has been acknowledged, and of less
            assert.isTrue(outbox.acknowledge(arrived, () => assert.fail("reminded twice")))
            assert.isTrue(outbox.acknowledge(0, () => assert.fail("reminded twice")))
            break
          }
          case "lie":
            assert.isFalse(
              outbox.acknowledge(all.length + step.by, () => assert.fail("reminded of what was never sent"))
            )
            break
          case "replay":
            break
        }
        const kept = all.slice(arrived).map(({ text }, i) => [arrived + i + 1, text] as const)
        assert.deepStrictEqual(replayed(outbox), kept)
        assert.strictEqual(outbox.length, kept.length)
        assert.strictEqual(outbox.last, all.length)
        assert.strictEqual(outbox.bytes, kept.reduce((bytes, [, text]) => bytes + Buffer.byteLength(text, "utf8"), 0))
      }
    }),
  { fastCheck: { numRuns: 40 } }
)

it.effect.prop("an inbox takes 1, 2, 3, ... once each, and nothing out of order", [
  fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 60 })
], ([arrivals]) =>
  Effect.sync(() => {
    const inbox = new Sequence.Inbox()
    const taken: Array<number> = []
    for (const seq of arrivals) {
      const expected = seq <= taken.length ? "seen" : seq === taken.length + 1 ? "next" : "gap"
      assert.strictEqual(inbox.accept(seq), expected)
      if (expected === "next") taken.push(seq)
      assert.strictEqual(inbox.received, taken.length)
    }
  }))

/** What a link does with a message, or with an acknowledgement. */
const fate = fc.constantFrom("arrives", "lost", "arrives, its acknowledgement is lost")

it.effect.prop("over links that lose and repeat, everything arrives once and in order", [
  fc.array(fc.string({ maxLength: 3 }), { maxLength: 30 }),
  fc.infiniteStream(fate)
], ([texts, fates]) =>
  Effect.sync(() => {
    const outbox = new Sequence.Outbox<string>()
    const inbox = new Sequence.Inbox()
    const received: Array<string> = []
    for (const text of texts) outbox.push(text, 0, text)
    for (let round = 0; outbox.length > 0 && round < 2000; round++) {
      let up = true
      // one link: it breaks at the first loss, and all that is kept is sent again on the next
      outbox.replay((seq, text) => {
        if (!up) return
        const { value } = fates.next()
        if (value === "lost" && round < 1990) return void (up = false)
        if (inbox.accept(seq) === "next") received.push(text)
      })
      if (up || fates.next().value === "arrives") assert.isTrue(outbox.acknowledge(inbox.received))
    }
    assert.deepStrictEqual(received, texts)
    assert.strictEqual(outbox.length, 0)
  }))
