/**
 * The conversation: its state says what has been asked and how much of the answer is written, and everything follows from
 * it. An answer that has no end there is being written, whoever began it, and whatever has happened since.
 */
import { Cause, Chunk, Effect, Ref, Schedule, Stream } from "effect"
import { Busy, Conversation, type Piece } from "../contract.ts"
import { Model } from "./Model.ts"
import * as Transcript from "./Transcript.ts"

/** Pieces of this long are stored, and sent, together. */
const batch = "100 millis"

/** How often a model that fails is asked again, from where it was. */
const retries = Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(4)))

/** Without an alarm an actor that nobody uses goes to sleep, also if a fiber of it is at work: twice in this time is enough. */
const idleTimeout = "1 minute"
const awakeFor = "30 seconds"

export const ConversationLive = Conversation.toLayer(
  { state: Transcript.Transcript, initialState: () => Transcript.empty, idleTimeout },
  (conversation) =>
    Effect.gen(function*() {
      const model = yield* Model
      const change = (f: (transcript: Transcript.Transcript) => Transcript.Transcript) =>
        Ref.update(conversation.state, f)

      /** Asks the model for what is missing of an answer, and writes it down. */
      const write = Effect.fnUntraced(function*(id: number) {
        const transcript = yield* Ref.get(conversation.state)
        const answer = Transcript.unfinished(transcript)
        if (answer?.id !== id) return
        yield* model.answer({ messages: transcript.messages.slice(0, -1), answer: answer.text }).pipe(
          Stream.groupedWithin(1000, batch),
          Stream.runForEach((pieces) => change(Transcript.extended(id, Chunk.join(pieces, ""))))
        )
        yield* change(Transcript.ended(id, "complete"))
      })

      const writeOrFail = (id: number) =>
        Effect.retry(write(id), retries).pipe(
          Effect.catchAllCause((cause) =>
            Effect.zipRight(
              Effect.logError(`answer ${id} of ${conversation.key} has failed`, cause),
              change(Transcript.ended(id, "failed"))
            ).pipe(Effect.unless(() => Cause.isInterruptedOnly(cause)))
          )
        )

      // Begins with what an earlier activation has left, and drops the model when an answer is not being written any more.
      yield* conversation.changes.pipe(
        Stream.map((transcript) => Transcript.unfinished(transcript)?.id),
        Stream.changes,
        Stream.flatMap((id) => id === undefined ? Stream.empty : Stream.fromEffect(writeOrFail(id)), { switch: true }),
        Stream.runDrain,
        Effect.forkScoped
      )

      return conversation.behavior({
        rpcs: {
          Ask: Effect.fnUntraced(function*({ text }) {
            const transcript = yield* Ref.get(conversation.state)
            if (Transcript.unfinished(transcript)) return yield* new Busy()
            const exchange = Transcript.exchange(transcript, text)
            yield* change((transcript) => Transcript.asked(transcript, exchange))
            yield* conversation.alarm(awakeFor, "KeepWriting")
            yield* conversation.broadcast("asked", exchange.answer.id)
            return exchange
          }),

          Read: () => Effect.map(Ref.get(conversation.state), ({ messages }) => messages),

          Watch: ({ answer: id, from }) =>
            conversation.changes.pipe(
              Stream.map((transcript) => Transcript.find(transcript, id)),
              Stream.takeUntil((answer) => answer?.progress !== "writing"),
              Stream.mapAccum(from, (at, answer): [number, Piece] => {
                const text = answer?.text.slice(at) ?? ""
                return [at + text.length, { at, text }]
              }),
              Stream.filter(({ text }) => text !== "")
            ),

          Stop: ({ answer }) => Effect.asVoid(change(Transcript.ended(answer, "stopped")))
        },

        internal: {
          // Keeps the actor awake, and wakes it after a crash. What is to be done then is done above.
          KeepWriting: () =>
            Effect.asVoid(Effect.whenEffect(
              conversation.alarm(awakeFor, "KeepWriting"),
              Effect.map(Ref.get(conversation.state), (transcript) => Transcript.unfinished(transcript) !== undefined)
            ))
        }
      })
    })
)
