import { assert, it } from "@effect/vitest"
import { Newest } from "../src/internal/Newest.ts"

const sender = (id: number) => ({ id, ended: false })

const released = (newest: Newest, max = Infinity) => {
  const texts: Array<string> = []
  newest.release(({ text }) => texts.length < max && texts.push(text) > 0)
  return texts
}

it("E7 as much is kept as there are senders and events, however many are sent", () => {
  const newest = new Newest()
  const senders = [sender(1), sender(2), undefined]
  for (let i = 1; i <= 10_000; i++) {
    for (const sender of senders) {
      for (const event of ["cursor", "typing"]) newest.keep({ event, sender, text: `${sender?.id} ${event} ${i}` })
    }
  }
  assert.strictEqual(newest.size, 6)
  const texts = senders.flatMap((sender) => ["cursor", "typing"].map((event) => `${sender?.id} ${event} 10000`))
  assert.deepStrictEqual(released(newest), texts)
  assert.strictEqual(newest.size, 0)
})

it("what has waited longest is taken first, as it is by now, so that nobody is passed over for ever", () => {
  const newest = new Newest()
  const [one, two] = [sender(1), sender(2)]
  newest.keep({ event: "cursor", sender: one, text: "one 1" })
  newest.keep({ event: "cursor", sender: two, text: "two 1" })
  newest.keep({ event: "cursor", sender: one, text: "one 2" })
  assert.deepStrictEqual(released(newest, 1), ["one 2"])
  newest.keep({ event: "cursor", sender: one, text: "one 3" })
  assert.deepStrictEqual(released(newest, 1), ["two 1"])
  assert.deepStrictEqual(released(newest), ["one 3"])
})

it("nothing is kept of a sender that has gone", () => {
  const newest = new Newest()
  const gone = { id: 1, ended: true }
  newest.keep({ event: "cursor", sender: gone, text: "a ghost" })
  assert.strictEqual(newest.size, 0)
  const going = sender(1)
  newest.keep({ event: "cursor", sender: going, text: "here" })
  newest.keep({ event: "cursor", sender: sender(2), text: "here too" })
  newest.drop((fresh) => fresh.sender === going)
  assert.deepStrictEqual(released(newest), ["here too"])
})
