/** What one link is told, and in which messages. */
import { assert, it } from "@effect/vitest"
import { FrameWriter } from "@troupe/contract/protocol/FrameWriter"
import { Inbox } from "@troupe/contract/protocol/Sequence"

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
  const frames = sent.flatMap((text) => JSON.parse(text) as Array<{ readonly _tag: string; readonly channel?: number }>)
  assert.strictEqual(frames[0]!._tag, "Ping")
  assert.deepStrictEqual(frames.slice(1).map(({ channel }) => channel), Array.from({ length: 100 }, (_, i) => i + 1))
})
