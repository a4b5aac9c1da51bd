/** Activations that are lost while their clients' links are healthy, over real sockets and a real file. */
import { HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient, type Connection, type ConnectionStatus } from "@troupe/client"
import { Actor, Gap } from "@troupe/contract"
import type { DefinitionOf } from "@troupe/contract/Contract"
import { NodeActors, NodeWebSocketTransport, SqliteStore } from "@troupe/node"
import { ActorHost, ActorServer } from "@troupe/server"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, Ref, Schedule, Schema, Stream } from "effect"
import Database from "libsql"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as Directory from "./utils/Directory.ts"
import { until } from "./utils/until.ts"

/** Its state does not encode when an entry is empty. */
class Shelf extends Actor.Tag<Shelf>()("Shelf", {
  rpcs: RpcGroup.make(
    Rpc.make("Put", { payload: { entry: Schema.String }, success: Schema.Number }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) })
  ),
  events: { put: Schema.String }
}) {}

const State = Schema.Struct({ entries: Schema.Array(Schema.NonEmptyString) })

/** What a test sees of the actor, and how it steers it. */
interface Control {
  broken: boolean
  builds: number
}

const layerShelf = (control: Control) =>
  Shelf.toLayer({ state: State, initialState: () => ({ entries: [] }) }, (shelf) =>
    Effect.gen(function*() {
      control.builds++
      if (control.broken) return yield* Effect.fail("what it needs is not there")
      return shelf.behavior({
        rpcs: {
          Put: ({ entry }) =>
            Ref.modify(shelf.state, ({ entries }) => [entries.length + 1, { entries: [...entries, entry] }]).pipe(
              Effect.tap(() => shelf.broadcast("put", entry))
            ),
          Entries: () => Effect.map(Ref.get(shelf.state), ({ entries }) => entries)
        }
      })
    }))

