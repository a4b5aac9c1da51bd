/** Actors that do a little of everything, and the visits of clients that use all of it. */
import { Rpc, RpcGroup } from "@effect/rpc"
import type { ActorClient } from "@troupe/client"
import { Actor } from "@troupe/contract"
import { Effect, Fiber, Ref, Schema, type Scope, Stream } from "effect"

export class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}

export class Visited extends Actor.Tag<Visited>()("Visited", {
  params: Schema.Struct({ name: Schema.NonEmptyString }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Add", { payload: { text: Schema.String }, success: Schema.Int }),
    Rpc.make("Count", { success: Schema.Int }),
    /** Fires at once. */
    Rpc.make("Ring"),
    /** Sets an alarm, and another one in its place. */
    Rpc.make("Later"),
    Rpc.make("Cancel"),
    /** Has the neighbour add one. */
    Rpc.make("Pass", { success: Schema.Int }),
    Rpc.make("Die"),
    Rpc.make("End"),
    /** Never ends by itself. */
    Rpc.make("Watch", { success: Schema.Int, stream: true }),
    Actor.forked(Rpc.make("Wait"))
  ),
  internal: RpcGroup.make(Rpc.make("Take", { success: Schema.Int }), Rpc.make("Rung")),
  events: { added: Schema.Int, moved: Actor.latest(Schema.Int) }
}) {}

/** The same contract, as somebody sees it who does not know its rules. */
class Loose extends Actor.Tag<Loose>()("Visited", { params: Schema.Struct({ name: Schema.String }) }) {}

export const layerVisited = (durability: "commit" | "memory") =>
  Visited.toLayer(
    { state: Schema.Int, initialState: () => 0, connection: Schema.String, durability },
    (actor) =>
      Effect.gen(function*() {
        const neighbours = yield* Visited.client
        const add = Ref.updateAndGet(actor.state, (count) => count + 1)
        return actor.behavior({
          onBeforeConnect: ({ params: { name } }) => {
            if (name === "slow") return Effect.never
            return name === "mallory" ? new Denied() : Effect.succeed(name)
          },
          onConnect: () => Effect.acquireRelease(Effect.void, () => Effect.void),
          rpcs: {
            Add: () =>
              add.pipe(
                Effect.tap((count) => actor.broadcast("added", count)),
                Effect.tap((count) => actor.broadcast("moved", count))
              ),
            Count: () => Ref.get(actor.state),
            Ring: () => Effect.orDie(actor.alarm(0, "Rung", undefined, { id: "ring" })),
            Later: () =>
              Effect.orDie(Effect.zipRight(
                actor.alarm("1 hour", "Rung", undefined, { id: "later" }),
                actor.alarm("2 hours", "Rung", undefined, { id: "later" })
              )),
            Cancel: () => actor.cancelAlarm("later"),
            Pass: () => Effect.orDie(neighbours.get(`${actor.key}'`).Take()),
            Die: () => Effect.dieMessage("as it was asked to"),
            End: () => actor.destroy,
            Watch: () => Stream.rechunk(Stream.iterate(1, (count) => count + 1), 1),
            Wait: () => Effect.never
          },
          internal: { Take: () => add, Rung: () => Effect.asVoid(add) }
        })
      })
  )

type Client = typeof ActorClient.ActorClient.Service

/** A visit with everything that can be done in it, most of it given up half way. */
export const visit = ({ connect }: Pick<Client, "connect">, key: string) =>
  Effect.gen(function*() {
    const { events, rpc } = yield* connect(Visited, key, { params: { name: "ann" }, events: ["moved"] })
    const added = yield* events("added")
    const heard = yield* Effect.forkScoped(Stream.runHead(added))
    yield* Effect.asVoid(events("moved"))
    yield* rpc.Add({ text: "hello" })
    yield* Fiber.join(heard)
    yield* Effect.all([rpc.Later(), rpc.Cancel(), rpc.Ring(), rpc.Pass()], { concurrency: "unbounded" })
    yield* Effect.exit(rpc.Die())
    yield* Stream.runDrain(Stream.take(rpc.Watch(), 2))
    // nobody reads on, and nobody waits
    yield* Effect.forkScoped(Stream.runForEach(rpc.Watch(), () => Effect.never))
    yield* Effect.forkScoped(rpc.Wait())
    yield* rpc.Count()
  }).pipe(Effect.scoped)

/** A short visit: it adds one, hears of it, and sets an alarm which it cancels. */
export const look = ({ connect }: Pick<Client, "connect">, key: string) =>
  Effect.gen(function*() {
    const { events, rpc } = yield* connect(Visited, key, { params: { name: "ann" }, events: ["added"] })
    const added = yield* events("added")
    yield* Effect.all([rpc.Later(), rpc.Add({ text: "hello" }), rpc.Cancel()], { concurrency: "unbounded" })
    yield* Stream.runHead(added)
  }).pipe(Effect.scoped)

/** The least that can be done: one call. */
export const call = ({ connect }: Pick<Client, "connect">, key: string) =>
  Effect.scoped(Effect.flatMap(
    connect(Visited, key, { params: { name: "ann" } }),
    ({ rpc }) => rpc.Add({ text: "hello" })
  ))

/** The last visit: it leaves an alarm, and ends the actor. */
export const end = ({ connect }: Pick<Client, "connect">, key: string) =>
  Effect.scoped(Effect.flatMap(
    connect(Visited, key, { params: { name: "ann" } }),
    ({ rpc }) => Effect.all([rpc.Add({ text: "hello" }), rpc.Later(), rpc.End()], { discard: true })
  ))

/** An attempt that must fail. */
const isRefused = (attempt: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.flip(Effect.scoped(attempt)).pipe(Effect.orDieWith(() => new Error("it was let in")), Effect.asVoid)

/** Visits that come to nothing. */
export const failing = ({ connect }: Pick<Client, "connect">, key: string) => ({
  refused: isRefused(connect(Visited, key, { params: { name: "mallory" } })),
  // the client would not send what does not fit: somebody else's does
  undecodable: isRefused(connect(Loose, key, { params: { name: "" } })),
  withoutActor: isRefused(connect(Visited, "x".repeat(513), { params: { name: "ann" } })),
  impatient: Effect.scoped(connect(Visited, key, { params: { name: "slow" } })).pipe(
    Effect.timeoutOption("2 millis"),
    Effect.asVoid
  )
})
