/** What a browser's sockets and its page do. That real sockets keep to the laws is tested in `@troupe/node`. */
import { assert, describe, it } from "@effect/vitest"
import { WebSocketTransport } from "@troupe/client"
import { type Link, Transport, type WebSocketLink } from "@troupe/contract"
import { Effect, Exit, Fiber, Scope } from "effect"

/** A socket whose network is the test. */
class FakeSocket implements WebSocketLink.Socket {
  readyState = 0
  bufferedAmount = 0
  onopen: ((event: any) => void) | null = null
  onmessage: ((event: any) => void) | null = null
  onerror: ((event: any) => void) | null = null
  onclose: ((event: any) => void) | null = null
  readonly sent: Array<string> = []
  readonly closes: Array<readonly [code?: number, reason?: string]> = []

  constructor(readonly url: string) {}

  send(text: string): void {
    this.sent.push(text)
  }

  close(...args: readonly [code?: number, reason?: string]): void {
    if (args[0] !== 1000 && !(args[0]! >= 3000 && args[0]! < 5000)) throw new Error("InvalidAccessError")
    if (new TextEncoder().encode(args[1]).byteLength > 123) throw new Error("SyntaxError")
    this.readyState = 2
    this.closes.push(args)
  }

  open(): void {
    this.readyState = 1
    this.onopen?.({})
  }

  fail(message?: string): void {
    this.readyState = 3
    this.onerror?.(message === undefined ? {} : { message })
    this.onclose?.({ code: 1006, reason: "" })
  }
}

const makeHandler = () => {
  const seen: Array<string | Link.CloseEvent> = []
  return {
    seen,
    onMessage: (text: string) => void seen.push(text),
    onClose: (event: Link.CloseEvent) => void seen.push(event)
  }
}

/** Sets globals until the scope closes. */
const withGlobals = (globals: Record<string, unknown>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.keys(globals).map((name) =>
        [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const
      )
      for (const [name, value] of Object.entries(globals)) {
        Object.defineProperty(globalThis, name, { value, configurable: true })
      }
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const [name, descriptor] of before) {
          if (descriptor) Object.defineProperty(globalThis, name, descriptor)
          else Reflect.deleteProperty(globalThis, name)
        }
      })
  )

const globalTransport = (url: WebSocketLink.Options["url"]) =>
  Effect.provide(Transport.Transport, WebSocketTransport.layer({ url }))

/** Begins a dial, and returns the socket that was made for it. */
const dialling = (url: string) =>
  Effect.gen(function*() {
    const sockets: Array<FakeSocket> = []
    const transport = WebSocketTransport.make({ url }, (url) => {
      const socket = new FakeSocket(url)
      sockets.push(socket)
      return socket
    })
    const handler = makeHandler()
    const scope = yield* Scope.make()
    const fiber = yield* Effect.fork(Scope.extend(transport.dial(handler), scope))
    yield* Effect.yieldNow()
    return { socket: sockets[0]!, fiber, handler, close: Scope.close(scope, Exit.void) }
  })

const opened = Effect.gen(function*() {
  const dial = yield* dialling("ws://there/actors")
  dial.socket.open()
  return { ...dial, link: yield* Fiber.join(dial.fiber) }
})

describe("dial", () => {
  it.scoped("resolves the URL against the page, and makes it one of sockets", () =>
    Effect.gen(function*() {
      yield* withGlobals({ location: { href: "https://example.org:8443/app/index.html" } })
      const urls = {
        "/actors": "wss://example.org:8443/actors",
        actors: "wss://example.org:8443/app/actors",
        "//other.org/actors": "wss://other.org/actors",
        "http://other.org/a?b=c": "ws://other.org/a?b=c",
        "wss://other.org/a": "wss://other.org/a"
      }
      for (const [url, resolved] of Object.entries(urls))
        assert.strictEqual((yield* dialling(url)).socket.url, resolved)
    }))

  it.scoped("fails with what the socket says, if it says anything", () =>
    Effect.gen(function*() {
      for (const [said, why] of [[undefined, "the connection failed"], ["ECONNREFUSED", "ECONNREFUSED"]] as const) {
        const { close, fiber, handler, socket } = yield* dialling("ws://ann:secret@there/actors?token=secret")
        socket.fail(said)
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.instanceOf(error, Transport.DialError)
        assert.strictEqual(error.message, `ws://there/actors cannot be reached: ${why}`)
        yield* close
        assert.deepStrictEqual(handler.seen, [])
        assert.deepStrictEqual(socket.closes, [])
      }
    }))

  it.scoped("fails where there is no WebSocket, and says what to do", () =>
    Effect.gen(function*() {
      yield* withGlobals({ WebSocket: undefined })
      const transport = yield* globalTransport("ws://there/actors")
      const error = yield* Effect.flip(transport.dial(makeHandler()))
      assert.match(error.message, /no global WebSocket.*NodeWebSocketTransport/)
    }))

  it.scoped("uses the global WebSocket", () =>
    Effect.gen(function*() {
      const sockets: Array<FakeSocket> = []
      yield* withGlobals({
        WebSocket: class extends FakeSocket {
          constructor(url: string) {
            super(url)
            sockets.push(this)
          }
        }
      })
      const transport = yield* globalTransport(() => "ws://there/actors")
      const fiber = yield* Effect.fork(transport.dial(makeHandler()))
      yield* Effect.yieldNow()
      sockets[0]!.open()
      yield* Fiber.join(fiber)
    }))

  it.scoped("closes the socket at once when it is interrupted, and hears no more of it", () =>
    Effect.gen(function*() {
      const { fiber, handler, socket } = yield* dialling("ws://there/actors")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(socket.closes, [[1000, ""]])
      socket.open()
      socket.onmessage?.({ data: "late" })
      socket.fail()
      assert.deepStrictEqual(handler.seen, [])
    }))

  it.scoped("closes a socket that has opened in the moment of the interruption", () =>
    Effect.gen(function*() {
      const { fiber, handler, socket } = yield* dialling("ws://there/actors")
      socket.open()
      socket.onmessage!({ data: "welcome" })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(socket.closes.length, 1)
      assert.deepStrictEqual(handler.seen, ["welcome", { code: 1000, reason: "" }])
    }))
})

