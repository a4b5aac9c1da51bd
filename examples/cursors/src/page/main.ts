/** The page: visits the board for as long as it is open. */
import * as ActorClient from "@troupe/client/ActorClient"
import type { ConnectionStatus } from "@troupe/client/ConnectionStatus"
import * as WebSocketTransport from "@troupe/client/WebSocketTransport"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type * as Subscribable from "effect/Subscribable"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Model from "./Model.ts"
import * as Name from "./Name.ts"
import * as Status from "./Status.ts"
import * as Cursors from "./view/Cursors.ts"
import * as People from "./view/People.ts"
import * as Pointer from "./view/Pointer.ts"
import * as StatusBar from "./view/StatusBar.ts"
import * as Visit from "./Visit.ts"

const page = Effect.gen(function*() {
  const client = yield* ActorClient.ActorClient
  const model = yield* SubscriptionRef.make(Model.empty)
  const pointer = Pointer.make()
  const statusBar = StatusBar.make()
  const cursors = Cursors.make()
  const people = People.make()

  const show = <A>(stream: Stream.Stream<A>, view: (value: A) => void) =>
    Effect.forkScoped(Stream.runForEach(stream, (value) => Effect.sync(() => view(value))))

  yield* show(model.changes, (model) => {
    cursors.render(Model.cursors(model))
    people.render(model)
  })
  yield* Effect.forkScoped(Stream.runForEach(statusBar.offline, (offline) => offline ? client.pause : client.resume))

  // The status of one thing at a time: of the link at first, of the connection once it stands.
  const watching = yield* FiberHandle.make()
  const watch = ({ status }: { readonly status: Subscribable.Subscribable<ConnectionStatus> }) =>
    FiberHandle.run(
      watching,
      Stream.runForEach(Status.withCountdown(status.changes), (shown) => Effect.sync(() => statusBar.render(shown)))
    )
  yield* watch(client)

  const name = yield* Name.ofPage(location.search)
  yield* Effect.catchAll(
    Visit.run(name, { model, pointer, onEnter: watch }),
    (error) => Effect.zipRight(FiberHandle.clear(watching), Effect.sync(() => statusBar.render(Status.ended(error))))
  )
  return yield* Effect.never
})

const ClientLive = ActorClient.layer().pipe(Layer.provide(WebSocketTransport.layer({ url: "/actors" })))

const running = Effect.runFork(page.pipe(Effect.scoped, Effect.provide(ClientLive)))

// A page that goes says so. Without this its cursor stays for a while, as it does when only the network is gone.
addEventListener("pagehide", () => Effect.runFork(Fiber.interrupt(running)))
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload() // back from the browser's cache
})
