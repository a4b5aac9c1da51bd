/**
 * What every `Transport` has to keep to, together with what accepts its links. Not exported from the index, because it
 * needs vitest: import the module from a test file and call `register`.
 */
import { assert, describe, it } from "@effect/vitest"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import * as Link from "@troupe/contract/Link"
import { DialError, type Transport } from "@troupe/contract/Transport"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { soon } from "./internal/Patience.ts"

/** Both sides of a transport. */
export interface Harness {
  readonly transport: Transport["Type"]
  /** Dials reach this from now on. */
  readonly listen: (
    accept: (link: Link.Link, request: ConnectRequest) => Link.LinkHandler
  ) => Effect.Effect<void, never, Scope.Scope>
}

/** The transport the laws are checked on. */
export interface Subject {
  readonly make: Effect.Effect<Harness, unknown, Scope.Scope>
  /** A transport that dials where nobody listens; absent if there is no such place. */
  readonly unreachable?: Effect.Effect<Transport["Type"], unknown, Scope.Scope>
  /** How long a law waits for what has to come, in milliseconds of real time. Default: 10 seconds. */
  readonly patienceMillis?: number
}

const textUnits = 2 * 1024 * 1024
const textBytesMax = 4 * textUnits
const textsInRow = 2000
const textsUnread = 200
/** It begins with what decoders take for a byte order mark if they are not told otherwise. */
const oddText = "\ufeff'\"\\ \u0000\n\u2028\ufeff é 漢字 😀"
/** A code of the application, which browsers allow too. */
const codeOwn = 3001

/**
 * The codes of `Link` that each side closes with. A browser does not let a page choose one of the protocol, so for a client
 * it is the ordinary one.
 */
const codesOfTroupe = {
  client: [Link.codeNormal],
  server: [Link.codeNormal, Link.codeGoAway, Link.codeViolation, Link.codeTryAgain]
}

const patienceMillisDefault = 10_000

/** A law may wait several times. */
const timeoutMillis = 60_000

/** Remembers what one side of a link hears, and waits for it. */
class Ear implements Link.LinkHandler {
  readonly texts: Array<string> = []
  readonly closes: Array<Link.CloseEvent> = []
  /** What came after the close. Not an error at once: a transport may catch what a handler throws. */
  readonly late: Array<string> = []
  private readonly checks = new Set<() => void>()

  constructor(private readonly patienceMillis: number) {}

  readonly onMessage = (text: string): void => {
    if (this.closes.length > 0) this.late.push(text)
    this.texts.push(text)
    this.checks.forEach((check) => check())
  }

  readonly onClose = (event: Link.CloseEvent): void => {
    this.closes.push(event)
    this.checks.forEach((check) => check())
  }

  /** Waits until so many texts have been heard. */
  heard(count: number): Effect.Effect<ReadonlyArray<string>> {
    const missing = () => `${this.texts.length} of ${count} texts have come`
    return Effect.as(this.until(() => this.texts.length >= count, missing), this.texts)
  }

  /** Waits for the close. */
  readonly closed: Effect.Effect<Link.CloseEvent> = Effect.suspend(() =>
    Effect.map(this.until(() => this.closes.length > 0, () => "no close has come"), () => this.closes[0]!)
  )

  until(condition: () => boolean, missing: () => string): Effect.Effect<void> {
    const met = Effect.async<void>((resume) => {
      const check = () => {
        if (!condition()) return
        this.checks.delete(check)
        resume(Effect.void)
      }
      this.checks.add(check)
      check()
      return Effect.sync(() => this.checks.delete(check))
    })
    return soon(met, this.patienceMillis, missing)
  }
}

/** One side of a link. */
interface Side {
  readonly link: Link.Link
  readonly ear: Ear
}

const sides = ["client", "server"] as const

const other = (side: typeof sides[number]) => side === "client" ? "server" : "client"

