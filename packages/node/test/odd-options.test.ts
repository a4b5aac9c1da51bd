/** Names, and options, that are unusual. */
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor, HttpRpc } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { NodeActors } from "@troupe/node"
import { ActorHost, ActorHttp, ActorServer, ActorStore } from "@troupe/server"
import { Cause, Duration, Effect, Either, Layer, Logger, Schema, type Scope } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { WebSocket } from "ws"

class Room extends Actor.Tag<Room>()("@app/chat/Room", {
  rpcs: RpcGroup.make(Rpc.make("Hello", { success: Schema.String }))
}) {}

const live = Room.toLayer(
  { state: Schema.Int, initialState: () => 0 },
  (room) => Effect.succeed(room.behavior({ rpcs: { Hello: () => Effect.succeed(room.key) } }))
)

const serve = (options = {}, gateway = {}, logged: Array<unknown> = []) =>
  Effect.gen(function*() {
    const server = Http.createServer()
    yield* Layer.build(
      HttpLayerRouter.serve(
        Layer.mergeAll(
          ActorServer.layer({ actors: [Room], ...gateway }),
          ActorHttp.layer({ actors: [Room], ...options })
        ),
        { disableListenLog: true, disableLogger: true }
      ).pipe(
        Layer.provide(live),
        Layer.provide(ActorHost.layer()),
        Layer.provide(ActorStore.layerMemory),
        Layer.provide(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" })),
        Layer.provide(Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => void logged.push(message))))
      )
    )
    return (server.address() as Net.AddressInfo).port
  })

const client = (port: number, key: string) =>
  RpcClient.make(Room.httpRpcs).pipe(
    Effect.provide(
      RpcClient.layerProtocolHttp({
        url: `http://127.0.0.1:${port}/actors${HttpRpc.pathOf(Room, key)}`,
        transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader(HttpRpc.paramsHeader, ""))
      }).pipe(Layer.provide(RpcSerialization.layerJson), Layer.provide(FetchHttpClient.layer))
    )
  )

for (const key of ["a", "a\u0000b", "%2f", "\ufeff"]) {
  it.scopedLive(`over HTTP, the name of a contract may have slashes; key ${JSON.stringify(key)}`, () =>
    Effect.gen(function*() {
      const port = yield* serve()
      const { Hello } = yield* client(port, key)
      assert.strictEqual(yield* Hello(), key)
    }))
}

/** Makes a call, and returns what it is answered. */
const post = (port: number, path = "/actors") =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}${HttpRpc.pathOf(Room, "a")}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([{ _tag: "Request", id: "1", tag: "Hello", headers: [] }])
    })
    return response.text()
  })

for (const path of ["/räume", "/my actors", "/a%20b", "/a/../b", "//a", "/+$&,=@", "/a(b)", "/[a]"] as const) {
  it.scopedLive(`actors can be served at ${path}`, () =>
    Effect.gen(function*() {
      const port = yield* serve({ path }, { path })
      assert.include(yield* post(port, path), "Success")
      yield* Effect.async<void, Error>((resume) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
        socket.on("open", () => {
          socket.terminate()
          resume(Effect.void)
        })
        socket.on("error", (error) => resume(Effect.fail(error)))
      })
    }))
}

for (const path of ["/a?b", "/a#b", "/a/*", "/:tenant/actors", "/a:b", "/a;b", "/100%", "/a%2Fb", "/a%2Ab"] as const) {
  it.scopedLive(`actors cannot be served at ${path}, and whoever tries is told so`, () =>
    Effect.gen(function*() {
      for (const serving of [serve({ path }), serve({}, { path })]) {
        const cause = yield* Effect.flip(Effect.sandbox(serving as Effect.Effect<number, never, Scope.Scope>))
        assert.include(Cause.pretty(cause), `the path ${path} cannot be served`)
      }
    }))
}

it.scopedLive("options of a gateway that are undefined have their defaults", () =>
  Effect.gen(function*() {
    const port = yield* serve({}, {
      messageBytesMax: undefined,
      framesPerSecond: undefined,
      bufferedBytesMax: undefined
    })
    const text = yield* Effect.async<string>((resume) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/actors`)
      socket.on("open", () => socket.send(Frame.join([Frame.encode({ _tag: "Hello", version: 1 })])))
      socket.on("message", (data) => resume(Effect.succeed(String(data))))
    })
    assert.include(text, "\"messageBytesMax\":1048576", text)
  }))

it.scopedLive("options of HTTP that are undefined have their defaults", () =>
  Effect.gen(function*() {
    const port = yield* serve({ bodyBytesMax: undefined, mailboxMax: undefined })
    assert.include(yield* post(port), "Success")
  }))

it.scopedLive("a stranger's Resume with an empty key is answered, and does not log a defect", () =>
  Effect.gen(function*() {
    const logged: Array<unknown> = []
    const port = yield* serve({}, {}, logged)
    const answer = yield* Effect.async<string>((resume) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/actors`)
      let text = ""
      socket.on("open", () =>
        socket.send(Frame.join([
          Frame.encode({ _tag: "Hello", version: 1 }),
          Frame.encode({
            _tag: "Resume",
            channel: 1,
            contract: "@app/chat/Room",
            key: "",
            connectionId: 1 as never,
            token: "x".repeat(32),
            received: 0,
            resumption: 1
          })
        ])))
      socket.on("message", (data) => {
        text += String(data)
        if (text.includes("Close")) resume(Effect.succeed(text))
      })
      socket.on("close", (code) => resume(Effect.succeed(`${text} closed ${code}`)))
    })
    assert.include(answer, "ActivationLost", `${answer} ${logged}`)
    assert.lengthOf(logged, 0)
  }))

for (
  const options of [{ mailboxMax: Infinity }, { bodyBytesMax: Infinity }, { collectedBytesMax: Infinity }, {
    requestTimeout: "100 days"
  }]
) {
  it.scopedLive(`options of HTTP without a bound: ${JSON.stringify(Object.keys(options))}`, () =>
    Effect.gen(function*() {
      const port = yield* serve(options)
      assert.include(yield* post(port), "Success")
    }))
}

for (
  const options of [
    { openBytesMax: Infinity },
    { messageBytesMax: Infinity },
    { bufferedBytesMax: Infinity },
    { connectionsMax: Infinity },
    { openBytesMax: 2 ** 31 },
    { openTimeout: "100 days" },
    { silence: Duration.infinity, heartbeat: Duration.infinity }
  ]
) {
  it.scopedLive(`options of a gateway without a bound: ${JSON.stringify(options)}`, () =>
    Effect.gen(function*() {
      const port = yield* serve({}, options)
      const text = yield* Effect.async<string>((resume) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/actors`)
        socket.on("open", () => socket.send(Frame.join([Frame.encode({ _tag: "Hello", version: 1 })])))
        socket.on("message", (data) => resume(Effect.succeed(String(data))))
        socket.on("close", (code) => resume(Effect.succeed(`closed ${code}`)))
      })
      assert.isTrue(Either.isRight(Frame.decodeServer(text)![0]!), text)
    }))
}
