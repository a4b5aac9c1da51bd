/** Clients of @effect/rpc that know nothing of us but a group, a path and a header: over real HTTP. */
import { FetchHttpClient, HttpClient, HttpClientRequest } from "@effect/platform"
import { Rpc, RpcClient, type RpcClientError, RpcGroup, RpcSerialization } from "@effect/rpc"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { ActorError, ConnectionError } from "@troupe/contract"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { clientOf, Denied, Desk, Oops, serve } from "./utils/Desk.ts"
import { until } from "./utils/until.ts"

const badParams = [
  "",
  "null",
  "{}",
  "[1",
  `{"name":""}`,
  `{"name":"x","at":"never"}`,
  // two headers of one name, as HTTP joins them
  `{"name":"ann"}, {"name":"bob"}`,
  // not escaped: HTTP has no word for what these bytes mean
  `{"name":"\u00c4nn"}`,
  `{"name":"x","__proto__":{}}`,
  "[".repeat(7_000) + "]".repeat(7_000)
]

const serializations = [
  ["JSON", RpcSerialization.layerJson],
  ["NDJSON", RpcSerialization.layerNdjson],
  ["MessagePack", RpcSerialization.layerMsgPack]
] as const

describe.each(serializations)("over HTTP, with %s", (name, serialization) => {
  it.scopedLive("a call is made, fails and dies as ever, and each request is a connection of its own", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const ann = yield* clientOf(served, { name: "Änn 😀" }, serialization, { key: "a/b c%é" })
      for (const round of [1, 2]) {
        assert.strictEqual(yield* ann.Append({ text: "x" }), round)
        assert.deepStrictEqual(yield* Effect.flip(ann.Fail({ code: round })), new Oops({ code: round }))
        const died = yield* Effect.exit(ann.Die())
        assert.isTrue(Exit.isFailure(died) && Cause.isDie(died.cause))
        assert.notInclude(Cause.pretty((died as Exit.Failure<never, never>).cause), "secret")
        const me = yield* RpcClient.withHeaders(ann.Me(), { "x-mine": "yes" })
        assert.deepStrictEqual(me, { name: "Änn 😀", header: "yes" })
      }
      yield* until(() => served.trace.log.length === 8 * 3, "all connections have ended")
      assert.deepStrictEqual(
        served.trace.log,
        Array.from({ length: 8 }, () => ["+Änn 😀", "-Änn 😀", "Änn 😀 ClientClosed"]).flat()
      )
    }))

  it.scopedLive("A1 A3 a refusal, bad params, and a key that is too long are typed failures", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const mallory = yield* clientOf(served, { name: "mallory" }, serialization)
      const reasonOf = (error: unknown) => (error as ConnectionError.ConnectionClosed).reason
      for (const _ of [1, 2]) {
        assert.deepStrictEqual(yield* Effect.flip(mallory.Append({ text: "x" })), new Denied({ why: "it is Mallory" }))
        for (const header of badParams) {
          const error = yield* Effect.flip(
            (yield* clientOf(served, undefined, serialization, { header })).Append({ text: "x" })
          )
          assert.instanceOf(error, ConnectionError.ConnectionClosed, header)
          assert.strictEqual(reasonOf(error)._tag, "InvalidParams")
          assert.strictEqual((error as ConnectionError.ConnectionClosed).sent, "no")
        }
        const longKey = yield* clientOf(served, { name: "ann" }, serialization, { key: "x".repeat(513) })
        assert.strictEqual(reasonOf(yield* Effect.flip(longKey.Append({ text: "x" })))._tag, "UnknownActor")
      }
      // a key of 512 bytes is one
      const key = "é".repeat(256)
      assert.strictEqual(
        yield* (yield* clientOf(served, { name: "ann" }, serialization, { key })).Append({ text: "x" }),
        1
      )
      assert.deepStrictEqual(served.trace.log.filter((entry) => entry.startsWith("+")), ["+ann"])
    }))

  it.scopedLive("B8 a mailbox that is full refuses with its limit, and has room again when calls end", () =>
    Effect.gen(function*() {
      const served = yield* serve({ mailboxMax: 2 })
      const ann = yield* clientOf(served, { name: "ann" }, serialization)
      const waiting = yield* Effect.forEach([1, 2], () => Effect.fork(ann.Wait()))
      // the second one waits for its turn, in which it is connected
      yield* until(() => served.trace.asked === 2 && served.trace.log.includes("waits"), "both are there")
      for (const _ of [1, 2]) {
        const error = yield* Effect.flip(ann.Me())
        assert.instanceOf(error, ActorError.ActorOverloaded)
        assert.strictEqual((error as ActorError.ActorOverloaded).capacity, 2)
      }
      // another actor has a mailbox of its own
      assert.strictEqual(
        (yield* (yield* clientOf(served, { name: "bob" }, serialization, { key: "b" })).Me()).name,
        "bob"
      )
      yield* Deferred.succeed(served.trace.gate, undefined)
      assert.deepStrictEqual(yield* Effect.forEach(waiting, Fiber.join), ["waited", "waited"])
      assert.strictEqual((yield* ann.Me()).name, "ann")
    }))

  it.scopedLive("B4 B5 streams come value by value; whoever leaves ends them, and interrupts its calls", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { log } = served.trace
      const ann = yield* clientOf(served, { name: "ann" }, serialization)
      assert.strictEqual(yield* Stream.runCount(ann.Count({ to: 100, size: 1 })), 100)
      const heard: Array<string> = []
      const failed = yield* Effect.exit(
        Stream.runForEach(ann.Count({ to: 3, size: 1 }), (n) => Effect.sync(() => heard.push(n)))
      )
      assert.deepStrictEqual(failed, Exit.fail(new Oops({ code: 3 })))
      assert.deepStrictEqual(heard, ["1", "2", "3"])
      log.length = 0
      const waiting = yield* Effect.fork(ann.Wait())
      yield* until(() => log.includes("waits"), "it waits")
      yield* Fiber.interrupt(waiting)
      yield* until(() => log.includes("ann ClientClosed"), "its connection ends")
      assert.includeMembers(log, ["interrupted"])
      if (name === "JSON") {
        const long = yield* Effect.flip(Stream.runDrain(ann.Count({ to: 100_000, size: 1000 })))
        assert.include((long as Error).message, "collectedBytesMax of 8388608")
      } else {
        // whoever takes three does not make the actor produce all
        yield* Stream.runDrain(Stream.take(ann.Count({ to: 1_000_000, size: 1000 }), 3))
      }
      yield* until(() => log.includes("the stream has ended"), "the producer is stopped")
      assert.isBelow(log.length, 20_000)
    }))

  it.scopedLive("B2 X1 what is no call is answered with something that the client can read, and hangs nobody", () =>
    Effect.gen(function*() {
      const served = yield* serve({ bodyBytesMax: 100_000 })
      const ann = yield* clientOf(served, { name: "ann" }, serialization)
      const waiting = yield* Effect.fork((yield* clientOf(served, { name: "ann" }, serialization, { key: "b" })).Wait())
      yield* until(() => served.trace.log.includes("waits"), "it waits")
      for (const round of [1, 2]) {
        for (const size of [100_000, 1_500_000]) {
          const error = yield* Effect.flip(ann.Append({ text: "x".repeat(size) }))
          assert.instanceOf(error, ConnectionError.CallRejected)
          assert.include(error.message, "100000 bytes (bodyBytesMax)")
        }
        // its server does not read it to the end
        const endless = yield* Effect.flip(ann.Append({ text: "x".repeat(4_000_000) }))
        assert.strictEqual(endless._tag, "RpcClientError")
        assert.strictEqual(yield* ann.Append({ text: "x" }), round)
      }
      // a group that promises what the actor does not have
      const lie = RpcGroup.make(
        Rpc.make("Clear"),
        Rpc.make("Missing"),
        Rpc.make("Append", { payload: { text: Schema.Number } })
      )
      const liar = yield* RpcClient.make(lie).pipe(
        Effect.provide(
          RpcClient.layerProtocolHttp({
            url: `${served.url}/Desk/a/rpc`,
            transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("troupe-params", `{"name":"ann"}`))
          }).pipe(Layer.provide(serialization), Layer.provide(FetchHttpClient.layer))
        )
      )
      for (const call of [liar.Clear(), liar.Missing(), liar.Append({ text: 1 })]) {
        const exit = yield* Effect.exit(call)
        // its group has no such error, but the client has read it
        assert.include(Cause.pretty((exit as Exit.Failure<never, never>).cause), "CallRejected")
      }
      assert.strictEqual(yield* ann.Append({ text: "x" }), 3)
      // an address that is none
      const lost = yield* RpcClient.make(Desk.httpRpcs).pipe(
        Effect.provide(
          RpcClient.layerProtocolHttp({ url: `${served.url}/Desk` }).pipe(
            Layer.provide(serialization),
            Layer.provide(FetchHttpClient.layer)
          )
        )
      )
      const nowhere = yield* Effect.exit(lost.Me())
      assert.include(Cause.pretty((nowhere as Exit.Failure<never, never>).cause), "/actors/{contract}/{key}/rpc")
      yield* Deferred.succeed(served.trace.gate, undefined)
      assert.strictEqual(yield* Fiber.join(waiting), "waited")
    }))

  it.scopedLive("a hook that dies is a typed failure, and so is a call whose schema cannot be used", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const ann = yield* clientOf(served, { name: "ann" }, serialization)
      const jinx = yield* clientOf(served, { name: "jinx" }, serialization)
      for (const _ of [1, 2]) {
        const unavailable = yield* Effect.flip(jinx.Me())
        assert.instanceOf(unavailable, ConnectionError.ConnectionClosed)
        assert.include((unavailable as ConnectionError.ConnectionClosed).reason, { _tag: "Unavailable" })
        const rejected = yield* Effect.flip(ann.Later({ text: "x" }))
        assert.instanceOf(rejected, ConnectionError.CallRejected)
        assert.include(rejected.message, "is not synchronous")
      }
      assert.strictEqual((yield* ann.Me()).name, "ann")
    }))

  it.scopedLive("L5 a server that stops answers what has begun, and what has not fails as unsent", () =>
    Effect.gen(function*() {
      for (const _ of [1, 2]) {
        const scope = yield* Scope.make()
        const served = yield* Scope.extend(serve(), scope)
        const ann = yield* clientOf(served, { name: "ann" }, serialization)
        const begun = yield* Effect.fork(ann.Wait())
        yield* until(() => served.trace.log.includes("waits"), "it has begun")
        const unsent = yield* Effect.fork(Effect.flip(ann.Me()))
        yield* until(() => served.trace.asked === 2, "the other waits for its connection")
        const stopped = yield* Effect.fork(Scope.close(scope, Exit.void))
        assert.include(yield* Fiber.join(unsent), { _tag: "ConnectionClosed", sent: "no" })
        yield* Deferred.succeed(served.trace.gate, undefined)
        assert.strictEqual(yield* Fiber.join(begun), "waited")
        yield* Fiber.join(stopped)
        assert.strictEqual((yield* Effect.flip(ann.Me()))._tag, "RpcClientError")
      }
    }))
})

// the errors of a call are those of its rpc, of its connection, and of the transport
const _types = Effect.gen(function*() {
  const desk = yield* RpcClient.make(Desk.httpRpcs)
  type Refusal = Denied | ActorError.ActorOverloaded | ConnectionError.ConnectionError | RpcClientError.RpcClientError
  expectTypeOf(desk.Fail({ code: 1 })).toEqualTypeOf<Effect.Effect<void, Oops | Refusal>>()
  expectTypeOf(desk.Append({ text: "x" })).toEqualTypeOf<Effect.Effect<number, Refusal>>()
  expectTypeOf(desk.Count({ to: 1, size: 1 })).toEqualTypeOf<Stream.Stream<string, Oops | Refusal>>()
  // @ts-expect-error internal rpcs are no part of the group
  void desk.Clear
  // @ts-expect-error there is no such payload
  void desk.Fail({ code: "1" })
})
void _types
