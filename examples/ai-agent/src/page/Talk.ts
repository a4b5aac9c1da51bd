/** Taking part in a conversation: the programs between the connection and the model. The views only show the model. */
import * as ActorClient from "@troupe/client/ActorClient"
import type { Connection } from "@troupe/client/Connection"
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import { type Busy, Conversation } from "../contract.ts"
import { watch } from "../watch.ts"
import * as Intent from "./Intent.ts"
import * as Model from "./Model.ts"

/** What a conversation needs of the page. */
export interface Page {
  readonly model: SubscriptionRef.SubscriptionRef<Model.Model>
  readonly intents: Queue.Dequeue<Intent.Intent>
  /** Told when there is a connection. What it starts ends with the scope. */
  readonly onEnter: (connection: Connection<typeof Conversation.definition>) => Effect.Effect<void, never, Scope.Scope>
}

/**
 * Takes part for as long as the page is open. There is no code here for a lost link, a server that starts again or a page
 * that was loaded again: each time the conversation is read, and what is being written is watched from there.
 */
export const talk = Effect.fn("Talk.talk")(function*(key: string, page: Page) {
  const conversation = yield* ActorClient.connect(Conversation, key, { events: ["asked"] })
  const update = (change: (model: Model.Model) => Model.Model) => Ref.update(page.model, change)
  const notify = (text: string) => update(Model.withNotice(Option.some(text)))

  /** Brings the model up to date, and keeps it so for as long as an answer is being written. */
  const follow: Effect.Effect<void, ConnectionError> = Effect.gen(function*() {
    yield* update(Model.withMessages(yield* conversation.rpc.Read()))
    const answer = Model.unfinished(yield* Ref.get(page.model))
    if (!answer) return
    yield* Stream.runForEach(
      watch(conversation, answer.id, answer.text.length),
      (piece) => update(Model.withPiece(answer.id, piece))
    )
    yield* follow // how it has ended, and what has been asked since
  })

  const ask = (text: string) =>
    update(Model.withDraft(text)).pipe(
      Effect.zipRight(conversation.rpc.Ask({ text })),
      Effect.flatMap(({ answer, question }) => update(Model.withExchange([question, answer]))),
      Effect.catchAll((error) => update(Model.withProblem(problemOf(error))))
    )

  const stop = (answer: number) =>
    update(Model.withStopping(answer)).pipe(
      Effect.zipRight(conversation.rpc.Stop({ answer })),
      Effect.catchAll((error) => notify(`The answer could not be stopped: ${error.message}`))
    )

  /** Offline, a call waits here like online: it is sent when the connection is back, once and in order. */
  const carryOut = Intent.match({
    Ask: ({ text }) => ask(text),
    Discard: () => update(Model.withoutDraft),
    Stop: ({ answer }) => stop(answer),
    DismissNotice: () => update(Model.withNotice(Option.none()))
  })

  yield* page.onEnter(conversation)
  const asked = yield* conversation.events("asked")
  yield* Effect.forkScoped(Stream.runForEach(Stream.fromQueue(page.intents), (intent) => Effect.fork(carryOut(intent))))

  // Where events may be missing stands a gap, which is as good a reason to look.
  yield* follow.pipe(
    Effect.zipRight(Stream.runForEach(asked, () => follow)),
    Effect.catchAll((error) => notify(`The conversation cannot be followed: ${error.message}`))
  )
  return yield* Effect.never
}, Effect.scoped)

/** Only a question that has certainly not been asked may be asked again without a thought: `sent` tells. */
const problemOf = (error: Busy | ConnectionError): Model.Problem =>
  error._tag === "Busy" || error.sent === "no"
    ? { text: `Not sent: ${error.message}`, unsent: true }
    : { text: "It is not known whether this was sent", unsent: false }
