/** The model, as the agent sees it: a service. A real one is another layer; nothing else in the example knows which it is. */
import { Context, Schema, type Stream } from "effect"
import type { Message } from "../contract.ts"

/** The model could not go on. It is asked again, with what it has written so far. */
export class ModelError extends Schema.TaggedError<ModelError>()("ModelError", { reason: Schema.String }) {
  override get message() {
    return `the model has failed: ${this.reason}`
  }
}

export interface Prompt {
  /** The conversation up to the question to be answered, which is the last. */
  readonly messages: ReadonlyArray<Message>
  /** What is written of the answer already: empty at first, and more if something broke in the middle. */
  readonly answer: string
}

export class Model extends Context.Tag("ai-agent/Model")<Model, {
  /** The rest of the answer, in pieces. Interrupted when nobody wants it any more. */
  readonly answer: (prompt: Prompt) => Stream.Stream<string, ModelError>
}>() {}
