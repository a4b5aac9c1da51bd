/** The network in memory: what is done to the line of one client is not done to the others. */
import { assert, it } from "@effect/vitest"
import type { Connection } from "@troupe/client"
import { MemoryTransport, TestClient, TestKit, TestTime } from "@troupe/testing"
import { Cause, Effect, Exit, Fiber, Layer, Option } from "effect"
import { Bank, Till, tillLive } from "./support/till.ts"
import { collect, word } from "./support/world.ts"

const kit = TestKit.layer({ actors: [Till], implementations: tillLive() }).pipe(Layer.provideMerge(Bank.layer))

/** A client, its connection, and its line. */
const join = Effect.gen(function*() {
  const client = yield* TestClient.make()
  return { line: client.line, till: yield* client.connect(Till, "shop") }
})

const statusOf = ({ status }: Connection.Connection<any>) =>
  Effect.zipRight(TestTime.settle, Effect.map(status.get, word))

it.scoped("one line is cut and restored, and the others stand", () =>
  Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    const [ann, bob] = [yield* join, yield* join]
    yield* ann.line.setReachability("refused")
    yield* ann.line.cut
    assert.strictEqual(yield* statusOf(ann.till), "waiting 1 LinkLost")
    assert.strictEqual(yield* statusOf(bob.till), "connected")
    assert.strictEqual(yield* bob.till.rpc.Pay({ cents: 1 }), 1)
    assert.deepStrictEqual([yield* ann.line.links, yield* bob.line.links, yield* network.links], [0, 1, 1])

    const call = yield* Effect.fork(ann.till.rpc.Pay({ cents: 2 }))
    yield* TestTime.pass("1 minute")
    assert.strictEqual(yield* bob.line.dials, 1)
    assert.strictEqual(yield* network.dials, 1 + (yield* ann.line.dials))
    yield* ann.line.setReachability("reachable")
    yield* ann.line.opportunity
    assert.strictEqual(yield* statusOf(ann.till), "resumed")
    assert.strictEqual(yield* Fiber.join(call), 3)

    // what is done to the network is done to all
    yield* network.cut
    yield* TestTime.settle
    for (const { till } of [ann, bob]) assert.strictEqual((yield* till.status.get)._tag, "Waiting")
    yield* network.setReachability("silent")
    yield* ann.line.setReachability("reachable")
    yield* network.opportunity
    for (const { till } of [ann, bob]) assert.strictEqual(yield* statusOf(till), "connecting")
  }).pipe(Effect.provide(kit)))

it.scoped("one line is frozen: what is sent there is lost, until it is found out", () =>
  Effect.gen(function*() {
    const bank = yield* Bank
    const [ann, bob] = [yield* join, yield* join]
    yield* ann.line.setFrozen(true)
    const call = yield* Effect.fork(ann.till.rpc.Pay({ cents: 2 }))
    yield* TestTime.settle
    assert.notInclude(bank.heard, "asked for 2")
    assert.strictEqual(yield* bob.till.rpc.Pay({ cents: 1 }), 1)
    assert.strictEqual(yield* statusOf(ann.till), "connected")
    yield* ann.line.setFrozen(false)
    yield* TestTime.pass("1 minute")
    assert.strictEqual(yield* Fiber.join(call), 3)
  }).pipe(Effect.provide(kit)))

it.scoped("one line is held: what is sent there waits, in order, and is not lost", () =>
  Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    const [ann, bob] = [yield* join, yield* join]
    const heard = yield* collect(yield* ann.till.events("paid"))
    for (const controls of [ann.line, network]) {
      yield* controls.hold
      const call = yield* Effect.fork(ann.till.rpc.Pay({ cents: 2 }))
      if (controls === ann.line) yield* Effect.forEach([1, 3], (cents) => bob.till.rpc.Pay({ cents }))
      yield* TestTime.settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(call)))
      yield* controls.release
      yield* Fiber.join(call)
    }
    assert.deepStrictEqual(heard, [1, 3, 2, 2])
    // the cut of a line that is held takes what waits on it
    yield* ann.line.hold
    const lost = yield* Effect.fork(ann.till.rpc.Pay({ cents: 4 }))
    yield* TestTime.settle
    yield* ann.line.cut
    yield* ann.line.release
    assert.strictEqual(yield* statusOf(ann.till), "waiting 1 LinkLost")
    yield* TestTime.pass("1 second")
    assert.strictEqual(yield* Fiber.join(lost), 12)
  }).pipe(Effect.provide(kit)))