/** Dials and accepts. */
interface World {
  /** Opens a link, until the scope closes; `client` dialled it, `server` accepted it. */
  readonly connect: Effect.Effect<{ readonly client: Side; readonly server: Side }, DialError, Scope.Scope>
  /** Opens a link in a scope of its own, which ends with the law at the latest. */
  readonly connectScoped: Effect.Effect<
    { readonly client: Side; readonly server: Side; readonly close: Effect.Effect<void> },
    DialError,
    Scope.Scope
  >
  /** All links that were accepted. */
  readonly accepted: ReadonlyArray<Side>
  /** What these links were accepted with. */
  readonly requests: ReadonlyArray<ConnectRequest>
  readonly harness: Harness
  /** What has heard something of a link, or may yet. */
  readonly ears: ReadonlyArray<Ear>
  readonly newEar: () => Ear
  /** What is done with a link that has just been accepted. */
  onAccept: (side: Side) => void
}

const makeWorld = (
  { make, patienceMillis = patienceMillisDefault }: Subject
): Effect.Effect<World, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const harness = yield* make
    const accepted: Array<Side> = []
    const requests: Array<ConnectRequest> = []
    const ears: Array<Ear> = []
    const newEar = () => {
      const ear = new Ear(patienceMillis)
      ears.push(ear)
      return ear
    }
    const arrivals = new Ear(patienceMillis)
    const connect = Effect.gen(function*() {
      const count = accepted.length
      const ear = newEar()
      const link = yield* soon(harness.transport.dial(ear), patienceMillis, () => "a dial has not ended")
      yield* arrivals.until(() => accepted.length > count, () => "a link that was dialled has not been accepted")
      return { client: { link, ear }, server: accepted[accepted.length - 1]! }
    })
    const world: World = {
      connect,
      connectScoped: Effect.gen(function*() {
        const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
        return { ...(yield* Scope.extend(connect, scope)), close: Scope.close(scope, Exit.void) }
      }),
      accepted,
      requests,
      harness,
      ears,
      newEar,
      onAccept: () => {}
    }
    yield* harness.listen((link, request) => {
      const side = { link, ear: newEar() }
      accepted.push(side)
      requests.push(request)
      world.onAccept(side)
      // in a turn of its own, because the handler is not known to the link before this returns
      arrivals.onMessage("accepted")
      return side.ear
    })
    return world
  })

/** Everything that was on its way when this began has arrived when it ends. */
const settle = (world: World): Effect.Effect<void, DialError> =>
  Effect.scoped(Effect.gen(function*() {
    const { client, server } = yield* world.connect
    for (let i = 0; i < 3; i++) {
      client.link.send("ping")
      yield* server.ear.heard(i + 1)
      server.link.send("pong")
      yield* client.ear.heard(i + 1)
    }
  }))

