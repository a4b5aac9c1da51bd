/** What a client leaves behind that asks for connections and gives them up, while an actor is busy. */
import { HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcGroup } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Actor } from "@troupe/contract"
import * as Frame from "@troupe/contract/protocol/Frame"
import { NodeActors } from "@troupe/node"
import { ActorHost, ActorServer, ActorStore } from "@troupe/server"
import { Effect, Layer, Metric, Schema } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { WebSocket } from "ws"
import { until } from "./utils/until.ts"

class Slow extends Actor.Tag<Slow>()("Slow", { rpcs: RpcGroup.make(Rpc.make("Wait")) }) {}

/** How many jobs wait or run, at all actors of the process. */
const mailbox = (): number =>
  Array.from(Metric.unsafeSnapshot())
    .filter(({ metricKey }) => metricKey.name.includes("mailbox"))
    .reduce((sum, { metricState }) => sum + Number((metricState as { readonly value?: number | bigint }).value ?? 0), 0)

it.scopedLive("attempts that are given up while they wait leave nothing behind", () =>
  Effect.gen(function*() {
    const server = Http.createServer()
    const live = Slow.toLayer({ state: Schema.Int, initialState: () => 0 }, (slow) =>
      Effect.succeed(slow.behavior({ rpcs: { Wait: () => Effect.never } })))
    yield* Layer.build(
      HttpLayerRouter.serve(ActorServer.layer({ actors: [Slow] }), { disableListenLog: true, disableLogger: true })
        .pipe(
          Layer.provide(live),
          Layer.provide(ActorHost.layer({ shutdownTimeout: 100 })),
          Layer.provide(ActorStore.layerMemory),
          Layer.provide(NodeActors.layer(() =>
            server, { port: 0, host: "127.0.0.1" }))
        )
    )
    const { port } = server.address() as Net.AddressInfo
    const socket = new WebSocket(`ws://127.0.0.1:${port}/actors`)
    let closed = false
    let text = ""
    socket.on("close", () => (closed = true))
    socket.on("message", (data) => void (text = (text + String(data)).slice(-2000)))
    yield* Effect.async<void>((resume) => void socket.on("open", () => resume(Effect.void)))
    const open = (channel: number) =>
      Frame.encode({
        _tag: "Open",
        channel,
        session: `${channel}`.padStart(32, "0"),
        contract: "Slow",
        key: "given-up",
        events: [],
        opening: 1,
        settledBelow: 1,
        sentBelow: 1,
        pending: []
      })
    socket.send(Frame.join([Frame.encode({ _tag: "Hello", version: 1 }), open(1)]))
    yield* until(() => text.includes("Opened"), "it is opened")
    const idle = mailbox()
    socket.send(Frame.join([Frame.encodeMessage(1, 1, Frame.encodeRequest(1, "Wait", undefined))]))
    yield* until(() => mailbox() > idle, "it waits")
    const before = mailbox()
    for (let channel = 2; channel < 20_002 && !closed; channel += 100) {
      const all = Array.from({ length: 100 }, (_, i) => channel + i)
      socket.send(Frame.join(all.map(open)))
      // given up in another turn of the event loop, when they wait
      yield* Effect.sleep(5)
      socket.send(Frame.join(all.map((channel) =>
        Frame.encode({ _tag: "Close", channel, reason: { _tag: "ClientClosed" } })
      )))
    }
    yield* until(() => mailbox() - before < 1000, "none of them waits")
    assert.isFalse(closed)
    socket.terminate()
  }))
