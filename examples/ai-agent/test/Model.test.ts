/** The conversation as the page knows it, as plain data. */
import { assert, it } from "@effect/vitest"
import { Option } from "effect"
import { Answer, type Message, Question } from "../src/contract.ts"
import * as Model from "../src/page/Model.ts"

const question = Question.make({ id: 1, text: "?" })
const answer = (text: string, progress: Answer["progress"] = "writing") => Answer.make({ id: 2, text, progress })
const known = (...messages: ReadonlyArray<Message>) => Model.withMessages(messages)(Model.empty)

it("pieces are added to the answer they belong to, where they belong", () => {
  const begun = known(question, answer("one "))
  const more = Model.withPiece(2, { at: 4, text: "two" })(begun)
  assert.strictEqual(Model.unfinished(more)?.text, "one two")
  assert.deepStrictEqual(Model.withPiece(2, { at: 4, text: "two" })(more), more)
  assert.deepStrictEqual(Model.withPiece(2, { at: 9, text: "?" })(more), more)
  assert.deepStrictEqual(Model.withPiece(1, { at: 1, text: "?" })(more), more)
})

it("a question is a draft until it is taken, and then stands in the conversation once", () => {
  const asking = Model.withDraft("?")(known())
  assert.isFalse(Model.isReady(asking))
  const taken = Model.withExchange([question, answer("")])(asking)
  assert.deepStrictEqual(taken, known(question, answer("")))
  // an event may have been faster than the answer to the call, and brought more
  const read = Model.withMessages([question, answer("one")])(asking)
  assert.deepStrictEqual(Model.withExchange([question, answer("")])(read), known(question, answer("one")))
})

it("a question that was not taken keeps its text and says why", () => {
  const problem = { text: "Not sent", unsent: true }
  const failed = Model.withProblem(problem)(Model.withDraft("?")(known()))
  assert.deepStrictEqual(failed.draft, Option.some({ text: "?", problem: Option.some(problem) }))
  assert.isTrue(Model.isReady(Model.withoutDraft(failed)))
})

it("an answer is being stopped from the click until it has ended", () => {
  const stopping = Model.withStopping(2)(known(question, answer("one")))
  assert.deepStrictEqual(Model.withMessages(stopping.messages)(stopping).stopping, Option.some(2))
  const stopped = Model.withMessages([question, answer("one", "stopped")])(stopping)
  assert.deepStrictEqual(stopped.stopping, Option.none())
  assert.isTrue(Model.isReady(stopped))
})