const numbered = (prefix: string, count = textsUnread): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`)

/** What a transport has to keep to. */
export interface Law {
  readonly title: string
  /** Fails, or is a defect, if the transport does not. */
  readonly check: Effect.Effect<void, unknown, Scope.Scope>
}

type Enact = (title: string, check: (world: World) => Effect.Effect<void, unknown, Scope.Scope>) => void

/** What holds of every link, whatever a law is about. */
const checkEars = ({ ears }: World): void => {
  for (const { closes, late } of ears) {
    assert.deepStrictEqual(late, [], "a text came after the close")
    assert.isAtMost(closes.length, 1, "a link has closed more than once")
  }
}

/** The laws for one transport. */
export const laws = (subject: Subject): ReadonlyArray<Law> => {
  const all: Array<Law> = []
  const law: Enact = (title, check) =>
    all.push({
      title,
      check: Effect.flatMap(makeWorld(subject), (world) => Effect.map(check(world), () => checkEars(world)))
    })
  textLaws(law)
  closeLaws(law)
  dialLaws(law, subject)
  return all
}

/** Registers the laws for one transport, as tests. Time passes in them. */
export const register = (name: string, subject: Subject): void => {
  describe(name, () => {
    for (const { check, title } of laws(subject)) it.scopedLive(title, () => check, timeoutMillis)
  })
}

const textLaws = (law: Enact) => {
  law("texts arrive in order, in both directions at once", (world) =>
    Effect.gen(function*() {
      const { client, server } = yield* world.connect
      numbered("", textsInRow).forEach((number) => {
        client.link.send(`up ${number}`)
        server.link.send(`down ${number}`)
      })
      assert.deepStrictEqual(yield* server.ear.heard(textsInRow), numbered("up ", textsInRow))
      assert.deepStrictEqual(yield* client.ear.heard(textsInRow), numbered("down ", textsInRow))
    }))

  law("a text of 2 MiB, an empty one and every kind of character arrive intact", (world) =>
    Effect.gen(function*() {
      const { client, server } = yield* world.connect
      for (const { link } of [client, server]) link.allow?.(textBytesMax)
      const texts = ["x".repeat(textUnits), "", oddText, "😀".repeat(textUnits / 8), "{\"a\":1}"]
      for (const text of texts) {
        client.link.send(text)
        server.link.send(text)
      }
      const up = yield* server.ear.heard(texts.length)
      const down = yield* client.ear.heard(texts.length)
      texts.forEach((text, i) => assert.isTrue(up[i] === text && down[i] === text, `text ${i} has changed`))
    }))

  law("what is sent while a text is handled arrives", (world) =>
    Effect.gen(function*() {
      world.onAccept = ({ ear, link }) => {
        const keep = ear.onMessage
        Object.assign(ear, {
          onMessage: (text: string) => {
            keep(text)
            link.send(`${text}!`)
          }
        })
      }
      const { client } = yield* world.connect
      client.link.send("a")
      client.link.send("b")
      assert.deepStrictEqual(yield* client.ear.heard(2), ["a!", "b!"])
    }))

  law("what is sent as soon as a link is accepted is not lost", (world) =>
    Effect.gen(function*() {
      world.onAccept = ({ link }) => link.send("welcome")
      const { client } = yield* world.connect
      assert.deepStrictEqual(yield* client.ear.heard(1), ["welcome"])
    }))

  law(
    "what is sent to a side that does not read waits, and arrives in order when it reads again",
    (world) =>
      Effect.gen(function*() {
        for (const reader of sides) {
          const both = yield* world.connect
          const { ear, link } = both[reader]
          const sender = both[other(reader)].link
          if (!link.setReading) continue
          link.setReading(false)
          for (const text of numbered("a")) sender.send(text)
          yield* settle(world)
          assert.isEmpty(ear.texts)
          link.setReading(true)
          for (const text of numbered("b")) sender.send(text)
          assert.deepStrictEqual(yield* ear.heard(2 * textsUnread), [...numbered("a"), ...numbered("b")])
        }
      })
  )

  law("nothing is buffered once everything has arrived", (world) =>
    Effect.gen(function*() {
      const { client, server } = yield* world.connect
      for (const { link } of [client, server]) link.allow?.(textBytesMax)
      assert.strictEqual(client.link.buffered(), 0)
      client.link.send("x".repeat(textUnits))
      server.link.send("x".repeat(textUnits))
      yield* server.ear.heard(1)
      yield* client.ear.heard(1)
      yield* settle(world)
      assert.strictEqual(client.link.buffered(), 0)
      assert.strictEqual(server.link.buffered(), 0)
    }))

  law("links do not mix, and one that closes leaves the others alone", (world) =>
    Effect.gen(function*() {
      const one = yield* world.connect
      const two = yield* world.connect
      one.client.link.send("one")
      two.client.link.send("two")
      yield* one.server.ear.heard(1)
      yield* two.server.ear.heard(1)
      one.client.link.close(codeOwn, "")
      yield* one.server.ear.closed
      two.client.link.send("more")
      assert.deepStrictEqual(yield* two.server.ear.heard(2), ["two", "more"])
      assert.deepStrictEqual(one.server.ear.texts, ["one"])
      assert.deepStrictEqual(two.client.ear.closes, [])
    }))
}

const closeLaws = (law: Enact) => {
  for (const closer of sides) {
    const told = other(closer)

    law(
      `a close of the ${closer} is seen once by both, with code and reason, after what was sent before`,
      (world) =>
        Effect.gen(function*() {
          const link = yield* world.connect
          link[closer].link.send("last")
          link[closer].link.close(codeOwn, "enough é")
          const event = { code: codeOwn, reason: "enough é" }
          assert.deepInclude(yield* link[told].ear.closed, event)
          assert.deepInclude(yield* link[closer].ear.closed, event)
          assert.deepStrictEqual(link[told].ear.texts, ["last"])
          yield* settle(world)
          assert.strictEqual(link[told].ear.closes.length, 1)
          assert.strictEqual(link[closer].ear.closes.length, 1)
        })
    )

    law(
      `after a close of the ${closer}, sending and closing do nothing, on either side`,
      (world) =>
        Effect.gen(function*() {
          const { client, server } = yield* world.connect
          const both = { client, server }
          both[closer].link.close(codeOwn, "first")
          // the close is on its way
          both[closer].link.send("too late")
          both[closer].link.close(codeOwn + 1, "second")
          yield* client.ear.closed
          yield* server.ear.closed
          for (const { link } of [client, server]) {
            link.send("too late")
            link.close(codeOwn + 1, "second")
            assert.isAtLeast(link.buffered(), 0)
          }
          yield* settle(world)
          for (const { ear } of [client, server]) {
            assert.deepStrictEqual(ear.texts, [])
            assert.deepInclude(ear.closes[0], { code: codeOwn, reason: "first" })
            assert.strictEqual(ear.closes.length, 1)
          }
        })
    )
  }

  for (const [closer, codes] of Object.entries(codesOfTroupe) as Array<[typeof sides[number], ReadonlyArray<number>]>) {
    law(`the codes that a ${closer} of Troupe closes with arrive`, (world) =>
      Effect.gen(function*() {
        for (const code of codes) {
          const link = yield* world.connect
          link[closer].link.close(code, `${code}`)
          assert.deepStrictEqual((yield* link[other(closer)].ear.closed).code, code)
          assert.deepStrictEqual((yield* link[closer].ear.closed).code, code)
        }
      }))
  }

  law("both sides closing at once is seen once by each", (world) =>
    Effect.gen(function*() {
      const { client, server } = yield* world.connect
      client.link.close(codeOwn, "client")
      server.link.close(codeOwn + 1, "server")
      yield* client.ear.closed
      yield* server.ear.closed
      yield* settle(world)
      assert.strictEqual(client.ear.closes.length, 1)
      assert.strictEqual(server.ear.closes.length, 1)
    }))

  law("a reason of any length can be given, and none is thrown at", (world) =>
    Effect.gen(function*() {
      for (const closer of sides) {
        const link = yield* world.connect
        link[closer].link.close(codeOwn, "é".repeat(500))
        const { code, reason } = yield* link[other(closer)].ear.closed
        assert.strictEqual(code, codeOwn)
        assert.isTrue("é".repeat(500).startsWith(reason), reason)
      }
    }))

  law("the end of the scope closes the link, and is seen once by both", (world) =>
    Effect.gen(function*() {
      const { client, close, server } = yield* world.connectScoped
      yield* close
      yield* server.ear.closed
      yield* client.ear.closed
      client.link.send("too late")
      server.link.send("too late")
      yield* settle(world)
      assert.strictEqual(client.ear.closes.length, 1)
      assert.strictEqual(server.ear.closes.length, 1)
      assert.deepStrictEqual([...client.ear.texts, ...server.ear.texts], [])
    }))

  law("the end of the scope after a close is not seen", (world) =>
    Effect.gen(function*() {
      const { client, close, server } = yield* world.connectScoped
      server.link.close(codeOwn, "done")
      yield* client.ear.closed
      yield* server.ear.closed
      yield* close
      yield* settle(world)
      assert.strictEqual(client.ear.closes.length, 1)
      assert.strictEqual(server.ear.closes.length, 1)
    }))
}

const dialLaws = (law: Enact, { patienceMillis = patienceMillisDefault, unreachable }: Subject) => {
  law("a link that is closed as soon as it is accepted is a link that closes", (world) =>
    Effect.gen(function*() {
      world.onAccept = ({ link }) => link.close(codeOwn, "go away")
      const { client, server } = yield* world.connect
      assert.deepInclude(yield* client.ear.closed, { code: codeOwn, reason: "go away" })
      yield* server.ear.closed
    }))

  law(
    "a link is accepted with the request it was opened with, as far as that is known",
    (world) =>
      Effect.gen(function*() {
        yield* world.connect
        const request = world.requests[0]
        assert.isObject(request, "the request")
        const { headers, remoteAddress, url } = request!
        assert.isObject(headers, "the headers")
        for (const [name, value] of Object.entries(headers)) {
          assert.strictEqual(name, name.toLowerCase(), "the name of a header")
          assert.isString(value, `the header ${name}`)
        }
        assert.isString(url, "the url")
        assert.isNotEmpty(url, "the url")
        if (remoteAddress === undefined) return
        assert.isString(remoteAddress, "the remote address")
        assert.isNotEmpty(remoteAddress, "the remote address")
      })
  )

  law(
    "opportunities can be listened for, and until a scope closes",
    ({ harness: { transport } }) =>
      Effect.gen(function*() {
        for (let times = 0; times < 3; times++) {
          const listening = Effect.scoped(transport.onOpportunity(() => {}))
          yield* soon(listening, patienceMillis, () => "onOpportunity has not ended")
        }
      })
  )

  law("interrupting a dial at any moment leaves nothing behind", (world) =>
    Effect.gen(function*() {
      world.onAccept = ({ link }) => link.send("welcome")
      for (let turns = 0; turns < 12; turns++) {
        const ear = world.newEar()
        const dial = yield* Effect.fork(Effect.scoped(Effect.zipRight(world.harness.transport.dial(ear), Effect.never)))
        for (let i = 0; i < turns; i++) yield* turn
        yield* dial.interruptAsFork(dial.id())
        yield* dial.await
        const { closes: { length: closes }, texts: { length: texts } } = ear
        yield* turn
        assert.strictEqual(ear.texts.length, texts, "a text came after the interruption")
        assert.strictEqual(ear.closes.length, closes, "a close came after the interruption")
      }
      world.onAccept = () => {}
      yield* settle(world)
      yield* Effect.forEach(world.accepted, ({ ear }) => ear.closed)
    }))

  if (!unreachable) return
  law(
    "a dial to where nobody listens fails with a DialError that says why",
    ({ newEar }) =>
      Effect.gen(function*() {
        const transport = yield* unreachable
        const ear = newEar()
        for (let i = 0; i < 3; i++) {
          const dial = soon(transport.dial(ear), patienceMillis, () => "a dial has not ended")
          const error = yield* Effect.flip(dial)
          assert.instanceOf(error, DialError)
          assert.notMatch(error.message, /undefined|\[object|^\s*$/)
        }
        assert.deepStrictEqual([ear.texts, ear.closes], [[], []])
      })
  )
}

/** Lets one turn of the event loop pass. */
const turn: Effect.Effect<void> = Effect.async((resume) => {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    port1.close()
    resume(Effect.void)
  }
  port2.postMessage(undefined)
})
