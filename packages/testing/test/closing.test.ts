/**
 * The ends of a client and of its connections where somebody else does not do as they are told: scopes that are closed
 * already, transports and parameters that take their time, throw, or speak too soon.
 */
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { Actor, ConnectionError, Transport } from "@troupe/contract"
import { Cause, Deferred, Effect, Exit, Fiber, Schedule, Schema, Scope, TestClock } from "effect"
import { Tally } from "./support/tally.ts"
import { begin, ended, failure, isRunning, makeWorld, pass, result, settle, statusOf } from "./support/world.ts"

const options = { params: { who: "ann" } }

const closed = new ConnectionError.ConnectionClosed({ reason: { _tag: "ClientClosed" }, sent: "no" })

/** A link that carries nothing. */
const deaf = { send: () => {}, close: () => {}, buffered: () => 0 }

const clientOver = (dial: Transport.Transport["Type"]["dial"]) =>
  ActorClient.make().pipe(
    Effect.provideService(Transport.Transport, { dial, onOpportunity: () => Effect.void })
  )

it.scoped("C11 a client that is closed at once after its last connection leaves no link, and opens none", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    for (const _ of [1, 2]) {
      const clientScope = yield* Scope.make()
      const client = yield* world.clientIn(clientScope)
      const connectionScope = yield* Scope.make()
      yield* Scope.extend(client.connect(Tally, "a", options), connectionScope)
      assert.strictEqual(yield* world.network.links, 1)
      yield* Scope.close(connectionScope, Exit.void)
      yield* Scope.close(clientScope, Exit.void)
      yield* settle
      assert.strictEqual(yield* world.network.links, 0)
      const dials = yield* world.network.dials
      assert.deepStrictEqual(yield* failure(yield* begin(Effect.scoped(client.connect(Tally, "a", options)))), closed)
      yield* pass("1 minute")
      assert.strictEqual(yield* world.network.dials, dials)
    }
    assert.strictEqual(world.trace.entries("acquire").length, world.trace.entries("release").length)
  }))

it.scoped("C11 connect fails in a scope that is closed already, and leaves nothing", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    const client = yield* world.client()
    for (const _ of [1, 2]) {
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const connecting = yield* begin(Scope.extend(client.connect(Tally, "a", options), scope))
      assert.deepStrictEqual(yield* failure(connecting), closed)
      yield* pass("1 minute")
      assert.strictEqual(yield* world.network.dials, 0)
      assert.lengthOf(yield* TestClock.sleeps(), 0)
    }
  }))

it.scoped("C11 a client is closed when its link has been released, however long that takes", () =>
  Effect.gen(function*() {
    for (const first of ["connection", "client"]) {
      const released = yield* Deferred.make<void>()
      const clientScope = yield* Scope.make()
      const client = yield* Scope.extend(
        clientOver(() =>
          Effect.as(
            Effect.addFinalizer(() => Effect.zipRight(Effect.sleep("1 second"), Deferred.succeed(released, undefined))),
            deaf
          )
        ),
        clientScope
      )
      const connecting = yield* begin(Effect.scoped(client.connect(Tally, "a", options)))
      if (first === "connection") yield* Fiber.interruptFork(connecting)
      const closing = yield* begin(Scope.close(clientScope, Exit.void))
      yield* pass("999 millis")
      assert.isTrue(yield* isRunning(closing))
      yield* pass("1 millis")
      yield* result(closing)
      assert.isTrue(yield* Deferred.isDone(released))
    }
  }))

it.scoped("C11 what waits for a client that is closed is settled at once, also while something else takes its time", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const line = yield* world.network.line()
    for (const slow of ["an earlier link", "parameters"]) {
      const clientScope = yield* Scope.make()
      const client = yield* Scope.extend(
        clientOver((handler) =>
          Effect.zipRight(
            Effect.addFinalizer(() => slow === "an earlier link" ? Effect.sleep("1 hour") : Effect.void),
            line.transport.dial(handler)
          )
        ),
        clientScope
      )
      const connectionScope = yield* Scope.make()
      const tally = yield* Scope.extend(client.connect(Tally, "a", options), connectionScope)
      if (slow === "an earlier link") {
        yield* line.cut
        yield* pass("2 seconds")
      } else {
        const params = Effect.uninterruptible(Effect.as(Effect.sleep("1 hour"), options.params))
        yield* begin(Effect.scoped(client.connect(Tally, "b", { params })))
      }
      const call = yield* begin(tally.rpc.Hold({ label: "x", gate: "never" }))
      const closing = yield* begin(Scope.close(clientScope, Exit.void))
      assert.strictEqual((yield* failure(call))._tag, "ConnectionClosed")
      assert.match(yield* statusOf(tally), /^closed/)
      if (slow === "parameters") assert.strictEqual(yield* line.links, 0)
      yield* pass("1 hour")
      yield* result(closing)
      assert.strictEqual(yield* line.links, 0)
      yield* Scope.close(connectionScope, Exit.void)
    }
  }))

