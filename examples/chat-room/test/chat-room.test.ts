/** The room over real sockets and a real file, with clients in Node. */
import { assert, it } from "@effect/vitest"
import { ConnectionId } from "@troupe/contract/ConnectionId"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Denied, type Message, nameMax, NotAllowed, NotHere, type Person, textMax } from "../src/contract.ts"
import { join } from "./support/Client.ts"
import { freshFile, serve } from "./support/Serve.ts"

const serveFresh = Effect.flatMap(freshFile, (filename) => serve(filename))

/** Reads again and again until what is read fits. */
const eventually = <A, E, R>(read: Effect.Effect<A, E, R>, fits: (value: A) => boolean) => {
  const again: Effect.Effect<A, E, R> = Effect.flatMap(
    read,
    (value) => fits(value) ? Effect.succeed(value) : Effect.delay(again, "10 millis")
  )
  return Effect.timeout(again, "20 seconds")
}

const names = (updates: ReadonlyArray<ReadonlyArray<Person>>) => updates.at(-1)?.map(({ name }) => name).join()

const texts = (messages: ReadonlyArray<Message>) => messages.map(({ text }) => text)

const post = (port: number, body: unknown) =>
  Effect.promise(() =>
    fetch(`http://localhost:${port}/announce`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body)
    })
  )

it.scopedLive("people join, say something, and leave", () =>
  Effect.gen(function*() {
    const port = yield* serveFresh
    const ada = yield* join(port, "Ada", "moderator")
    const scope = yield* Scope.make()
    const bob = yield* Scope.extend(join(port, "Bob"), scope)
    const [welcome] = yield* eventually(bob.welcome, (welcomes) => welcomes.length === 1)
    assert.include(welcome, { name: "Bob", role: "guest" })
    yield* eventually(ada.people, (updates) => names(updates) === "Ada,Bob")

    const hello = yield* bob.rpc.Say({ text: "Hello" })
    assert.strictEqual(hello.from.name, "Bob")
    yield* eventually(ada.messages, (messages) => texts(messages).join() === "Hello")
    assert.deepStrictEqual(yield* ada.rpc.History(), [hello])
    assert.deepStrictEqual(yield* bob.messages, [], "whoever says something has it as the answer")

    yield* Scope.close(scope, Exit.void)
    yield* eventually(ada.people, (updates) => names(updates) === "Ada")
  }))

it.scopedLive("the door refuses a wrong token and a bad name", () =>
  Effect.gen(function*() {
    const port = yield* serveFresh
    const denied = yield* Effect.flip(join(port, "Mallory", "open sesame"))
    assert.instanceOf(denied, Denied)
    const invalid = yield* Effect.exit(join(port, "M".repeat(nameMax + 1)))
    assert.isTrue(Exit.isFailure(invalid))
    const ada = yield* join(port, "Ada")
    yield* eventually(ada.people, (updates) => names(updates) === "Ada")
  }))

it.scopedLive("a message that is too long never reaches the room", () =>
  Effect.gen(function*() {
    const port = yield* serveFresh
    const ada = yield* join(port, "Ada")
    const tooLong = yield* Effect.exit(Effect.suspend(() => ada.rpc.Say({ text: "x".repeat(textMax + 1) })))
    assert.isTrue(Exit.isFailure(tooLong))
    yield* ada.rpc.Say({ text: "x".repeat(textMax) })
    assert.lengthOf(yield* ada.rpc.History(), 1)
  }))

