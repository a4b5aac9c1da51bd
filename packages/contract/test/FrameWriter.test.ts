/** What one link is told, and in which messages. */
import { assert, it } from "@effect/vitest"
import * as Frame from "@troupe/contract/protocol/Frame"
import { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import { Inbox } from "@troupe/contract/protocol/Sequence"
import { Either } from "effect"

it("acknowledgements of many connections keep to the size of a message, and go with the next frame", () => {
  const sent: Array<string> = []
  const tasks: Array<() => void> = []
  const max = 200
  const writer = new FrameWriter({ send: (text) => sent.push(text) }, (task) => tasks.push(task), max)
  for (let channel = 1; channel <= 100; channel++) writer.acknowledgeLater({ channel, inbox: new Inbox() })
  assert.lengthOf(tasks, 0)
  writer.write("{\"_tag\":\"Ping\"}")
  for (let task = tasks.shift(); task; task = tasks.shift()) task()
  assert.isTrue(sent.every((text) => text.length <= max), sent.map(({ length }) => length).join())
  const frames = sent.flatMap((text) => Frame.decodeClient(text)!.map(Either.getOrThrow))
  assert.deepStrictEqual(frames.shift(), { _tag: "Ping" })
  assert.deepStrictEqual(
    frames.map((frame) => frame._tag === "Ack" && frame.channel),
    Array.from({ length: 100 }, (_, i) => i + 1)
  )
})

it("events wait for their own turn, unless something goes to the same link before, and then they go first", () => {
  const sent: Array<string> = []
  const now: Array<() => void> = []
  const later: Array<() => void> = []
  const run = (tasks: Array<() => void>) => {
    for (let task = tasks.shift(); task; task = tasks.shift()) task()
  }
  const writer = new FrameWriter(
    { send: (text) => sent.push(text) },
    (task) => now.push(task),
    10_000,
    undefined,
    (task) => later.push(task)
  )
  writer.writeEvent("1")
  writer.writeEvent("2")
  run(now)
  assert.deepStrictEqual(sent, [])
  run(later)
  assert.deepStrictEqual(sent, ["[1,2]"])
  writer.writeEvent("3")
  writer.write("4")
  writer.writeEvent("5")
  run(now)
  assert.deepStrictEqual(sent, ["[1,2]", "[3,4,5]"])
  writer.acknowledgeLater({ channel: 1, inbox: new Inbox() })
  run(later)
  assert.lengthOf(sent, 2, "nothing is left to be sent, and what is acknowledged later waits")
  writer.writeEvent("6")
  assert.lengthOf(later, 1)
  run(later)
  assert.deepStrictEqual(sent.slice(2), ["[6,[1,0]]"])
  writer.writeEvent(`"${"x".repeat(3000)}"`)
  assert.lengthOf(sent, 4, "what is long does not wait")
})