class Odd extends Actor.Tag<Odd>()("Odd", { params: Schema.Struct({ token: Schema.Unknown }) }) {}

it.scoped("A1 parameters that cannot be written fail their own connect, and no other", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    for (const _ of [1, 2]) {
      yield* world.network.setReachability("refused")
      const odd = yield* begin(Effect.scoped(client.connect(Odd, "a", { params: { token: 1n } })))
      const scope = yield* Scope.make()
      const good = yield* begin(Scope.extend(client.connect(Tally, "a", options), scope))
      yield* world.network.setReachability("reachable")
      yield* pass("30 seconds")
      const exit = yield* ended(odd)
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.strictEqual(yield* statusOf(yield* result(good)), "connected")
      yield* Scope.close(scope, Exit.void)
      yield* settle
    }
  }))

it.scoped("A1 parameters that are interrupted fail the connect", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const params = Effect.interrupt as Effect.Effect<never>
    const exit = yield* ended(yield* begin(Effect.scoped(client.connect(Tally, "a", { params }))))
    assert.isTrue(Exit.isInterrupted(exit))
  }))

it.scoped("A1 parameters that pause their own client are interrupted, and asked for anew", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    let [asked, running] = [0, 0]
    const params = Effect.suspend(() => {
      if (asked++ > 0) return Effect.succeed(options.params)
      const forever = Effect.zipRight(Effect.sync(() => running++), Effect.never)
      return Effect.zipRight(client.pause, Effect.ensuring(forever, Effect.sync(() => running--)))
    })
    const connecting = yield* begin(client.connect(Tally, "a", { params }))
    assert.strictEqual(yield* statusOf(client), "waiting 0 Paused")
    assert.strictEqual(running, 0)
    yield* client.resume
    yield* settle
    assert.strictEqual(yield* statusOf(yield* result(connecting)), "connected")
    assert.strictEqual(asked, 2)
  }))

for (const times of [1, 2]) {
  it.scoped(`C1 a transport that throws at dial ${times} is dialled again`, () =>
    Effect.gen(function*() {
      let dials = 0
      const client = yield* clientOver(() => {
        if (++dials === times) throw new Error("no dial")
        return new Transport.DialError({ message: "not yet" })
      })
      yield* begin(Effect.scoped(client.connect(Tally, "a", options)))
      yield* pass("10 seconds")
      assert.isAbove(dials, 3)
      assert.match(yield* statusOf(client), /^waiting \d+ DialFailed/)
    }))
}

it.scoped("C11 a schedule that is interrupted has ended: nothing waits for ever", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    const schedule = Schedule.tapOutput(Schedule.forever, () => Effect.interrupt)
    const client = yield* world.client({ schedule })
    yield* world.network.setReachability("refused")
    const connecting = yield* begin(Effect.scoped(client.connect(Tally, "a", options)))
    const gaveUp = new ConnectionError.ConnectionClosed({ reason: { _tag: "GaveUp" }, sent: "no" })
    assert.deepStrictEqual(yield* failure(connecting), gaveUp)
  }))

it.scoped("C10 a server that speaks before it is greeted, or a link that has ended before it stands, is given up", () =>
  Effect.gen(function*() {
    for (const early of ["frames", "an end"]) {
      let dials = 0
      const client = yield* clientOver((handler) =>
        Effect.sync(() => {
          dials++
          if (early === "an end") handler.onClose({ code: 1006, reason: "" })
          else for (const _tag of ["Ping", "GoAway"]) handler.onMessage(JSON.stringify([{ _tag, retryAfterMillis: 0 }]))
          return deaf
        })
      )
      yield* begin(Effect.scoped(client.connect(Tally, "a", options)))
      yield* pass("10 seconds")
      assert.isAbove(dials, 3)
      assert.match(yield* statusOf(client), /^waiting \d+ LinkLost/)
    }
  }))

it.scoped("C1 after the schedule has ended another connection begins it anew", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    const client = yield* world.client({
      schedule: Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(3))
    })
    yield* world.network.setReachability("refused")
    for (const round of [1, 2]) {
      const connecting = yield* begin(Effect.scoped(client.connect(Tally, "a", options)))
      yield* pass("10 seconds")
      assert.strictEqual((yield* failure(connecting))._tag, "ConnectionClosed")
      assert.strictEqual(yield* world.network.dials, 4 * round)
    }
  }))

it.scoped("C4 a client that is resumed without a connection does not say that it is paused", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    const client = yield* world.client()
    for (const _ of [1, 2]) {
      yield* client.pause
      assert.strictEqual(yield* statusOf(client), "waiting 0 Paused")
      yield* client.resume
      assert.strictEqual(yield* statusOf(client), "connecting")
    }
    assert.strictEqual(yield* world.network.dials, 0)
  }))
