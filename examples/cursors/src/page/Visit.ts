/** A visit to the board: the programs between the connection and the model. The views only show the model. */
import * as ActorClient from "@troupe/client/ActorClient"
import type { Connection } from "@troupe/client/Connection"
import * as ConnectionStatus from "@troupe/client/ConnectionStatus"
import * as Gap from "@troupe/contract/Gap"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import { Board, type Point } from "../contract.ts"
import * as Model from "./Model.ts"

/** What a visit needs of the page. */
export interface Page {
  readonly model: SubscriptionRef.SubscriptionRef<Model.Model>
  /** Where the pointer is, whenever it has moved. Who is slow to take it finds the newest place. */
  readonly pointer: Stream.Stream<Point | null>
  /** Told when the visit has begun. */
  readonly onEnter: (connection: Connection<typeof Board.definition>) => Effect.Effect<unknown>
}

/** How often a moving pointer is told of. */
const pace = "30 millis"

/** How many moves may be on their way: a slow network does not make them rare, an outage does not pile them up. */
const onTheirWayMax = 4

/** Visits the board until the connection ends for good. Lost links need no care: the connection comes back by itself. */
export const run = Effect.fn("Visit.run")(function*(name: string, page: Page) {
  const client = yield* ActorClient.ActorClient
  const board = yield* client.connect(Board, "lobby", { params: { name }, events: ["people", "moved"] })
  yield* page.onEnter(board)
  const people = yield* board.events("people")
  const moved = yield* board.events("moved")
  const update = (change: (model: Model.Model) => Model.Model) => Ref.update(page.model, change)

  const look = Effect.flatMap(board.rpc.Look(), (view) => update(Model.seen(view)))

  const here = yield* Ref.make<Point | null>(null)
  // a move that fails was lost with its connection, and a newer one follows
  const tell = Effect.flatMap(Ref.get(here), (at) => Effect.ignore(board.rpc.Move({ at })))

  const slots = yield* Effect.makeSemaphore(onTheirWayMax)
  const tellMove = (at: Point | null) =>
    Ref.set(here, at).pipe(
      Effect.zipRight(slots.take(1)),
      Effect.zipRight(Effect.fork(Effect.ensuring(tell, slots.release(1)))),
      Effect.zipRight(Effect.sleep(pace))
    )

  yield* Effect.all([
    Stream.runForEach(people, (item) => Gap.isGap(item) ? Effect.void : update(Model.withPeople(item))),
    Stream.runForEach(moved, (place) => update(Model.withPlace(place))),
    // Whoever comes, or comes back, looks at what there is now; a new connection does not know yet where the pointer is.
    board.status.changes.pipe(
      Stream.filter(ConnectionStatus.is("Connected")),
      Stream.runForEach(({ resumed }) => Effect.zipRight(resumed ? Effect.void : tell, look))
    ),
    Stream.runForEach(page.pointer, tellMove)
  ], { concurrency: "unbounded", discard: true })
}, Effect.scoped)
