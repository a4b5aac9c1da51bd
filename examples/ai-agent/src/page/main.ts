/** The page: one conversation, whose key stands behind the `#` of its address, so that it is found again. */
import * as ActorClient from "@troupe/client/ActorClient"
import type { ConnectionStatus } from "@troupe/client/ConnectionStatus"
import * as WebSocketTransport from "@troupe/client/WebSocketTransport"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type * as Subscribable from "effect/Subscribable"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Intent } from "./Intent.ts"
import * as Model from "./Model.ts"
import * as Status from "./Status.ts"
import * as Talk from "./Talk.ts"
import * as Composer from "./view/Composer.ts"
import { byId } from "./view/dom.ts"
import * as Messages from "./view/Messages.ts"
import * as StatusBar from "./view/StatusBar.ts"

/** A key that nobody can guess. */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")

const page = Effect.fn("page")(function*(key: string) {
  const client = yield* ActorClient.ActorClient
  const model = yield* SubscriptionRef.make(Model.empty)
  const intents = yield* Queue.unbounded<Intent>()
  const emit = (intent: Intent) => void intents.unsafeOffer(intent)

  const messages = Messages.make(emit)
  const composer = Composer.make(emit)
  const statusBar = StatusBar.make()

  const show = <A>(stream: Stream.Stream<A>, view: (value: A) => void) =>
    Stream.runForEach(stream, (value) => Effect.sync(() => view(value)))

  // The status of one thing at a time: of the link at first, of the connection once it stands.
  const watching = yield* FiberHandle.make()
  const watch = (status: Subscribable.Subscribable<ConnectionStatus>) =>
    FiberHandle.run(watching, show(Status.withCountdown(status.changes), statusBar.render))

  yield* watch(client.status)
  yield* Effect.forkScoped(show(model.changes, (model) => {
    messages.render(model)
    composer.render(model)
  }))
  yield* Effect.forkScoped(Stream.runForEach(statusBar.offline, (offline) => offline ? client.pause : client.resume))

  yield* Talk.talk(key, { model, intents, onEnter: (connection) => Effect.asVoid(watch(connection.status)) }).pipe(
    Effect.catchAll((error) => Ref.update(model, Model.withNotice(Option.some(error.message))))
  )
  return yield* Effect.never
}, Effect.scoped)

const ClientLive = ActorClient.layer().pipe(Layer.provide(WebSocketTransport.layer({ url: "/actors" })))

const key = location.hash.slice(1) || newKey()
history.replaceState(null, "", `#${key}`)

const running = Effect.runFork(Effect.provide(page(key), ClientLive))

// Another key is another conversation.
byId("new", HTMLButtonElement).addEventListener("click", () => void (location.hash = newKey()))
addEventListener("hashchange", () => location.reload())

// A page that goes says so. Without this the actor keeps its place for a while, as it does when only the network is gone.
addEventListener("pagehide", () => Effect.runFork(Fiber.interrupt(running)))
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload() // back from the browser's cache
})
