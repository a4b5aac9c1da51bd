/** What a conversation keeps, as plain data, and how it changes. Nothing here knows the actor or the model. */
import { Schema } from "effect"
import { Answer, Message, type Progress, Question } from "../contract.ts"

export const Transcript = Schema.Struct({ lastId: Schema.Int, messages: Schema.Array(Message) })
export type Transcript = typeof Transcript.Type

export const empty: Transcript = { lastId: 0, messages: [] }

/** How long an answer may become. */
export const answerMax = 20_000

/** How much is kept, in characters; what is older is forgotten. It bounds the state, whose limit is 1 MiB, and the prompt. */
export const keptMax = 100_000

/** What a message counts for beside its text: many short ones are much, too. */
const messageChars = 100

/** The answer that is being written, if there is one: the last message. */
export const unfinished = ({ messages }: Transcript): Answer | undefined => {
  const last = messages.at(-1)
  return last?._tag === "Answer" && last.progress === "writing" ? last : undefined
}

export const find = ({ messages }: Transcript, id: number): Answer | undefined => {
  const found = messages.find((message) => message.id === id)
  return found?._tag === "Answer" ? found : undefined
}

const recent = (messages: ReadonlyArray<Message>): ReadonlyArray<Message> => {
  let chars = 0
  let first = messages.length
  while (first > 0 && (chars += messageChars + messages[first - 1]!.text.length) <= keptMax) first--
  return messages.slice(first)
}

/** A question and its answer, which is still empty. */
export const exchange = ({ lastId }: Transcript, text: string) => ({
  question: Question.make({ id: lastId + 1, text }),
  answer: Answer.make({ id: lastId + 2, text: "", progress: "writing" })
})

export const asked = (transcript: Transcript, { answer, question }: ReturnType<typeof exchange>): Transcript => ({
  lastId: answer.id,
  messages: recent([...transcript.messages, question, answer])
})

/** Changes the answer with this id, if it is still being written. */
const change = (id: number, f: (answer: Answer) => Answer) => (transcript: Transcript): Transcript => {
  const answer = unfinished(transcript)
  if (answer?.id !== id) return transcript
  return { ...transcript, messages: [...transcript.messages.slice(0, -1), f(answer)] }
}

/** More of an answer has been written. One that becomes too long is stopped there. */
export const extended = (id: number, piece: string) =>
  change(id, (answer) => {
    const text = answer.text + piece
    return text.length < answerMax
      ? Answer.make({ ...answer, text })
      : Answer.make({ id, text: text.slice(0, answerMax), progress: "stopped" })
  })

export const ended = (id: number, progress: Exclude<Progress, "writing">) =>
  change(id, (answer) => Answer.make({ ...answer, progress }))
