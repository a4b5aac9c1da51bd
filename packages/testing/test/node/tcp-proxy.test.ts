/** The proxy does to real sockets what its controls say. */
import { assert, it } from "@effect/vitest"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Cause, Effect, Exit, Schedule, Scope } from "effect"
import * as Net from "node:net"

const until = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { until: (holds) => holds, schedule: Schedule.spaced("2 millis") }).pipe(
    Effect.timeoutFail({
      duration: "10 seconds",
      onTimeout: () => new Error(`this never came true: ${condition}`)
    }),
    Effect.orDie
  )

/** Sends back what it hears, and remembers it. */
const echo = Effect.gen(function*() {
  const heard: Array<Buffer> = []
  const ends: Array<string> = []
  const sockets = new Set<Net.Socket>()
  const server = yield* Effect.acquireRelease(
    Effect.async<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", (failed) => ends.push(failed ? "reset" : "close"))
        socket.on("data", (chunk) => {
          heard.push(chunk)
          socket.write(chunk)
        })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )
  return {
    port: (server.address() as Net.AddressInfo).port,
    packets: heard,
    ends,
    heard: () => Buffer.concat(heard).toString(),
    /** What waits to be sent. */
    waiting: () => Array.from(sockets).reduce((sum, { writableLength }) => sum + writableLength, 0)
  }
})

const dial = (port: number) =>
  Effect.gen(function*() {
    const state = { received: "", closed: false, failed: false, packets: 0 }
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(port, "127.0.0.1")),
      (socket) => Effect.sync(() => socket.destroy())
    )
    socket.on("error", () => {})
    socket.on("close", (failed) => Object.assign(state, { closed: true, failed }))
    socket.on("data", (chunk) => {
      state.packets++
      state.received += chunk.toString()
    })
    return Object.assign(state, {
      write: (text: string) => Effect.sync(() => void socket.write(text)),
      leave: Effect.sync(() => void socket.destroy())
    })
  })

const setup = Effect.gen(function*() {
  const server = yield* echo
  const proxy = yield* TcpProxy.make({ target: server.port })
  const client = yield* dial(proxy.port)
  yield* client.write("one")
  yield* until(() => client.received === "one")
  return { server, proxy, client }
})

it.scopedLive("a proxy carries both directions, and cuts", () =>
  Effect.gen(function*() {
    const { client, proxy } = yield* setup
    assert.strictEqual(yield* proxy.cut, 1)
    yield* until(() => client.closed)
    assert.strictEqual(yield* proxy.cuts, 1)
    assert.strictEqual(yield* proxy.connections, 0)
  }))

it.scopedLive("a proxy refuses, and then accepts again", () =>
  Effect.gen(function*() {
    const { client, proxy } = yield* setup
    yield* proxy.setRefusing(true)
    const refused = yield* dial(proxy.port)
    yield* until(() => refused.closed)
    yield* client.write("two")
    yield* until(() => client.received === "onetwo")
    yield* proxy.setRefusing(false)
    const next = yield* dial(proxy.port)
    yield* next.write("x")
    yield* until(() => next.received === "x")
    assert.strictEqual(yield* proxy.accepted, 2)
  }))

it.scopedLive("a black hole carries nothing and stays open", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    assert.strictEqual(yield* proxy.blackHole(), 1)
    yield* client.write("lost")
    const next = yield* dial(proxy.port)
    yield* next.write("x")
    yield* until(() => next.received === "x")
    assert.strictEqual(server.heard(), "onex")
    assert.strictEqual(client.closed, false)
  }))

it.scopedLive("a deaf connection carries what the client says, and no answer", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    assert.strictEqual(yield* proxy.blackHole("toClient"), 1)
    yield* client.write("heard")
    yield* until(() => server.heard() === "oneheard")
    yield* proxy.cut
    yield* until(() => client.closed)
    assert.strictEqual(client.received, "one")
  }))

it.scopedLive("every connection is cut at a random byte, some of them deaf first", () =>
  Effect.gen(function*() {
    const server = yield* echo
    const proxy = yield* TcpProxy.make({ target: server.port, seed: 7 })
    yield* proxy.cutRandomly({ bytesMax: 40, deafMillisMax: 5 })
    const lengths = new Set<number>()
    for (let i = 0; i < 20; i++) {
      const client = yield* dial(proxy.port)
      yield* client.write("0123456789")
      yield* client.write("0123456789")
      yield* until(() => client.closed)
      lengths.add(client.received.length)
    }
    assert.strictEqual(yield* proxy.cuts, 20)
    assert.isAbove(lengths.size, 3)
  }))

it.scopedLive("every connection is cut after a random time", () =>
  Effect.gen(function*() {
    const { client, proxy } = yield* setup
    yield* proxy.cutRandomly({ millisMax: 20, deafShare: 0 })
    yield* until(() => client.closed)
    assert.strictEqual(yield* proxy.cuts, 1)
  }))

const millisOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const before = performance.now()
  return Effect.map(effect, () => performance.now() - before)
}

it.scopedLive("a reset is an error to both sides, a close an orderly end, and each passes the other's on", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    yield* proxy.reset
    yield* until(() => client.closed && server.ends.length === 1)
    assert.isTrue(client.failed)
    const second = yield* dial(proxy.port)
    yield* second.write("x")
    yield* until(() => second.received === "x")
    yield* proxy.close
    yield* until(() => second.closed && server.ends.length === 2)
    assert.isFalse(second.failed)
    const third = yield* dial(proxy.port)
    yield* third.write("x")
    yield* until(() => third.received === "x")
    yield* third.leave
    yield* until(() => server.ends.length === 3)
    assert.deepStrictEqual(server.ends, ["reset", "close", "close"])
    assert.strictEqual(yield* proxy.cuts, 2)
  }))

for (const by of ["reset", "close"] as const) {
  it.scopedLive(`a ${by} after exactly so many bytes of a direction, from none on`, () =>
    Effect.gen(function*() {
      const text = "0123456789"
      for (let bytes = 0; bytes <= text.length; bytes++) {
        for (const direction of ["toServer", "toClient"] as const) {
          const server = yield* echo
          const proxy = yield* TcpProxy.make({ target: server.port })
          yield* proxy.cutNextAfter({ direction, bytes, by })
          const client = yield* dial(proxy.port)
          yield* client.write(text)
          yield* until(() => client.closed)
          assert.strictEqual((yield* proxy.bytes)[direction], bytes)
          assert.strictEqual(yield* proxy.cuts, 1)
          if (direction === "toClient") assert.strictEqual(client.received, text.slice(0, bytes))
          else if (bytes > 0) yield* until(() => server.heard() === text.slice(0, bytes))
          assert.strictEqual(client.failed, by === "reset", `${direction} ${bytes}`)
          // only this one was to be cut
          const next = yield* dial(proxy.port)
          yield* next.write(text)
          yield* until(() => next.received === text)
        }
      }
    }))
}

it.scopedLive("connections that stand are cut after so many more bytes", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    assert.strictEqual(yield* proxy.cutAfter({ direction: "toServer", bytes: 2 }), 1)
    yield* client.write("xyz")
    yield* until(() => client.closed)
    yield* until(() => server.heard() === "onexy")
    assert.deepStrictEqual(yield* proxy.bytes, { toServer: 5, toClient: client.received.length })
  }))

it.scopedLive("latency delays each byte, jitter some more than others, and the order stays", () =>
  Effect.gen(function*() {
    const { client, proxy } = yield* setup
    yield* proxy.setConditions({ latency: "60 millis" })
    yield* client.write("two")
    // there and back
    assert.isAtLeast(yield* millisOf(until(() => client.received === "onetwo")), 118)
    yield* proxy.setConditions({ latency: "40 millis", jitter: "40 millis" }, "toServer")
    yield* proxy.setConditions({}, "toClient")
    const letters = Array.from({ length: 50 }, (_, i) => String.fromCharCode(65 + i))
    const writing = Effect.forEach(letters, (letter) => Effect.zipRight(client.write(letter), Effect.sleep("1 millis")))
    yield* writing
    yield* until(() => client.received === `onetwo${letters.join("")}`)
    yield* proxy.setConditions({})
    yield* client.write("!")
    yield* until(() => client.received.endsWith("!"))
  }))

it.scopedLive("a line carries so many bytes a second, and what waits for it goes when it is faster", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    yield* proxy.setConditions({ bytesPerSecond: 10_000 }, "toServer")
    yield* client.write("x".repeat(5000))
    const millis = yield* millisOf(until(() => server.heard().length === 5003))
    assert.isAtLeast(millis, 400)
    assert.isAtMost(millis, 2000)
    yield* proxy.setConditions({ bytesPerSecond: 1 }, "toServer")
    yield* client.write("y".repeat(1_000_000))
    yield* Effect.sleep("100 millis")
    assert.isAtMost(server.heard().length, 5005)
    yield* proxy.setConditions({})
    yield* until(() => server.heard().length === 1_005_003)
  }))

it.scopedLive("slices of one byte are packets of their own", () =>
  Effect.gen(function*() {
    const { client, proxy } = yield* setup
    const before = client.packets
    yield* proxy.setConditions({ sliceBytesMax: 1 }, "toClient")
    yield* client.write("0123456789")
    yield* until(() => client.received === "one0123456789")
    // a busy reader may find some of them together
    assert.isAtLeast(client.packets - before, 6)
  }))