describe("a link", () => {
  it.scoped("hears texts, and one close", () =>
    Effect.gen(function*() {
      const { close, handler, link, socket } = yield* opened
      link.send("up")
      socket.onmessage!({ data: "down" })
      socket.bufferedAmount = 7
      assert.strictEqual(link.buffered(), 7)
      assert.deepStrictEqual(socket.sent, ["up"])
      socket.readyState = 3
      socket.onclose!({ code: 1001, reason: "going", wasClean: true })
      socket.onclose?.({ code: 1006, reason: "" })
      link.send("late")
      yield* close
      assert.deepStrictEqual(handler.seen, ["down", { code: 1001, reason: "going" }])
      assert.deepStrictEqual(socket.sent, ["up"])
      assert.deepStrictEqual(socket.closes, [])
    }))

  it.scoped("is closed with codes and reasons that a browser takes", () =>
    Effect.gen(function*() {
      const { link, socket } = yield* opened
      for (const code of [1000, 1001, 1008, 2999, 3000, 4999, 5000]) link.close(code, "é".repeat(100))
      assert.deepStrictEqual(socket.closes.map(([code]) => code), [1000, 1000, 1000, 1000, 3000, 4999, 1000])
      assert.strictEqual(socket.closes[0]![1], "é".repeat(61))
      link.close(1000, "😀".repeat(31))
      assert.strictEqual(socket.closes[7]![1], "😀".repeat(30))
    }))

  it.scoped("ends with its scope, also if the peer never answers", () =>
    Effect.gen(function*() {
      const { close, handler, socket } = yield* opened
      yield* close
      assert.deepStrictEqual(socket.closes, [[1000, ""]])
      assert.deepStrictEqual(handler.seen, [{ code: 1000, reason: "" }])
      assert.isNull(socket.onclose)
    }))
})

describe("onOpportunity", () => {
  it.scoped("hears that the network is back, and that the page is looked at again, until the scope ends", () =>
    Effect.gen(function*() {
      const window = new EventTarget()
      const document = Object.assign(new EventTarget(), { visibilityState: "visible" })
      yield* withGlobals({ self: window, document })
      const transport = yield* globalTransport("ws://there/actors")
      const scope = yield* Scope.make()
      let heard = 0
      yield* Scope.extend(transport.onOpportunity(() => heard++), scope)
      const after = (target: EventTarget, event: string) => {
        target.dispatchEvent(new Event(event))
        return heard
      }
      assert.strictEqual(after(window, "online"), 1)
      assert.strictEqual(after(window, "pageshow"), 2)
      assert.strictEqual(after(document, "visibilitychange"), 3)
      document.visibilityState = "hidden"
      assert.strictEqual(after(document, "visibilitychange"), 3)
      assert.strictEqual(after(window, "online"), 4)
      assert.strictEqual(after(window, "offline"), 4)
      yield* Scope.close(scope, Exit.void)
      document.visibilityState = "visible"
      for (const event of ["online", "pageshow"]) after(window, event)
      assert.strictEqual(after(document, "visibilitychange"), 4)
    }))

  it.scoped("is silent where there is no page", () =>
    Effect.gen(function*() {
      const transport = yield* globalTransport("ws://there/actors")
      yield* transport.onOpportunity(() => assert.fail("there is no page"))
    }))
})
