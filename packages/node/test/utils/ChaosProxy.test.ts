/** The proxy does what the tests that use it rely on. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"
import * as ChaosProxy from "./ChaosProxy.ts"
import { until } from "./until.ts"

/** Sends back what it hears, and remembers it. */
const echo = Effect.gen(function*() {
  const heard: Array<Buffer> = []
  const sockets = new Set<Net.Socket>()
  const server = yield* Effect.acquireRelease(
    Effect.async<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
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
  return { port: (server.address() as Net.AddressInfo).port, heard: () => Buffer.concat(heard).toString() }
})

const dial = (port: number) =>
  Effect.gen(function*() {
    const state = { received: "", closed: false }
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(port, "127.0.0.1")),
      (socket) => Effect.sync(() => socket.destroy())
    )
    socket.on("error", () => {})
    socket.on("close", () => (state.closed = true))
    socket.on("data", (chunk) => (state.received += chunk.toString()))
    return Object.assign(state, { write: (text: string) => Effect.sync(() => void socket.write(text)) })
  })

const setup = Effect.gen(function*() {
  const server = yield* echo
  const proxy = yield* ChaosProxy.make({ target: server.port })
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
    assert.strictEqual(yield* proxy.blackHole, 1)
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
    yield* proxy.deafen
    yield* client.write("heard")
    yield* until(() => server.heard() === "oneheard")
    yield* proxy.cut
    yield* until(() => client.closed)
    assert.strictEqual(client.received, "one")
  }))

it.scopedLive("every connection is cut at a random byte, some of them deaf first", () =>
  Effect.gen(function*() {
    const server = yield* echo
    const proxy = yield* ChaosProxy.make({ target: server.port, seed: 7 })
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
