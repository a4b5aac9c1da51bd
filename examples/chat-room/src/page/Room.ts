/** A stay in the room: the programs between the connection and the model. The views only show the model. */
import * as ActorClient from "@troupe/client/ActorClient"
import type { Connection } from "@troupe/client/Connection"
import * as ConnectionStatus from "@troupe/client/ConnectionStatus"
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import type { Params } from "@troupe/contract/Contract"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as Gap from "@troupe/contract/Gap"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Subscribable from "effect/Subscribable"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import { ChatRoom, type Denied, type NotHere } from "../contract.ts"
import * as Intent from "./Intent.ts"
import * as Model from "./Model.ts"

/** What a stay needs of the page. */
export interface Page {
  readonly model: SubscriptionRef.SubscriptionRef<Model.Model>
  readonly intents: Queue.Dequeue<Intent.Intent>
  /** Told when the person is in the room. What it starts ends with the scope. */
  readonly onEnter: (connection: Connection<typeof ChatRoom.definition>) => Effect.Effect<void, never, Scope.Scope>
}

/** How joining fails. */
export type JoinError = Denied | ConnectionError

/**
 * Joins the room and stays until the connection ends for good, which returns the reason, or until the person leaves.
 * Fails if the room refuses. Lost links need no care: the connection comes back by itself, with all calls and events.
 */
export const stay = Effect.fn("Room.stay")(function*(params: Params<ChatRoom>, page: Page) {
  const client = yield* ActorClient.ActorClient
  const room = yield* client.connect(ChatRoom, "lobby", { params, events: ["welcome", "people", "message", "whisper"] })
  const left = yield* Deferred.make<Option.Option<DisconnectReason>>()
  const update = (change: (model: Model.Model) => Model.Model) => Ref.update(page.model, change)

  const notify = (text: string) => update(Model.withNotice(Option.some(text)))

  const loadHistory = room.rpc.History().pipe(
    Effect.flatMap((history) => update(Model.withHistory(history))),
    Effect.catchAll((error) => notify(`The history could not be loaded: ${error.message}`))
  )

  const call = ({ text, to }: Model.Draft): Effect.Effect<Model.Entry, NotHere | ConnectionError> =>
    Option.isNone(to) ? room.rpc.Say({ text }) : room.rpc.Whisper({ text, to: to.value.id })

  const send = (draft: Model.Draft) =>
    Effect.matchEffect(call(draft), {
      onSuccess: (entry) => update(Model.confirmed(draft.key, entry)),
      onFailure: (error) => update(Model.failed(draft.key, problemOf(error)))
    })

  /** Offline, a call waits here like online: it is sent when the connection is back, once and in order. */
  const carryOut = Intent.match({
    Send: ({ text }) => Effect.flatMap(Ref.modify(page.model, (model) => Model.written(text, model.to)(model)), send),
    SendAgain: ({ draft: { key, text, to } }) =>
      update(Model.withoutDraft(key)).pipe(
        Effect.zipRight(Ref.modify(page.model, Model.written(text, to))),
        Effect.flatMap(send)
      ),
    Discard: ({ draft }) => update(Model.withoutDraft(draft.key)),
    Address: ({ to }) => update(Model.withRecipient(to)),
    Disconnect: ({ reason, who }) =>
      Effect.catchAll(
        room.rpc.Disconnect({ who: who.id, reason }),
        (error) => notify(`${who.name} could not be disconnected: ${error.message}`)
      ),
    DismissNotice: () => update(Model.withNotice(Option.none())),
    Leave: () => Deferred.succeed(left, Option.none<DisconnectReason>())
  })

  yield* page.onEnter(room)

  // Subscribed since before the room knew us, so between the history and the first event nothing can be missing.
  const welcome = yield* room.events("welcome")
  const people = yield* room.events("people")
  const whispers = yield* room.events("whisper")
  const messages = yield* room.events("message")
  yield* Effect.all([
    Stream.runForEach(Gap.ignore(welcome), (me) => update(Model.withMe(me))),
    Stream.runForEach(Gap.ignore(people), (people) => update(Model.withPeople(people))),
    // Nobody keeps whispers: one that was missed is gone.
    Stream.runForEach(Gap.ignore(whispers), (whisper) => update(Model.withEntry(whisper))),
    // Where messages may be missing stands a gap: the history has what was in it.
    Effect.zipRight(
      loadHistory,
      Stream.runForEach(messages, (item) => Gap.isGap(item) ? loadHistory : update(Model.withEntry(item)))
    )
  ], { concurrency: "unbounded", discard: true }).pipe(Effect.forkScoped)

  const closed = yield* Effect.forkScoped(ended(room.status))

  // Intents are taken until the connection ends; those on their way then still get their answer, which is an error.
  const carryOutAll = Stream.fromQueue(page.intents).pipe(
    Stream.interruptWhen(Fiber.join(closed)),
    Stream.mapEffect(carryOut, { concurrency: "unbounded" }),
    Stream.runDrain
  )
  return yield* Effect.raceFirst(Effect.zipRight(carryOutAll, Effect.asSome(Fiber.join(closed))), Deferred.await(left))
}, Effect.scoped)

/** Waits until a connection has ended for good, and returns why. */
const ended = (status: Subscribable.Subscribable<ConnectionStatus.ConnectionStatus>) =>
  status.changes.pipe(
    Stream.filter(ConnectionStatus.is("Closed")),
    Stream.runHead,
    Effect.flatten,
    Effect.map((closed) => closed.reason),
    Effect.orDie // the status does not end before the connection does
  )

/** Only a message that has certainly not been delivered may be sent again without a thought: `sent` tells. */
const problemOf = (error: NotHere | ConnectionError): Model.Problem => {
  if (error._tag === "NotHere") return { text: `Not sent: ${error.message}`, unsent: true }
  if (error._tag === "QueueFull") return { text: "Not sent: too many messages are waiting", unsent: true }
  return error.sent === "no"
    ? { text: "Not sent", unsent: true }
    : { text: "It is not known whether this was sent", unsent: false }
}
