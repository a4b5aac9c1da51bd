/** Calls that are sent again to a server that does not take them any more. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, ConnectionError, Delivery } from "@troupe/contract"
import { MemoryTransport, TestClient, TestHost, TestStore, TestTime } from "@troupe/testing"
import { Effect, Layer, Ref, Schema } from "effect"

const internal = RpcGroup.make(Rpc.make("Count", { success: Schema.Int }))

const rpcs = <Text extends Schema.Schema.AnyNoContext>(text: Text) => {
  const options = { payload: { text }, success: Schema.Int }
  return RpcGroup.make(
    Rpc.make("Add", options),
    Rpc.make("AddAgain", options).annotate(Delivery.Delivery, "idempotent")
  )
}

class Book extends Actor.Tag<Book>()("Book", { rpcs: rpcs(Schema.String), internal }) {}

/** The next version takes shorter texts. */
class Booklet
  extends Actor.Tag<Booklet>()("Book", { rpcs: rpcs(Schema.String.pipe(Schema.maxLength(10))), internal })
{}

const options = { state: Schema.Int, initialState: () => 0 }

const handlers = (state: Ref.Ref<number>) => {
  const add = () => Ref.updateAndGet(state, (n) => n + 1)
  return { rpcs: { Add: add, AddAgain: add }, internal: { Count: () => Ref.get(state) } }
}

const first = {
  actors: [Book],
  implementations: Book.toLayer(options, (book) => Effect.succeed(book.behavior(handlers(book.state))))
}

const shorter = {
  actors: [Booklet],
  implementations: Booklet.toLayer(options, (book) => Effect.succeed(book.behavior(handlers(book.state))))
}

/** Why the next server does not take the call: how it is started, and the rpc. */
const cases = {
  "its messages are too long": [
    "Add",
    TestHost.make({ ...first, gateway: { messageBytesMax: 2048, openBytesMax: 1024 } })
  ],
  "its schema refuses it": ["AddAgain", TestHost.make(shorter)]
} as const

it.scoped.each(Object.entries(cases))(
  "C6 a call that has run is not said to be unsent when the next server does not take it: %s",
  ([, [rpc, next]]) =>
    Effect.gen(function*() {
      const network = yield* MemoryTransport.MemoryNetwork
      const host = yield* TestHost.make(first)
      const book = yield* (yield* TestClient.make()).connect(Book, "a")
      let cut = false
      yield* network.onMessage(({ carries, from }) => {
        if (cut || from === "client" || !carries("Exit")) return
        cut = true
        return "cut-before"
      })
      const call = yield* Effect.fork(Effect.flip(book.rpc[rpc]({ text: "x".repeat(5000) })))
      yield* TestTime.settle
      yield* host.crash
      const { directory } = yield* next
      yield* TestTime.pass("1 minute")
      assert.instanceOf(yield* call, ConnectionError.OutcomeUnknown)
      assert.strictEqual(yield* directory(Book).get("a").Count(), 1)
      // one that is sent there first has not run, and is said so
      const rejected = yield* Effect.flip(book.rpc[rpc]({ text: "x".repeat(5000) }))
      assert.instanceOf(rejected, ConnectionError.CallRejected)
      assert.strictEqual(yield* directory(Book).get("a").Count(), 1)
    }).pipe(Effect.provide(Layer.merge(TestStore.layer, MemoryTransport.layer)))
)