it.scopedLive("nobody is told that the other side of a black hole has gone, in its direction", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    yield* proxy.blackHole()
    yield* client.leave
    yield* until(() => Effect.runSync(proxy.connections) === 0)
    // another one comes and goes meanwhile, and is heard
    const second = yield* dial(proxy.port)
    yield* second.write("x")
    yield* until(() => second.received === "x")
    assert.strictEqual(yield* proxy.blackHole("toClient"), 1)
    yield* second.leave
    yield* until(() => server.ends.length === 1)
    assert.strictEqual(server.heard(), "onex")
    // the server still believes in the first one
    assert.strictEqual(yield* proxy.reset, 0)
    yield* until(() => server.ends.length === 2)
  }))

it.scopedLive("new connections are silent while it is set", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    yield* proxy.setSilent(true)
    const silent = yield* dial(proxy.port)
    yield* silent.write("lost")
    yield* client.write("two")
    yield* until(() => client.received === "onetwo")
    yield* proxy.setSilent(false)
    const next = yield* dial(proxy.port)
    yield* next.write("x")
    yield* until(() => next.received === "x")
    assert.strictEqual(server.heard(), "onetwox")
    assert.strictEqual(silent.received, "")
  }))

it.scopedLive("what a slow reader does not take waits where it comes from", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    yield* proxy.setConditions({ bytesPerSecond: 1 }, "toClient")
    yield* client.write("x".repeat(50_000_000))
    yield* until(() => server.heard().length === 50_000_003)
    yield* Effect.sleep("100 millis")
    // the network between them and the proxy hold the rest
    assert.isAbove(server.waiting(), 30_000_000)
    yield* proxy.setConditions({})
    yield* until(() => client.received.length === 50_000_003)
  }))

it.scopedLive("a proxy that ends with its scope leaves no connection, and its port is free", () =>
  Effect.gen(function*() {
    const server = yield* echo
    let port: number | undefined
    for (const round of [1, 2]) {
      const scope = yield* Scope.make()
      const options = port === undefined ? {} : { port }
      const proxy = yield* Scope.extend(TcpProxy.make({ target: () => server.port, ...options }), scope)
      port = proxy.port
      const clients = [yield* dial(port), yield* dial(port)]
      for (const client of clients) yield* client.write("x")
      yield* until(() => clients.every(({ received }) => received === "x"))
      // one that lives on without its client, too
      yield* proxy.blackHole()
      yield* clients[0]!.leave
      yield* until(() => Effect.runSync(proxy.connections) === 1)
      yield* Scope.close(scope, Exit.void)
      yield* until(() => clients.every(({ closed }) => closed) && server.ends.length === 2 * round)
    }
  }))

// --- one direction may end while the other goes on ----------------------------------------------------------------------

/** Answers when a client has said all that it has to say. */
const answering = Effect.map(
  Effect.acquireRelease(
    Effect.async<Net.Server>((resume) => {
      const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
        let heard = ""
        socket.on("error", () => {}).on("data", (bytes) => heard += bytes.toString())
        socket.on("end", () => socket.end(`answer to ${heard}`))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
  ),
  (server) => (server.address() as Net.AddressInfo).port
)

/** Says something and ends; returns what it hears after that, and whether it came to an orderly end. */
const ask = (port: number, question: string) =>
  Effect.async<string>((resume) => {
    let heard = ""
    const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    socket.on("error", () => {}).on("data", (bytes) => heard += bytes.toString())
    socket.on("close", (failed) => resume(Effect.succeed(failed ? `${heard} reset` : heard)))
    socket.end(question)
    return Effect.sync(() => void socket.destroy())
  }).pipe(Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => new Error("no end") }), Effect.orDie)

it.scopedLive("a client that has ended hears the answer, also on a slow line, and then nothing stands", () =>
  Effect.gen(function*() {
    const proxy = yield* TcpProxy.make({ target: yield* answering })
    for (const conditions of [{}, { latency: "20 millis" }, { sliceBytesMax: 1 }, { bytesPerSecond: 1000 }] as const) {
      yield* proxy.setConditions(conditions)
      assert.strictEqual(yield* ask(proxy.port, "question"), "answer to question")
    }
    yield* until(() => Effect.runSync(proxy.connections) === 0)
    assert.strictEqual(yield* proxy.cuts, 0)
  }))

it.scopedLive("a client that has ended in a black hole is let go, without an answer", () =>
  Effect.gen(function*() {
    const proxy = yield* TcpProxy.make({ target: yield* answering })
    yield* proxy.setSilent(true)
    assert.strictEqual(yield* ask(proxy.port, "question"), "")
    yield* until(() => Effect.runSync(proxy.connections) === 0)
  }))

// --- what makes no sense ------------------------------------------------------------------------------------------------

