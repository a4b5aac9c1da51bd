/** The conversation as the page knows it, as plain data, and how it changes. Nothing here knows the DOM or the network. */
import * as Option from "effect/Option"
import { Answer, type Message, type Piece } from "../contract.ts"

/** A question that the agent has not taken yet. */
export interface Draft {
  readonly text: string
  readonly problem: Option.Option<Problem>
}

export interface Problem {
  readonly text: string
  /** Whether it has certainly not been asked, so that asking again asks nothing twice. */
  readonly unsent: boolean
}

export interface Model {
  /** Whether the conversation has been read. Before that nobody knows that it is empty. */
  readonly read: boolean
  readonly messages: ReadonlyArray<Message>
  readonly draft: Option.Option<Draft>
  /** The answer that is to be stopped, from the click until it is. */
  readonly stopping: Option.Option<number>
  /** Something that went wrong and belongs to no message. */
  readonly notice: Option.Option<string>
}

export const empty: Model = {
  read: false,
  messages: [],
  draft: Option.none(),
  stopping: Option.none(),
  notice: Option.none()
}

/** The answer that is being written, if there is one. */
export const unfinished = ({ messages }: Model): Answer | undefined => {
  const last = messages.at(-1)
  return last?._tag === "Answer" && last.progress === "writing" ? last : undefined
}

/** Whether a question may be asked now: as far as the page knows. */
export const isReady = (model: Model): boolean => Option.isNone(model.draft) && unfinished(model) === undefined

/** The conversation has been read. */
export const withMessages = (messages: ReadonlyArray<Message>) => (model: Model): Model => ({
  ...model,
  read: true,
  messages,
  stopping: Option.filter(model.stopping, (id) => unfinished({ ...model, messages })?.id === id)
})

/** A piece of an answer has come. One that does not continue the text changes nothing: there is none. */
export const withPiece = (id: number, { at, text }: Piece) => (model: Model): Model => ({
  ...model,
  messages: model.messages.map((message) =>
    message.id === id && message._tag === "Answer" && message.text.length === at
      ? Answer.make({ ...message, text: message.text + text })
      : message
  )
})

export const withDraft = (text: string) => (model: Model): Model => ({
  ...model,
  draft: Option.some({ text, problem: Option.none() })
})

export const withoutDraft = (model: Model): Model => ({ ...model, draft: Option.none() })

export const withProblem = (problem: Problem) => (model: Model): Model => ({
  ...model,
  draft: Option.map(model.draft, (draft) => ({ ...draft, problem: Option.some(problem) }))
})

/** The agent has taken the question: it stands in the conversation, unless that has been read since. */
export const withExchange = (exchange: ReadonlyArray<Message>) => (model: Model): Model => {
  const last = model.messages.at(-1)?.id ?? 0
  return withoutDraft({ ...model, messages: [...model.messages, ...exchange.filter(({ id }) => id > last)] })
}

export const withStopping = (answer: number) => (model: Model): Model => ({ ...model, stopping: Option.some(answer) })

export const withNotice = (notice: Option.Option<string>) => (model: Model): Model => ({ ...model, notice })
