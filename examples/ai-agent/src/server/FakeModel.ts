/** A model for a machine without one: slow, as they are, and with the same answer to the same conversation every time. */
import { type Duration, Effect, Layer, Stream } from "effect"
import type { Message } from "../contract.ts"
import { Model } from "./Model.ts"

const topics: ReadonlyArray<string> = [
  "What you read here is written by a server, a few words at a time. Each of them is in its store before you see it, so nothing that is on your screen can be lost.",
  "Reload this page now, if you like. It reads what there is, and asks for the rest from there. No word is missing, and none comes twice.",
  "Pull the plug of your network: nothing happens but a pause. The words are written all the same, and wait for you.",
  "Kill the server. When it is started again, the actor finds an answer that has no end in its state, hands the model what is written so far, and lets it go on in the middle of the sentence.",
  "Close the last window, and it is written to its end for whoever comes back. There is no queue behind it, no broker and no table of jobs: the conversation is an actor, and the answer is its state. Ça continue, καλή συνέχεια! 🎭"
]

const questions = (messages: ReadonlyArray<Message>) => messages.filter((message) => message._tag === "Question")

/** The whole answer to the last question. Each one begins with another topic than the one before. */
export const answerTo = (messages: ReadonlyArray<Message>): string => {
  const asked = questions(messages)
  const shift = (asked.length - 1) % topics.length
  const paragraphs = [...topics.slice(shift), ...topics.slice(0, shift)]
  return [`You ask: “${asked.at(-1)?.text ?? ""}”`, ...paragraphs, `That was answer number ${asked.length}.`].join(
    "\n\n"
  )
}

/** Slow enough to reload the page, or to stop the server, in the middle of an answer. */
export const wordTime: Duration.DurationInput = "40 millis"

export interface FakeModelOptions {
  /** How long it thinks before its first word. */
  readonly thinking?: Duration.DurationInput
  /** How long it takes for each word. */
  readonly word?: Duration.DurationInput
}

/** A model that answers in words. Given a part of an answer, it goes on behind it, as models do. */
export const layer = ({ thinking = "800 millis", word = wordTime }: FakeModelOptions = {}) =>
  Layer.succeed(Model, {
    answer: ({ answer, messages }) => {
      const words = answerTo(messages).slice(answer.length).match(/\S+\s*|\s+/g) ?? []
      return Stream.fromIterable(words).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sleep(word)),
        (stream) => Stream.unwrap(Effect.delay(Effect.succeed(stream), thinking))
      )
    }
  })
