/** An actor behind HTTP, and its clients: unmodified ones of @effect/rpc, and requests as they are. */
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpLayerRouter } from "@effect/platform"
import { Rpc, RpcClient, RpcGroup, type RpcSerialization } from "@effect/rpc"
import { Actor, type Contract, HttpRpc } from "@troupe/contract"
import { NodeActors } from "@troupe/node"
import { ActorHost, ActorHttp, ActorServer, ActorStore } from "@troupe/server"
import { Deferred, Effect, FiberId, Layer, Logger, Ref, Schema, Stream } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

export class Denied extends Schema.TaggedError<Denied>()("Denied", { why: Schema.String }) {}
export class Oops extends Schema.TaggedError<Oops>()("Oops", { code: Schema.Number }) {}

/** A mistake: schemas of actors have to be synchronous. */
const Later = Schema.transformOrFail(Schema.String, Schema.String, {
  decode: (text) => Effect.delay(Effect.succeed(text), "1 millis"),
  encode: Effect.succeed
})

export class Desk extends Actor.Tag<Desk>()("Desk", {
  params: Schema.Struct({ name: Schema.NonEmptyString, at: Schema.optional(Schema.Date) }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Append", { payload: { text: Schema.NonEmptyString }, success: Schema.Number }),
    Rpc.make("Fail", { payload: { code: Schema.Number }, error: Oops }),
    Rpc.make("Die"),
    Rpc.make("Me", { success: Schema.Struct({ name: Schema.String, header: Schema.NullOr(Schema.String) }) }),
    Rpc.make("Wait", { success: Schema.String }),
    Rpc.make("Leave"),
    Rpc.make("Fill", { payload: { size: Schema.Number }, success: Schema.String }),
    Rpc.make("Later", { payload: { text: Later } }),
    Rpc.make("Count", {
      payload: { to: Schema.Number, size: Schema.Number },
      success: Schema.String,
      error: Oops,
      stream: true
    })
  ),
  internal: RpcGroup.make(Rpc.make("Clear"))
}) {}

/** What the actor has noted, for the tests. */
export const makeTrace = () => ({
  log: [] as Array<string>,
  /** How many connections have been asked for. */
  asked: 0,
  gate: Deferred.unsafeMake<void>(FiberId.none)
})
export type Trace = ReturnType<typeof makeTrace>

const live = (trace: Trace) =>
  Desk.toLayer(
    { state: Schema.Array(Schema.String), initialState: () => [], connection: Schema.String },
    (desk) => {
      const note = (text: string) => Effect.sync(() => void trace.log.push(text))
      return Effect.succeed(desk.behavior({
        onBeforeConnect: ({ params }) =>
          Effect.suspend(() => {
            trace.asked++
            if (params.name === "jinx") return Effect.dieMessage("a secret of the server")
            return params.name === "mallory"
              ? Effect.fail(new Denied({ why: "it is Mallory" }))
              : Effect.succeed(params.name)
          }),
        onConnect: ({ params }) => Effect.acquireRelease(note(`+${params.name}`), () => note(`-${params.name}`)),
        onDisconnect: ({ params }, reason) => note(`${params.name} ${reason._tag}`),
        rpcs: {
          Append: ({ text }) => Effect.map(Ref.updateAndGet(desk.state, (all) => [...all, text]), (all) => all.length),
          Fail: ({ code }) => Effect.fail(new Oops({ code })),
          Die: () => Effect.dieMessage("a secret of the server"),
          Me: (_, { headers }) =>
            Effect.flatMap(desk.caller, ({ state }) =>
              Effect.map(Ref.get(state), (name) => ({ name, header: headers["x-mine"] ?? null }))),
          Wait: () =>
            note("waits").pipe(
              Effect.zipRight(Effect.interruptible(Deferred.await(trace.gate))),
              Effect.as("waited"),
              Effect.onInterrupt(() =>
                note("interrupted")
              )
            ),
          Fill: ({ size }) => Effect.as(note("filled"), "x".repeat(size)),
          Later: () => Effect.void,
          Leave: () => Effect.flatMap(desk.caller, (caller) => caller.disconnect("go")),
          Count: ({ size, to }) =>
            Stream.range(1, to).pipe(
              Stream.rechunk(1),
              Stream.tap((n) => note(`produced ${n}`)),
              Stream.map((n) => `${n}`.padEnd(size, ".")),
              Stream.concat(to === 3 ? Stream.fail(new Oops({ code: 3 })) : Stream.empty),
              Stream.ensuring(note("the stream has ended"))
            )
        },
        internal: { Clear: () => Ref.set(desk.state, []) }
      }))
    }
  )

/** Serves the desk until the scope closes. */
export const serve = (options: Omit<ActorHttp.Options<[typeof Desk]>, "actors"> = {}) =>
  Effect.gen(function*() {
    const trace = makeTrace()
    const server = Http.createServer()
    yield* Layer.build(
      HttpLayerRouter.serve(
        Layer.mergeAll(ActorServer.layer({ actors: [Desk] }), ActorHttp.layer({ actors: [Desk], ...options })),
        { disableListenLog: true, disableLogger: true }
      ).pipe(
        Layer.provide(live(trace)),
        Layer.provide(ActorHost.layer()),
        Layer.provide(ActorStore.layerMemory),
        Layer.provide(NodeActors.layer(() => server, { port: 0, host: "127.0.0.1" })),
        Layer.provide(Logger.remove(Logger.defaultLogger))
      )
    )
    const { port } = server.address() as Net.AddressInfo
    return { port, trace, url: `http://127.0.0.1:${port}/actors` }
  })

export type Served = Effect.Effect.Success<ReturnType<typeof serve>>

/** An unmodified client. */
export const clientOf = (
  { url }: Served,
  params: Contract.Params<Desk> | undefined,
  serialization: Layer.Layer<RpcSerialization.RpcSerialization>,
  { header, key = "a" }: { readonly header?: string; readonly key?: string } = {}
) =>
  RpcClient.make(Desk.httpRpcs).pipe(
    Effect.provide(
      RpcClient.layerProtocolHttp({
        url: `${url}${HttpRpc.pathOf(Desk, key)}`,
        transformClient: HttpClient.mapRequest(
          HttpClientRequest.setHeader(
            HttpRpc.paramsHeader,
            header ?? (params === undefined ? "" : HttpRpc.encodeParams(Desk, params))
          )
        )
      }).pipe(Layer.provide(serialization), Layer.provide(FetchHttpClient.layer))
    )
  )

/** A request as it is, and what comes back. */
export const post = (url: string, body: BodyInit, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", "troupe-params": `{"name":"ann"}`, ...headers }
    })
    return { status: response.status, text: await response.text(), type: response.headers.get("content-type") }
  })

/** A call, as @effect/rpc writes it. */
export const call = (id: string, tag: string, payload?: unknown) => ({ _tag: "Request", id, tag, payload, headers: [] })
