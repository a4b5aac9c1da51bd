/** What a conversation keeps, as plain data. */
import { assert, it } from "@effect/vitest"
import * as Transcript from "../src/server/Transcript.ts"

const ask = (transcript: Transcript.Transcript, text = "?") =>
  Transcript.asked(transcript, Transcript.exchange(transcript, text))

it("an answer that becomes too long is stopped there", () => {
  let transcript = ask(Transcript.empty)
  const { id } = Transcript.unfinished(transcript)!
  for (let i = 0; i < 3; i++) transcript = Transcript.extended(id, "x".repeat(Transcript.answerMax / 2 - 1))(transcript)
  assert.strictEqual(Transcript.unfinished(transcript), undefined)
  assert.deepInclude(Transcript.find(transcript, id), {
    text: "x".repeat(Transcript.answerMax),
    progress: "stopped"
  })
  assert.strictEqual(Transcript.extended(id, "more")(transcript), transcript)
})

it("what is old is forgotten, so that a conversation can go on for ever", () => {
  let transcript = Transcript.empty
  for (let i = 1; i <= 20; i++) {
    transcript = ask(transcript, `question ${i}`)
    const { id } = Transcript.unfinished(transcript)!
    assert.strictEqual(id, 2 * i)
    transcript = Transcript.ended(id, "complete")(Transcript.extended(id, "x".repeat(10_000))(transcript))
  }
  const chars = transcript.messages.reduce((sum, { text }) => sum + text.length, 0)
  assert.isAtMost(chars, Transcript.keptMax + Transcript.answerMax)
  assert.isAbove(chars, Transcript.keptMax - Transcript.answerMax)
  assert.strictEqual(transcript.messages.at(-2)?.text, "question 20")
})

it("many short messages are forgotten too, so that the state stays far below its limit", () => {
  let transcript = Transcript.empty
  for (let i = 1; i <= 3000; i++) {
    transcript = ask(transcript)
    transcript = Transcript.ended(Transcript.unfinished(transcript)!.id, "stopped")(transcript)
  }
  assert.isAtMost(JSON.stringify(transcript).length, 2 * Transcript.keptMax)
  assert.isAbove(transcript.messages.length, 100)
})
