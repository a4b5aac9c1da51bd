/** The agent over real sockets and a real file, with a client in Node. */
import { FileSystem, HttpServer } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { ActorClient } from "@troupe/client"
import { NodeWebSocketTransport } from "@troupe/node"
import { Context, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { Conversation } from "../src/contract.ts"
import * as FakeModel from "../src/server/FakeModel.ts"
import * as Server from "../src/server/Server.ts"
import { watch } from "../src/watch.ts"
import { firstAnswer } from "./support/World.ts"

/** A server on this port with this file, for the rest of the scope; 0 takes a free port. */
const serve = Effect.fn("serve")(function*(filename: string, port = 0) {
  const model = FakeModel.layer({ thinking: "20 millis", word: "20 millis" })
  const context = yield* Layer.build(Layer.provide(Server.layer({ port, filename }), model))
  const { address } = Context.get(context, HttpServer.HttpServer)
  return address._tag === "TcpAddress" ? address.port : port
})

/** A file name in a folder that is removed with the scope. */
const freshFile = FileSystem.FileSystem.pipe(
  Effect.flatMap((fs) => fs.makeTempDirectoryScoped({ prefix: "ai-agent-" })),
  Effect.map((folder) => `${folder}/test.db`),
  Effect.provide(NodeContext.layer)
)

const enter = Effect.fn("enter")(function*(port: number, key: string) {
  const Client = ActorClient.layer({ schedule: Schedule.spaced("50 millis") }).pipe(
    Layer.provide(NodeWebSocketTransport.layer({ url: `ws://localhost:${port}/actors` }))
  )
  return yield* Effect.provide(ActorClient.connect(Conversation, key), yield* Layer.build(Client))
})

it.scopedLive("an answer is watched to its end over a restart of the server", () =>
  Effect.gen(function*() {
    const filename = yield* freshFile
    const scope = yield* Scope.make()
    const port = yield* Scope.extend(serve(filename), scope)
    const ada = yield* enter(port, "ada")
    const { answer } = yield* ada.rpc.Ask({ text: "Once?" })
    let text = ""
    const watching = yield* Effect.fork(
      Stream.runForEach(watch(ada, answer.id, 0), (piece) =>
        Effect.sync(() => {
          assert.strictEqual(piece.at, text.length)
          text += piece.text
        }))
    )
    yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => text.length > 50 })
    yield* Scope.close(scope, Exit.void)
    assert.isBelow(text.length, firstAnswer("Once?").length)
    yield* serve(filename, port)
    yield* Fiber.join(watching)
    assert.strictEqual(text, firstAnswer("Once?"))
    assert.deepInclude((yield* ada.rpc.Read()).at(-1), { text, progress: "complete" })
  }))

it.scopedLive("the page is served beside the actors", () =>
  Effect.gen(function*() {
    const port = yield* Effect.flatMap(freshFile, (filename) => serve(filename))
    const get = (path: string) => Effect.promise(() => fetch(`http://localhost:${port}${path}`))
    assert.strictEqual((yield* get("/health")).status, 200)
    const page = yield* get("/")
    assert.include(page.headers.get("content-type"), "text/html")
    assert.strictEqual((yield* get("/%2e%2e/package.json")).status, 404)
  }))