it.scopedLive("a whisper reaches one person only", () =>
  Effect.gen(function*() {
    const port = yield* serveFresh
    const [ada, bob, eve] = [yield* join(port, "Ada"), yield* join(port, "Bob"), yield* join(port, "Eve")]
    const people = yield* eventually(ada.people, (updates) => names(updates) === "Ada,Bob,Eve")
    const to = people.at(-1)![1]!.id
    const whisper = yield* ada.rpc.Whisper({ to, text: "psst" })
    const [received] = yield* eventually(bob.whispers, (whispers) => whispers.length === 1)
    assert.deepStrictEqual(received, whisper)
    yield* ada.rpc.Say({ text: "I said nothing" })
    yield* eventually(eve.messages, (messages) => texts(messages).join() === "I said nothing")
    assert.deepStrictEqual(yield* eve.whispers, [])
    assert.deepStrictEqual((yield* ada.rpc.History()).map(({ text }) => text), ["I said nothing"])
    assert.instanceOf(
      yield* Effect.flip(ada.rpc.Whisper({ to: ConnectionId.make(Number.MAX_SAFE_INTEGER), text: "hello?" })),
      NotHere
    )
  }))

it.scopedLive("a moderator disconnects somebody with a reason, a guest cannot", () =>
  Effect.gen(function*() {
    const port = yield* serveFresh
    const [ada, bob] = [yield* join(port, "Ada", "moderator"), yield* join(port, "Bob")]
    const people = yield* eventually(bob.people, (updates) => names(updates) === "Ada,Bob")
    const [adaId, bobId] = people.at(-1)!.map(({ id }) => id)
    assert.instanceOf(yield* Effect.flip(bob.rpc.Disconnect({ who: adaId!, reason: "no" })), NotAllowed)
    yield* ada.rpc.Disconnect({ who: bobId!, reason: "too much horse talk" })
    const status = yield* eventually(bob.status.get, (status) => status._tag === "Closed")
    assert.deepInclude(status, { reason: { _tag: "Disconnected", reason: "too much horse talk" } })
    const after = yield* Effect.flip(bob.rpc.Say({ text: "but" }))
    assert.include(after, { _tag: "ConnectionClosed", sent: "no" })
    yield* eventually(ada.people, (updates) => names(updates) === "Ada")
  }))

it.scopedLive("the backend announces, and answers beside the actors", () =>
  Effect.gen(function*() {
    const port = yield* serveFresh
    const ada = yield* join(port, "Ada")
    const response = yield* post(port, { text: "Doors open at eight" })
    assert.strictEqual(response.status, 200)
    yield* eventually(ada.messages, (messages) => texts(messages).join() === "Doors open at eight")
    assert.strictEqual((yield* post(port, { text: "" })).status, 400)
    assert.strictEqual((yield* post(port, "nonsense")).status, 400)

    const get = (path: string) => Effect.promise(() => fetch(`http://localhost:${port}${path}`))
    assert.strictEqual((yield* get("/health")).status, 200)
    const metrics = yield* Effect.flatMap(get("/metrics"), (response) => Effect.promise(() => response.text()))
    assert.include(metrics, "\ntroupe_connections{contract=\"ChatRoom\"} ")
    assert.match(
      metrics,
      /\ntroupe_calls_total\{contract="ChatRoom",rpc="Announce",source="internal",outcome="success"\} \d/
    )
    const page = yield* get("/")
    assert.strictEqual(page.status, 200)
    assert.include(page.headers.get("content-type"), "text/html")
    assert.strictEqual((yield* get("/../package.json")).status, 404)
    assert.strictEqual((yield* get("/%2e%2e/package.json")).status, 404)
  }))

it.scopedLive("the history survives a restart, and a call made meanwhile arrives once", () =>
  Effect.gen(function*() {
    const filename = yield* freshFile
    const scope = yield* Scope.make()
    const port = yield* Scope.extend(serve(filename), scope)
    const ada = yield* join(port, "Ada")
    const before = yield* ada.rpc.Say({ text: "before" })
    yield* Scope.close(scope, Exit.void)

    const meanwhile = yield* Effect.fork(ada.rpc.Say({ text: "meanwhile" }))
    yield* eventually(ada.status.get, (status) => status._tag === "Waiting")
    yield* serve(filename, port)
    const said = yield* Fiber.join(meanwhile)
    assert.isAbove(said.id, before.id)
    assert.deepStrictEqual(yield* ada.rpc.History(), [before, said])
    const bob = yield* join(port, "Bob")
    assert.deepStrictEqual(yield* bob.rpc.History(), [before, said])
  }))
