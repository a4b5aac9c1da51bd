/** The board over real sockets, with clients in Node. */
import { HttpServer } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { ConnectionStatus } from "@troupe/client"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as Server from "../src/server/Server.ts"
import { visit } from "./support/Client.ts"
import { eventually } from "./support/eventually.ts"

/** A server on a free port, for the rest of the scope. */
const serve = Effect.gen(function*() {
  const context = yield* Layer.build(Server.layer({ port: 0 }))
  const { address } = Context.get(context, HttpServer.HttpServer)
  return address._tag === "TcpAddress" ? address.port : yield* Effect.dieMessage("it listens on no port")
})

it.scopedLive("people come in colours of their own, and leave", () =>
  Effect.gen(function*() {
    const port = yield* serve
    const ada = yield* visit(port, "Ada")
    const scope = yield* Scope.make()
    const bob = yield* Scope.extend(visit(port, "Bob"), scope)
    yield* eventually(ada.names, (names) => names === "Ada,Bob")
    const { me, people, places } = yield* bob.rpc.Look()
    assert.deepStrictEqual(people, yield* ada.people)
    assert.notStrictEqual(people[0]!.hue, people[1]!.hue)
    assert.strictEqual(me, people[1]!.id)
    assert.deepStrictEqual(places, people.map(({ id }) => ({ id, at: null })))

    yield* Scope.close(scope, Exit.void)
    yield* eventually(ada.names, (names) => names === "Ada")
    // the colour is free again
    yield* visit(port, "Eve")
    const [, eve] = yield* eventually(ada.people, (people) => people.length === 2)
    assert.strictEqual(eve!.hue, people[1]!.hue)
  }))

it.scopedLive("a move reaches the others, and whoever comes later finds it", () =>
  Effect.gen(function*() {
    const port = yield* serve
    const ada = yield* visit(port, "Ada")
    const bob = yield* visit(port, "Bob")
    const { me } = yield* ada.rpc.Look()
    yield* ada.rpc.Move({ at: { x: 0.25, y: 0.5 } })
    yield* eventually(bob.places, (places) => places.length === 1)
    yield* ada.rpc.Move({ at: { x: 0.5, y: 0.5 } })
    const places = yield* eventually(bob.places, (places) => places.length === 2)
    assert.deepStrictEqual(places, [{ id: me, at: { x: 0.25, y: 0.5 } }, { id: me, at: { x: 0.5, y: 0.5 } }])
    assert.deepStrictEqual(yield* ada.places, [], "nobody is told of their own pointer")

    const eve = yield* visit(port, "Eve")
    assert.deepInclude((yield* eve.rpc.Look()).places, { id: me, at: { x: 0.5, y: 0.5 } })
    assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.suspend(() => ada.rpc.Move({ at: { x: 2, y: 0 } })))))
  }))

it.scopedLive("whoever was away is sent no old places, and finds the newest", () =>
  Effect.gen(function*() {
    const port = yield* serve
    const ada = yield* visit(port, "Ada")
    const bob = yield* visit(port, "Bob")
    const { me } = yield* ada.rpc.Look()
    for (const round of [1, 2]) {
      yield* bob.pause
      yield* eventually(bob.status.get, ConnectionStatus.is("Waiting"))
      for (let i = 1; i <= 50; i++) yield* ada.rpc.Move({ at: { x: i / 100, y: round / 10 } })
      yield* bob.resume
      yield* eventually(bob.status.get, ConnectionStatus.is("Connected"))
      assert.deepStrictEqual(yield* bob.status.get, ConnectionStatus.Connected({ resumed: true }))
      const { places } = yield* bob.rpc.Look()
      assert.deepInclude(places, { id: me, at: { x: 0.5, y: round / 10 } })
      // the answer came behind whatever would have been sent again
      assert.lengthOf(yield* bob.places, round - 1)
      yield* ada.rpc.Move({ at: { x: 1, y: round / 10 } })
      const told = yield* eventually(bob.places, (places) => places.length === round)
      assert.deepStrictEqual(told.at(-1), { id: me, at: { x: 1, y: round / 10 } })
    }
  }))
