/** Peers that ask for an upgrade, of links and of other paths, and then reset their socket, or never close their half. */
import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { NodeActors } from "@troupe/node"
import { Effect, Exit, Layer, Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { freePort } from "./utils/freePort.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"

const routes = HttpRouter.empty.pipe(HttpRouter.get("/health", HttpServerResponse.text("ok")))

const upgradeOf = (path: string, ...headers: ReadonlyArray<string>) =>
  [
    `GET ${path} HTTP/1.1`,
    "Host: here",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
    "",
    ""
  ].join("\r\n")

for (const mode of ["bare", "routes"]) {
  for (const path of ["/links", "/other"]) {
    it.scopedLive(`an upgrade of ${path} that is reset harms nobody (${mode})`, () =>
      Effect.gen(function*() {
        const port = yield* freePort
        const program = yield* Program.start("serve-upgrades", [`${port}`, mode])
        yield* program.said("open")
        let ended = false
        yield* Effect.forkScoped(Effect.tap(program.ended, () => Effect.sync(() => (ended = true))))
        for (let i = 0; i < 300 && !ended; i++) {
          const socket = Net.connect(port, "127.0.0.1", () => {
            socket.write(upgradeOf(path), () => setTimeout(() => socket.resetAndDestroy(), i % 4))
          })
          socket.on("error", () => {})
          // one after the other, so that resets meet it in different states
          yield* Effect.sleep(5)
        }
        // it answers, after all that has come before
        const answers = () => fetch(`http://127.0.0.1:${port}/health`).then(() => true, () => false)
        yield* until(async () => ended || await answers(), "it answers")
        assert.isFalse(ended, program.errors().slice(0, 1500))
      }))
  }
}

for (const bare of [true, false]) {
  it.scopedLive(`a server closes in time beside an upgrade whose peer keeps its half open (${bare ? "bare" : "routes"})`, () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = Http.createServer()
      const context = yield* Layer.buildWithScope(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" }), scope)
      if (!bare) yield* Scope.extend(Effect.provide(HttpServer.serveEffect(routes), context), scope)
      const { port } = server.address() as Net.AddressInfo
      let answer = ""
      const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      socket.on("data", (data) => (answer += data)).on("error", () => {})
      socket.write(upgradeOf("/other"))
      yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
      yield* until(() => answer.includes(" 404 ") || answer.includes(" 503 "), "it is answered")
      const closed = yield* Effect.timeoutOption(
        Effect.disconnect(Effect.interruptible(Scope.close(scope, Exit.void))),
        "30 seconds"
      )
      assert.strictEqual(closed._tag, "Some")
    }))
}

it.scopedLive("an upgrade that has been answered with 404 leaves no socket behind", () =>
  Effect.gen(function*() {
    const server = Http.createServer()
    const context = yield* Layer.build(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" }))
    const serving = yield* Scope.make()
    yield* Scope.extend(Effect.provide(HttpServer.serveEffect(routes), context), serving)
    const { port } = server.address() as Net.AddressInfo
    const sockets = Array.from({ length: 20 }, () => {
      const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      socket.on("error", () => {})
      socket.write(upgradeOf("/other"))
      return socket
    })
    let answered = 0
    for (const socket of sockets) socket.once("data", () => answered++)
    yield* until(() => answered === sockets.length, "all are answered")
    const open = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)))
    yield* until(async () => await open() === 0, "none is left")
    for (const socket of sockets) socket.destroy()
  }))