it.scoped("a cut at one side: the other finds out when it sends, or by the silence", () =>
  Effect.gen(function*() {
    const bank = yield* Bank
    const [ann, bob] = [yield* join, yield* join]
    yield* ann.line.setReachability("refused")
    yield* ann.line.cutAt("client")
    assert.strictEqual(yield* statusOf(ann.till), "waiting 1 LinkLost")

    yield* bob.line.cutAt("server")
    assert.strictEqual(yield* statusOf(bob.till), "connected", "the client has not noticed")
    const call = yield* Effect.fork(bob.till.rpc.Pay({ cents: 1 }))
    assert.strictEqual(yield* statusOf(bob.till), "waiting 1 LinkLost")
    assert.notInclude(bank.heard, "asked for 1")
    yield* TestTime.pass("1 minute")
    assert.strictEqual(yield* Fiber.join(call), 1)
    yield* TestTime.pass("65 seconds")
    assert.notInclude(bank.heard, "left", "the resume window of two minutes did not begin with the cut")
    yield* TestTime.pass("40 seconds")
    assert.include(bank.heard, "left", "but with the silence after it")
  }).pipe(Effect.provide(kit)))

it.scoped("a message's fate is decided for one line, or for all", () =>
  Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    const [ann, bob] = [yield* join, yield* join]
    const seen: Array<string> = []
    let fate: MemoryTransport.Fate = "cut-after"
    yield* network.onMessage(({ from }) => void seen.push(`network ${from}`))
    yield* ann.line.onMessage(({ carries, from }) => {
      seen.push(`ann ${from}`)
      return carries("Request") ? fate : undefined
    })
    const cut = yield* Effect.fork(ann.till.rpc.Pay({ cents: 1 }))
    assert.strictEqual(yield* statusOf(ann.till), "waiting 1 LinkLost")
    assert.strictEqual(yield* bob.till.rpc.Total(), 1, "the call has arrived")
    assert.deepStrictEqual(seen.slice(0, 4), ["network client", "ann client", "network client", "network server"])
    fate = undefined
    yield* TestTime.pass("1 second")
    assert.strictEqual(yield* Fiber.join(cut), 1)
  }).pipe(Effect.provide(kit)))

it.scoped("who listens last under a name is dialled, and who listened before when it has gone", () =>
  Effect.gen(function*() {
    const network = yield* MemoryTransport.MemoryNetwork
    const dialled: Array<string> = []
    const listen = (name: string, at?: string) =>
      network.listen(() => {
        dialled.push(name)
        return { onMessage: () => {}, onClose: () => {} }
      }, at)
    const dial = (to?: string) =>
      Effect.scoped(
        Effect.flatMap(network.line(to), ({ transport }) => transport.dial({ onMessage: () => {}, onClose: () => {} }))
      )
    yield* listen("one")
    yield* Effect.scoped(Effect.zipRight(listen("two"), dial()))
    yield* dial()
    yield* listen("three", "elsewhere")
    yield* dial("elsewhere")
    assert.strictEqual((yield* Effect.flip(dial("nowhere"))).message, "connection refused")
    assert.deepStrictEqual(dialled, ["two", "one", "three"])
  }).pipe(Effect.provide(MemoryTransport.layer)))

it.scoped("a tap that throws fails its test in the end, and the message arrives", () =>
  Effect.gen(function*() {
    let answered: number | undefined
    const exit = yield* Effect.exit(Effect.provide(
      Effect.gen(function*() {
        const network = yield* MemoryTransport.MemoryNetwork
        const { line, till } = yield* join
        yield* network.onMessage(({ carries }) => {
          if (carries("Request")) throw new Error("a request")
        })
        yield* line.onMessage(({ carries, from }) => {
          if (from === "server" && carries("Exit")) throw new Error("and an exit")
        })
        answered = yield* till.rpc.Pay({ cents: 1 })
        assert.strictEqual(yield* statusOf(till), "connected")
      }).pipe(Effect.scoped),
      kit
    ))
    assert.strictEqual(answered, 1)
    assert.deepStrictEqual(
      Exit.isFailure(exit) && Cause.prettyErrors(exit.cause).map(({ message }) => message),
      ["a request"]
    )
  }))
