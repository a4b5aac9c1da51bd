import { assert, it } from "@effect/vitest"
import { ConnectionError } from "@troupe/contract"
import { Effect } from "effect"
import { makeScripted } from "./support/scripted.ts"
import { Tally } from "./support/tally.ts"
import { begin, failure, isRunning, pass, result } from "./support/world.ts"

const options = { params: { who: "ann" } }

// --- destroyed actors ------------------------------------------------------------------------------------------------

it.scoped("L4 a call that may have reached an actor that was destroyed since is not sent to the next one", () =>
  Effect.gen(function*() {
    const { client, server } = yield* makeScripted()
    const tally = yield* client.connect(Tally, "a", options)
    for (const round of [1, 2]) {
      const sent = [
        yield* begin(tally.rpc.Add({ label: "sent" })),
        yield* begin(tally.rpc.Once({ label: "sent", gate: "none" }))
      ]
      yield* client.pause
      const unsent = yield* begin(tally.rpc.Add({ label: "unsent" }))
      server.incarnation++
      server.lost = { _tag: "ActivationLost" }
      const before = server.requests.length
      for (const call of [...sent, unsent]) assert.isTrue(yield* isRunning(call), "nothing is known yet")
      yield* client.resume
      for (const call of sent) {
        const error = yield* failure(call)
        assert.instanceOf(error, ConnectionError.ActorDestroyed)
        assert.strictEqual(error.sent, "maybe")
        assert.strictEqual(error.message, "Tally/a was destroyed; the call may have run")
      }
      assert.deepStrictEqual(server.requests.slice(before), [3 * round])
      yield* server.answer(3 * round, 1)
      assert.strictEqual(yield* result(unsent), 1)
    }
  }))

it.scoped("L4 a call belongs to the actor it was first sent to, also when it was sent again since", () =>
  Effect.gen(function*() {
    const { client, server } = yield* makeScripted()
    const tally = yield* client.connect(Tally, "a", options)
    for (const round of [1, 2]) {
      const call = yield* begin(tally.rpc.Add({ label: "sent" }))
      yield* server.close({ _tag: "ActivationLost" })
      assert.deepStrictEqual(server.requests, round === 1 ? [1, 1] : [1, 1, 2, 2], "the same actor is asked again")
      assert.isTrue(yield* isRunning(call))
      yield* pass("5 seconds")
      server.incarnation++
      yield* server.close({ _tag: "ActivationLost" })
      assert.instanceOf(yield* failure(call), ConnectionError.ActorDestroyed)
      yield* pass("5 seconds")
    }
    assert.deepStrictEqual(server.requests, [1, 1, 2, 2])
  }))