/** A server on a store file that gives up at once when the file is locked. */
const serve = Effect.gen(function*() {
  const filename = `${yield* Directory.temporary}/store.db`
  const server = Http.createServer()
  const control: Control = { broken: false, builds: 0 }
  let sockets = 0
  server.on("connection", () => sockets++)
  yield* Layer.build(
    HttpLayerRouter.serve(ActorServer.layer({ actors: [Shelf], drainTimeout: 0 }), {
      disableListenLog: true,
      disableLogger: true
    }).pipe(
      Layer.provide(layerShelf(control)),
      Layer.provide(ActorHost.layer()),
      Layer.provide(SqliteStore.layer({ filename, retriesMax: 0 })),
      Layer.provide(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" })),
      Layer.provide(Logger.remove(Logger.defaultLogger))
    )
  )
  return { filename, control, sockets: () => sockets, port: (server.address() as Net.AddressInfo).port }
})

const makeClient = (port: number, options: ActorClient.Options = {}) =>
  Effect.map(
    Layer.build(
      ActorClient.layer({ schedule: Schedule.spaced("10 millis"), stableAfter: "50 millis", ...options }).pipe(
        Layer.provide(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` }))
      )
    ),
    Context.get(ActorClient.ActorClient)
  )

type ShelfConnection = Connection.Connection<DefinitionOf<Shelf>>

/** All statuses from now on. */
const watch = ({ status }: Pick<ShelfConnection, "status">) =>
  Effect.gen(function*() {
    const seen: Array<ConnectionStatus.ConnectionStatus> = []
    yield* Effect.forkScoped(Stream.runForEach(status.changes, (next) => Effect.sync(() => seen.push(next))))
    yield* until(() => seen.length > 0)
    return seen
  })

const tags = (seen: ReadonlyArray<ConnectionStatus.ConnectionStatus>) => seen.map(({ _tag }) => _tag)

/** The waits for an actor that could not be opened, in order. */
const waits = (seen: ReadonlyArray<ConnectionStatus.ConnectionStatus>) =>
  seen.flatMap((status) =>
    status._tag === "Waiting" && status.cause._tag === "NotOpened"
      ? [{ ...status, cause: status.cause.reason._tag }]
      : []
  )

/** Long enough for the next loss to be the first of a row. */
const becomeStable = Effect.sleep("60 millis")

it.scopedLive("C16 over sockets, a state that does not encode: opened anew on the same links, and only the guilty call dies", () =>
  Effect.gen(function*() {
    const { control, port, sockets } = yield* serve
    const clients = [yield* makeClient(port), yield* makeClient(port)]
    const [ann, bob] = yield* Effect.forEach(clients, (client) => client.connect(Shelf, "a"))
    const links = yield* Effect.forEach(clients, watch)
    const seen = [yield* watch(ann!), yield* watch(bob!)]
    const heard: Array<string> = []
    const puts = yield* bob!.events("put")
    yield* Effect.forkScoped(
      Stream.runForEach(puts, (put) => Effect.sync(() => heard.push(Gap.isGap(put) ? "gap" : put)))
    )
    const expected: Array<string> = []
    for (const round of ["x", "y"]) {
      yield* becomeStable
      const builds = control.builds
      const [first, guilty, second, other] = yield* Effect.all([
        ...[`${round}1`, "", `${round}2`].map((entry) => Effect.exit(ann!.rpc.Put({ entry }))),
        Effect.exit(bob!.rpc.Put({ entry: `${round} bob` }))
      ], { concurrency: "unbounded" })
      for (const exit of [first!, second!, other!]) assert.isTrue(Exit.isSuccess(exit))
      assert.isTrue(Exit.isFailure(guilty!) && Cause.isDie(guilty.cause))
      expected.push(`${round}1`, `${round}2`, `${round} bob`)
      assert.sameMembers([...yield* ann!.rpc.Entries()], expected)
      assert.strictEqual(control.builds, builds + 1)
      yield* until(() => heard.includes("gap"))
      heard.length = 0
    }
    for (const statuses of seen) {
      yield* until(() => statuses.length >= 5)
      assert.deepStrictEqual(tags(statuses), ["Connected", "Connecting", "Connected", "Connecting", "Connected"])
      assert.deepStrictEqual(statuses.at(-1), { _tag: "Connected", resumed: false } as never)
    }
    for (const statuses of links) assert.deepStrictEqual(tags(statuses), ["Connected"], "the link has not changed")
    assert.strictEqual(sockets(), 2)
  }))

it.scopedLive("C16 over sockets, a store that is locked: clients are told, wait on the same link, and calls run once", () =>
  Effect.gen(function*() {
    const { filename, port, sockets } = yield* serve
    const client = yield* makeClient(port)
    const shelf = yield* client.connect(Shelf, "a")
    const link = yield* watch(client)
    const intruder = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(filename)),
      (db) => Effect.sync(() => db.close())
    )
    for (const count of [1, 2, 3]) {
      yield* becomeStable
      const seen = yield* watch(shelf)
      intruder.exec("BEGIN IMMEDIATE")
      const call = yield* Effect.fork(shelf.rpc.Put({ entry: `${count}` }))
      yield* until(() => waits(seen).length >= 3)
      assert.isNull(call.unsafePoll(), "nothing was answered")
      assert.deepStrictEqual(tags(seen).slice(0, 3), ["Connected", "Connecting", "Waiting"])
      assert.deepStrictEqual(
        waits(seen).slice(0, 3).map(({ attempt, cause }) => [attempt, cause]),
        [[1, "Unavailable"], [2, "Unavailable"], [3, "Unavailable"]]
      )
      intruder.exec("ROLLBACK")
      assert.strictEqual(yield* Fiber.join(call), count)
      assert.deepStrictEqual(yield* shelf.status.get, { _tag: "Connected", resumed: false } as never)
    }
    assert.deepStrictEqual(yield* shelf.rpc.Entries(), ["1", "2", "3"])
    assert.deepStrictEqual(tags(link), ["Connected"])
    assert.strictEqual(sockets(), 1)
  }))

it.scopedLive("C16 over sockets, a build that keeps failing: tried again on the schedule, and the status says why", () =>
  Effect.gen(function*() {
    const { control, port, sockets } = yield* serve
    const delay = 20
    const client = yield* makeClient(port, { schedule: Schedule.exponential(delay, 2) })
    const shelf = yield* client.connect(Shelf, "a")
    const link = yield* watch(client)
    for (const count of [1, 2]) {
      yield* becomeStable
      const seen = yield* watch(shelf)
      control.broken = true
      control.builds = 0
      // its state does not encode, so the activation is lost with it
      const guilty = yield* Effect.fork(Effect.exit(shelf.rpc.Put({ entry: "" })))
      const began = Date.now()
      const other = yield* Effect.fork(shelf.rpc.Put({ entry: `${count}` }))
      yield* until(() => waits(seen).length >= 4)
      const rounds = waits(seen).slice(0, 4)
      assert.deepStrictEqual(rounds.map(({ attempt }) => attempt), [1, 2, 3, 4])
      for (const { cause } of rounds) assert.strictEqual(cause, "Unavailable")
      assert.isAtLeast(Date.now() - began, 7 * delay - 5, "three waits: once, twice and four times the delay")
      assert.isAtLeast(control.builds, 4)
      assert.isAtMost(control.builds, waits(seen).length + 1)
      control.broken = false
      assert.strictEqual(yield* Fiber.join(other), count)
      const exit = yield* Fiber.join(guilty)
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.deepStrictEqual(yield* shelf.status.get, { _tag: "Connected", resumed: false } as never)
    }
    assert.deepStrictEqual(yield* shelf.rpc.Entries(), ["1", "2"])
    assert.deepStrictEqual(tags(link), ["Connected"])
    assert.strictEqual(sockets(), 1)
  }))