const messageOf = <A, R>(effect: Effect.Effect<A, never, R>) =>
  Effect.map(
    Effect.exit(effect),
    (exit) => Exit.isFailure(exit) && Cause.isDie(exit.cause) ? Cause.prettyErrors(exit.cause)[0]!.message : undefined
  )

const { MAX_SAFE_INTEGER: most } = Number

it.scopedLive("numbers that make no sense are refused, and change nothing", () =>
  Effect.gen(function*() {
    const { client, proxy } = yield* setup
    const refused: ReadonlyArray<readonly [Effect.Effect<unknown>, string]> = [
      [
        proxy.cutNextAfter({ direction: "toClient", bytes: -1 }),
        `bytes is -1, and must be a whole number from 0 to ${most}`
      ],
      [
        proxy.cutAfter({ direction: "toClient", bytes: 2.5 }),
        `bytes is 2.5, and must be a whole number from 0 to ${most}`
      ],
      [proxy.cutRandomly({ bytesMax: NaN }), `bytesMax is NaN, and must be a whole number from 0 to ${most}`],
      [proxy.cutRandomly({ millisMax: Infinity }), "millisMax is Infinity, and must be a finite number from 0 on"],
      [proxy.cutRandomly({ deafShare: 50 }), "deafShare is 50, and must be a number from 0 to 1"],
      [proxy.cutRandomly({ deafMillisMax: -1 }), "deafMillisMax is -1, and must be a finite number from 0 on"],
      [proxy.setConditions({ sliceBytesMax: 0 }), `sliceBytesMax is 0, and must be a whole number from 1 to ${most}`],
      [
        proxy.setConditions({ bytesPerSecond: NaN }),
        `bytesPerSecond is NaN, and must be a whole number from 1 to ${most}`
      ],
      [proxy.setConditions({ latency: Infinity }), "latency is Infinity, and must be a finite number from 0 on"],
      [proxy.setConditions({ jitter: "soon" as never }), "jitter is soon, and must be a finite duration"]
    ]
    for (const [effect, message] of refused) assert.strictEqual(yield* messageOf(effect), message)
    yield* client.write("two")
    yield* until(() => client.received === "onetwo")
    const next = yield* dial(proxy.port)
    yield* next.write("x")
    yield* until(() => next.received === "x")

    for (
      const [options, message] of [
        [{ target: 70_000 }, "target is 70000, and must be a whole number from 1 to 65535"],
        [{ target: 1, port: -1 }, "port is -1, and must be a whole number from 0 to 65535"],
        [{ target: 1, bufferBytesMax: 0 }, `bufferBytesMax is 0, and must be a whole number from 1 to ${most}`],
        [{ target: 1, seed: 0.5 }, `seed is 0.5, and must be a whole number from 0 to ${most}`]
      ] as const
    ) assert.strictEqual(yield* messageOf(TcpProxy.make(options)), message)
  }))

it.scopedLive("bounds of 1, and options that are undefined, are what they say", () =>
  Effect.gen(function*() {
    const server = yield* echo
    const proxy = yield* TcpProxy.make(
      { target: server.port, bufferBytesMax: 1, port: undefined, seed: undefined } as unknown as TcpProxy.Options
    )
    yield* proxy.setConditions({ latency: undefined, bytesPerSecond: undefined } as object)
    const client = yield* dial(proxy.port)
    yield* client.write("x".repeat(300_000))
    yield* until(() => client.received.length === 300_000)
  }))

it.scopedLive("a time that no timer takes is waited for, and not gone round for", () =>
  Effect.gen(function*() {
    const { client, proxy, server } = yield* setup
    const warnings: Array<string> = []
    const note = ({ name }: Error) => void warnings.push(name)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("warning", note)),
      () => Effect.sync(() => process.off("warning", note))
    )
    yield* proxy.setConditions({ latency: "30 days" })
    yield* proxy.cutRandomly({ millisMax: 2 ** 50 })
    yield* client.write("two")
    yield* Effect.sleep("50 millis")
    assert.strictEqual(server.heard(), "one")
    assert.isFalse(client.closed)
    assert.deepStrictEqual(warnings, [])
  }))

it.scopedLive("where the port to dial is not known, the client is reset, and the next one is carried", () =>
  Effect.gen(function*() {
    const server = yield* echo
    let target = (): number => {
      throw new Error("the server has no address yet")
    }
    const proxy = yield* TcpProxy.make({ target: () => target() })
    for (const bad of [target, () => 70_000, () => NaN]) {
      target = bad
      const client = yield* dial(proxy.port)
      yield* until(() => client.closed)
      assert.isTrue(client.failed)
    }
    assert.strictEqual(yield* proxy.connections, 0)
    target = () => server.port
    const client = yield* dial(proxy.port)
    yield* client.write("x")
    yield* until(() => client.received === "x")
  }))
