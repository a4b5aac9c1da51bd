/** The page: joins, stays, and begins again. It has one client, for as long as it is open. */
import * as ActorClient from "@troupe/client/ActorClient"
import type { ConnectionStatus } from "@troupe/client/ConnectionStatus"
import * as WebSocketTransport from "@troupe/client/WebSocketTransport"
import type { Params } from "@troupe/contract/Contract"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as Subscribable from "effect/Subscribable"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ChatRoom } from "../contract.ts"
import type { Intent } from "./Intent.ts"
import * as Model from "./Model.ts"
import * as Room from "./Room.ts"
import * as Status from "./Status.ts"
import * as EndedDialog from "./view/EndedDialog.ts"
import * as JoinForm from "./view/JoinForm.ts"
import * as RoomView from "./view/RoomView.ts"
import * as StatusBar from "./view/StatusBar.ts"

const page = Effect.gen(function*() {
  const client = yield* ActorClient.ActorClient
  const model = yield* SubscriptionRef.make(Model.empty)
  const intents = yield* Queue.unbounded<Intent>()

  const form = JoinForm.make(yield* JoinForm.friendlyName)
  const room = RoomView.make((intent) => intents.unsafeOffer(intent))
  const statusBar = StatusBar.make()
  const endedDialog = EndedDialog.make()

  const show = <A>(stream: Stream.Stream<A>, view: (value: A) => void) =>
    Stream.runForEach(stream, (value) => Effect.sync(() => view(value)))

  // The status of one thing at a time: of the link while joining, of the connection once it stands.
  const watching = yield* FiberHandle.make()
  const watch = (status: Subscribable.Subscribable<ConnectionStatus>) =>
    FiberHandle.run(watching, show(Status.withCountdown(status.changes), statusBar.render))

  const watchNothing = FiberHandle.run(
    watching,
    Effect.sync(() => {
      statusBar.render(Status.notJoined)
      statusBar.renderWaiting(0)
    })
  )

  /** From the form to the form. */
  const visit = (params: Params<ChatRoom>): Effect.Effect<void, Room.JoinError> =>
    Effect.gen(function*() {
      yield* watch(client.status)
      const reason = yield* Room.stay(params, {
        model,
        intents,
        onEnter: (connection) =>
          Effect.gen(function*() {
            yield* watch(connection.status)
            yield* Effect.forkScoped(show(connection.pending.changes, statusBar.renderWaiting))
            yield* Effect.sync(() => room.show())
          })
      }).pipe(Effect.provideService(ActorClient.ActorClient, client))
      if (Option.isNone(reason)) return
      if (yield* endedDialog.ask(Status.describeReason(reason.value))) yield* visit(params)
    })

  yield* Effect.forkScoped(show(model.changes, room.render))
  yield* Effect.forkScoped(Stream.runForEach(statusBar.offline, (offline) => offline ? client.pause : client.resume))

  yield* form.submitted.pipe(
    Effect.tap(SubscriptionRef.set(model, Model.empty)),
    Effect.flatMap(visit),
    Effect.match({ onFailure: (error) => form.refuse(error.message), onSuccess: () => form.show() }),
    Effect.tap(watchNothing),
    Effect.forever
  )
})

const ClientLive = ActorClient.layer().pipe(Layer.provide(WebSocketTransport.layer({ url: "/actors" })))

const running = Effect.runFork(page.pipe(Effect.scoped, Effect.provide(ClientLive)))

// A page that goes says so. Without this the room keeps its place for a while, as it does when only the network is gone.
addEventListener("pagehide", () => Effect.runFork(Fiber.interrupt(running)))
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload() // back from the browser's cache
})
