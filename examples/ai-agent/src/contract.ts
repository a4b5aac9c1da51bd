/**
 * What the page and the server agree on. Schemas only: importing this brings no server code into the page. What a stranger
 * can send has a bound here, and is refused before any handler sees it.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Actor from "@troupe/contract/Actor"
import { Delivery } from "@troupe/contract/Delivery"
import * as Schema from "effect/Schema"

export const questionMax = 2000

export const QuestionText = Schema.Trimmed.pipe(Schema.minLength(1), Schema.maxLength(questionMax))

export class Question extends Schema.TaggedClass<Question>()("Question", { id: Schema.Int, text: QuestionText }) {}

/** How far an answer is: it is being written, or how that has ended. */
export const Progress = Schema.Literal("writing", "complete", "stopped", "failed")
export type Progress = typeof Progress.Type

/** An answer, with what there is of it. Its text only grows. */
export class Answer
  extends Schema.TaggedClass<Answer>()("Answer", { id: Schema.Int, text: Schema.String, progress: Progress })
{}

export const Message = Schema.Union(Question, Answer)
export type Message = typeof Message.Type

/** A part of an answer, and its place there, counted like the `length` of a string. */
export const Piece = Schema.Struct({ at: Schema.NonNegativeInt, text: Schema.String })
export type Piece = typeof Piece.Type

/** The answer to the last question is still being written. */
export class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {
  override get message() {
    return "the last question is still being answered"
  }
}

/** One conversation with the agent. Its key is all one needs to take part: the page makes one that nobody can guess. */
export class Conversation extends Actor.Tag<Conversation>()("Conversation", {
  rpcs: RpcGroup.make(
    /** Takes effect once, however often the network breaks: no question is asked twice. */
    Rpc.make("Ask", {
      payload: { text: QuestionText },
      success: Schema.Struct({ question: Question, answer: Answer }),
      error: Busy
    }),
    Rpc.make("Read", { success: Schema.Array(Message) }).annotate(Delivery, "idempotent"),
    /**
     * What an answer holds from a position on, first what there is, then what is added; ends when nothing more will be.
     * One that is lost with its server ends with `OutcomeUnknown`: whoever watches asks again, from where they are.
     */
    Rpc.make("Watch", { payload: { answer: Schema.Int, from: Schema.NonNegativeInt }, success: Piece, stream: true })
      .annotate(Delivery, "idempotent"),
    /** Ends an answer where it is. */
    Rpc.make("Stop", { payload: { answer: Schema.Int } })
  ),
  internal: RpcGroup.make(
    /** The alarm that is set as long as an answer is being written. */
    Rpc.make("KeepWriting")
  ),
  events: {
    /** Somebody has asked something: the id of the answer to come. */
    asked: Schema.Int
  }
}) {}
