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
