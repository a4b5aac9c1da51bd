/** What does not compile, and what the types of a contract and its implementation are. Checked by `tsc`. */
// @effect-diagnostics missingEffectContext:off missingEffectError:off missingLayerContext:off floatingEffect:off
import { Rpc, RpcGroup, RpcMiddleware } from "@effect/rpc"
import type { RpcClient } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import {
  type Activation,
  Actor,
  type ActorError,
  type ActorHost,
  type AlarmsFull,
  type Connection,
  type ConnectionId,
  type Contract,
  Delivery,
  type Directory
} from "@troupe/contract"
import { Context, DateTime, Effect, HashMap, Layer, Ref, Schema, Scope, type Stream } from "effect"
import { expectTypeOf } from "vitest"

class Message extends Schema.Class<Message>("Message")({ from: Schema.String, text: Schema.String }) {}
class Denied extends Schema.TaggedError<Denied>()("Denied", { reason: Schema.String }) {}
class Muted extends Schema.TaggedError<Muted>()("Muted", { until: Schema.Number }) {}

class ChatRoom extends Actor.Tag<ChatRoom>()("ChatRoom", {
  params: Schema.Struct({ token: Schema.String, level: Schema.optional(Schema.NumberFromString) }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Say", { payload: { text: Schema.String }, success: Message, error: Muted }),
    Rpc.make("History", { success: Schema.Array(Message) })
  ),
  internal: RpcGroup.make(Rpc.make("Purge", { payload: { before: Schema.DateFromString } })),
  events: { message: Message, presence: Schema.Struct({ online: Schema.Number }) }
}) {}

class Guard extends RpcMiddleware.Tag<Guard>()("Guard", {}) {}

/** The least a contract can have. */
class Counter extends Actor.Tag<Counter>()("Counter", {
  rpcs: RpcGroup.make(Rpc.make("Increment", { success: Schema.Number }))
}) {}

class Auth extends Context.Tag("Auth")<Auth, {
  readonly verify: (token: string) => Effect.Effect<{ readonly name: string }, Denied>
}>() {}
class Clerk extends Context.Tag("Clerk")<Clerk, { readonly note: (text: string) => Effect.Effect<void> }>() {}
class Porter extends Context.Tag("Porter")<Porter, { readonly greet: Effect.Effect<void> }>() {}

const RoomState = Schema.Struct({ messages: Schema.Array(Message) })
const Member = Schema.Struct({ name: Schema.String })
const options = { state: RoomState, initialState: () => ({ messages: [] }), connection: Member } as const

type Definition = Contract.DefinitionOf<ChatRoom>
type Room = Activation.Activation<ChatRoom, Definition, typeof RoomState.Type, typeof Member.Type>
type Caller = Connection.Connection<Definition, typeof Member.Type>

const onBeforeConnect = () => Effect.succeed({ name: "ann" })
const Say = () => Effect.fail(new Muted({ until: 1 }))
const History = () => Effect.succeed([])
const Purge = () => Effect.void

const ChatRoomLive = ChatRoom.toLayer(
  { ...options, idleTimeout: "30 seconds", durability: "fsync" },
  (room) =>
    Effect.gen(function*() {
      const auth = yield* Auth
      const announce = Effect.flatMap(Ref.get(room.connections), (all) =>
        room.broadcast("presence", { online: HashMap.size(all) }))
      return room.behavior({
        onBeforeConnect: ({ params, request }) => {
          expectTypeOf(params).toEqualTypeOf<{ readonly token: string; readonly level?: number | undefined }>()
          expectTypeOf(request.url).toEqualTypeOf<string>()
          return auth.verify(params.token)
        },
        onConnect: (connection) => {
          expectTypeOf(connection.state).toEqualTypeOf<Ref.Ref<{ readonly name: string }>>()
          return Effect.acquireRelease(announce, () =>
            announce)
        },
        onDisconnect: (connection, reason) => {
          expectTypeOf(reason._tag).extract<"Disconnected">().toEqualTypeOf<"Disconnected">()
          return Ref.get(connection.state)
        },
        rpcs: {
          Say: Effect.fnUntraced(function*({ text }) {
            const caller = yield* room.caller
            expectTypeOf(caller).toEqualTypeOf<Caller>()
            const { name } = yield* Ref.get(caller.state)
            if (text === "") return yield* new Muted({ until: 1 })
            const message = Message.make({ from: name, text })
            yield* Ref.update(room.state, ({ messages }) => ({ messages: [...messages, message] }))
            yield* room.broadcast("message", message, { except: caller })
            yield* caller.send("presence", { online: 1 })
            return message
          }),
          History: () => Effect.map(Ref.get(room.state), ({ messages }) => messages)
        },
        internal: {
          Purge: ({ before }) => {
            expectTypeOf(before).toEqualTypeOf<Date>()
            return Ref.set(room.state, { messages: [] })
          }
        }
      })
    })
)

const CounterLive = Counter.toLayer(
  { state: Schema.Number, initialState: () => 0 },
  (counter) =>
    Effect.succeed(counter.behavior({ rpcs: { Increment: () => Ref.updateAndGet(counter.state, (n) => n + 1) } }))
)

it("the layer of an implementation is exactly what it provides and needs", () => {
  expectTypeOf(ChatRoomLive).toEqualTypeOf<Layer.Layer<ChatRoom, never, ActorHost.ActorHost | Auth>>()
  expectTypeOf(CounterLive).toEqualTypeOf<Layer.Layer<Counter, never, ActorHost.ActorHost>>()
  assert.isTrue(Layer.isLayer(ChatRoomLive))
})

it("what build, hooks and handlers need, the layer needs; a Scope and the caller are given", () => {
  const live = ChatRoom.toLayer(options, (room) =>
    Effect.gen(function*() {
      yield* Effect.addFinalizer(() => Effect.void)
      yield* Auth
      return room.behavior({
        onBeforeConnect: () => Effect.zipRight(Effect.flatMap(Porter, ({ greet }) => greet), onBeforeConnect()),
        onConnect: () => Effect.addFinalizer(() => Effect.void),
        rpcs: { Say: () => Effect.zipRight(Effect.flatMap(Clerk, ({ note }) => note("said")), Say()), History },
        internal: { Purge: () => Effect.zipRight(Purge(), Effect.asVoid(Scope.Scope)) }
      })
    }))
  expectTypeOf(live).toEqualTypeOf<Layer.Layer<ChatRoom, never, ActorHost.ActorHost | Auth | Clerk | Porter>>()
  const failing = ChatRoom.toLayer(options, (room) =>
    Effect.gen(function*() {
      if (room.key === "") return yield* Effect.fail("no key")
      return room.behavior({ onBeforeConnect, rpcs: { Say, History }, internal: { Purge } })
    }))
  expectTypeOf(failing).toEqualTypeOf<Layer.Layer<ChatRoom, never, ActorHost.ActorHost>>()
})

it("the parts of a contract", () => {
  expectTypeOf<Contract.Params<ChatRoom>>().toEqualTypeOf<
    { readonly token: string; readonly level?: number | undefined }
  >()
  expectTypeOf<Contract.Params<Counter>>().toEqualTypeOf<void>()
  expectTypeOf<Contract.ConnectError<ChatRoom>>().toEqualTypeOf<Denied>()
  expectTypeOf<Contract.ConnectError<Counter>>().toEqualTypeOf<never>()
  expectTypeOf<Contract.EventName<ChatRoom>>().toEqualTypeOf<"message" | "presence">()
  expectTypeOf<Contract.EventName<Counter>>().toEqualTypeOf<never>()
  expectTypeOf<Contract.EventPayload<ChatRoom, "message">>().toEqualTypeOf<Message>()
  expectTypeOf<Contract.Rpcs<ChatRoom>["_tag"]>().toEqualTypeOf<"Say" | "History">()
  expectTypeOf<Contract.InternalRpcs<ChatRoom>["_tag"]>().toEqualTypeOf<"Purge">()
  expectTypeOf<Contract.InternalRpcs<Counter>>().toEqualTypeOf<never>()
  expectTypeOf(ChatRoom.contract).toEqualTypeOf<"ChatRoom">()
})

it("an activation and its connections", () => {
  expectTypeOf<Room["state"]>().toEqualTypeOf<Ref.Ref<{ readonly messages: ReadonlyArray<Message> }>>()
  expectTypeOf<Room["changes"]>().toEqualTypeOf<Stream.Stream<{ readonly messages: ReadonlyArray<Message> }>>()
  expectTypeOf<Room["connections"]>().toEqualTypeOf<Ref.Ref<HashMap.HashMap<ConnectionId.ConnectionId, Caller>>>()
  expectTypeOf<Room["key"]>().toEqualTypeOf<string>()
  expectTypeOf<Caller["params"]>().toEqualTypeOf<Contract.Params<ChatRoom>>()
  expectTypeOf<Room["caller"]>().toEqualTypeOf<Effect.Effect<Caller, never, Connection.Caller<ChatRoom>>>()
})

it("the contract is a service: a directory of internal rpcs", () => {
  const purge = Effect.flatMap(ChatRoom, (rooms) => {
    expectTypeOf(rooms).toEqualTypeOf<Directory.Directory<Definition>>()
    const room = rooms.get("lobby")
    expectTypeOf(room).toEqualTypeOf<RpcClient.RpcClient<Contract.InternalRpcs<ChatRoom>, ActorError.ActorError>>()
    // @ts-expect-error public rpcs are for connections
    void room.Say
    return room.Purge({ before: new Date(0) })
  })
  expectTypeOf(purge).toEqualTypeOf<Effect.Effect<void, ActorError.ActorError, ChatRoom>>()
  expectTypeOf<ActorError.ActorError["_tag"]>().extract<"ActorOverloaded" | "ActorUnavailable" | "CallTimeout">()
    .toEqualTypeOf<"ActorOverloaded" | "ActorUnavailable" | "CallTimeout">()
  expectTypeOf(ChatRoom.client).toEqualTypeOf<
    Effect.Effect<Directory.Directory<Definition>, never, ActorHost.ActorHost>
  >()
  // @ts-expect-error a program that needs an actor nobody serves does not compile
  void ((): Effect.Effect<void, ActorError.ActorError> => purge)
  // @ts-expect-error wrong payload
  void Effect.flatMap(ChatRoom, (rooms) => rooms.get("lobby").Purge({ before: "yesterday" }))
})

/** Never run: it is enough that it compiles, or does not. */
const room = undefined as unknown as Room
const caller = undefined as unknown as Caller

export const events = () => [
  room.broadcast("presence", { online: 1 }),
  // @ts-expect-error unknown event
  room.broadcast("nope", { online: 1 }),
  // @ts-expect-error wrong payload
  room.broadcast("presence", { online: "one" }),
  // @ts-expect-error the payload of another event
  room.broadcast("message", { online: 1 }),
  // @ts-expect-error missing payload
  room.broadcast("presence"),
  // @ts-expect-error not a connection
  room.broadcast("presence", { online: 1 }, { except: 1 }),
  caller.send("message", new Message({ from: "", text: "" })),
  // @ts-expect-error unknown event
  caller.send("nope", 1),
  // @ts-expect-error wrong payload
  caller.send("presence", { offline: 1 }),
  caller.disconnect(),
  caller.disconnect("spam"),
  // @ts-expect-error a reason is a text
  caller.disconnect(1)
]

export const states = () => [
  Ref.set(room.state, { messages: [] }),
  // @ts-expect-error wrong state
  Ref.set(room.state, { messages: "no" }),
  // @ts-expect-error wrong connection state
  Ref.set(caller.state, { name: 1 }),
  // @ts-expect-error ids are branded
  HashMap.get(HashMap.empty<ConnectionId.ConnectionId, Caller>(), 1)
]

export const contracts = () => [
  Actor.Tag<Counter>()("Feed", { rpcs: RpcGroup.make(Rpc.make("Follow", { success: Schema.Number, stream: true })) }),
  Actor.Tag<Counter>()("Feed", {
    // @ts-expect-error calls between actors return one value
    internal: RpcGroup.make(
      Rpc.make("Read", { success: Schema.Number }),
      Rpc.make("Follow", { success: Schema.Number, stream: true })
    )
  }),
  Actor.Tag<Counter>()("Vault", {
    // @ts-expect-error nobody would run its middleware
    rpcs: RpcGroup.make(Rpc.make("Open"), Rpc.make("Read").middleware(Guard))
  }),
  Actor.Tag<Counter>()("Door", {
    // @ts-expect-error a part that there is not
    connectErr: Schema.String
  })
]

export const handlers = () => [
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      // @ts-expect-error missing handler
      rpcs: { Say },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    // @ts-expect-error missing internal handlers
    Effect.succeed(room.behavior({ onBeforeConnect, rpcs: { Say, History } }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      rpcs: { Say, History },
      // @ts-expect-error missing internal handler
      internal: {}
    }))),
  ChatRoom.toLayer(options, (room) =>
    // @ts-expect-error a connection with a state needs onBeforeConnect
    Effect.succeed(room.behavior({ rpcs: { Say, History }, internal: { Purge } }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      // @ts-expect-error wrong connection state
      onBeforeConnect: () => Effect.succeed({ nickname: "ann" }),
      rpcs: { Say, History },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      // @ts-expect-error another error than the contract's
      onBeforeConnect: () => Effect.fail("denied"),
      rpcs: { Say, History },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      // @ts-expect-error onConnect has no typed error
      onConnect: () => Effect.fail(new Denied({ reason: "" })),
      rpcs: { Say, History },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      rpcs: {
        // @ts-expect-error another error than the rpc's
        Say: () => Effect.fail(new Denied({ reason: "" })),
        History
      },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      rpcs: {
        Say,
        // @ts-expect-error wrong success
        History: () => Effect.succeed(["hello"])
      },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      rpcs: {
        // @ts-expect-error wrong payload
        Say: ({ words }) => Effect.fail(new Muted({ until: Number(words) })),
        History
      },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      rpcs: {
        Say,
        History,
        // @ts-expect-error a handler of no rpc
        Histroy: History
      },
      internal: { Purge }
    }))),
  ChatRoom.toLayer(options, (room) =>
    Effect.succeed(room.behavior({
      onBeforeConnect,
      // @ts-expect-error a hook that there is not
      onConect: () => Effect.void,
      rpcs: { Say, History },
      internal: { Purge }
    }))),
  Counter.toLayer({ state: Schema.Number, initialState: () => 0 }, (counter) =>
    Effect.succeed(counter.behavior({
      // @ts-expect-error nothing would keep its value: the options have no schema for it
      onBeforeConnect,
      rpcs: { Increment: () => Effect.succeed(1) }
    }))),
  Counter.toLayer({ state: Schema.Number, initialState: () => 0 }, (counter) =>
    Effect.succeed(counter.behavior({
      onBeforeConnect: () => Effect.void,
      rpcs: { Increment: () => Effect.succeed(1) },
      // @ts-expect-error the contract has no internal rpcs
      internal: { Purge }
    }))),
  // @ts-expect-error a behaviour made by hand is checked, too
  ChatRoom.toLayer(options, () => Effect.succeed({ onBeforeConnect, rpcs: { Say } }))
]

export const initialStates = () => [
  ChatRoom.toLayer(
    // @ts-expect-error wrong initial state
    { ...options, initialState: () => ({ messages: "no" }) },
    (room) => Effect.succeed(room.behavior({ onBeforeConnect, rpcs: { Say, History }, internal: { Purge } }))
  ),
  ChatRoom.toLayer(
    // @ts-expect-error no such durability
    { ...options, durability: "for ever" },
    (room) => Effect.succeed(room.behavior({ onBeforeConnect, rpcs: { Say, History }, internal: { Purge } }))
  )
]

/** `room.caller` stays in `R` where nobody calls over a connection: the layer cannot be provided. */
type Leak = Layer.Layer<ChatRoom, never, ActorHost.ActorHost>

const inInternal = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect,
    rpcs: { Say, History },
    internal: { Purge: () => Effect.asVoid(room.caller) }
  })))
const inBeforeConnect = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect: () => Effect.flatMap(room.caller, ({ state }) => Ref.get(state)),
    rpcs: { Say, History },
    internal: { Purge }
  })))
const inOnConnect = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect,
    onConnect: () => room.caller,
    rpcs: { Say, History },
    internal: { Purge }
  })))
const inOnDisconnect = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect,
    onDisconnect: () => room.caller,
    rpcs: { Say, History },
    internal: { Purge }
  })))
const inBuild = ChatRoom.toLayer(
  options,
  (room) => Effect.as(room.caller, room.behavior({ onBeforeConnect, rpcs: { Say, History }, internal: { Purge } }))
)
const inRpc = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect,
    rpcs: { Say: () => Effect.zipRight(room.caller, Say()), History },
    internal: { Purge }
  })))
const ofAnother = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect,
    rpcs: {
      Say: () => Effect.zipRight(undefined as unknown as Effect.Effect<void, never, Connection.Caller<Counter>>, Say()),
      History
    },
    internal: { Purge }
  })))

it("room.caller is for handlers of public rpcs only", () => {
  // @ts-expect-error in an internal handler
  expectTypeOf(inInternal).toEqualTypeOf<Leak>()
  // @ts-expect-error in onBeforeConnect
  expectTypeOf(inBeforeConnect).toEqualTypeOf<Leak>()
  // @ts-expect-error in onConnect
  expectTypeOf(inOnConnect).toEqualTypeOf<Leak>()
  // @ts-expect-error in onDisconnect
  expectTypeOf(inOnDisconnect).toEqualTypeOf<Leak>()
  // @ts-expect-error in build
  expectTypeOf(inBuild).toEqualTypeOf<Leak>()
  // @ts-expect-error the caller of another actor
  expectTypeOf(ofAnother).toEqualTypeOf<Leak>()
  expectTypeOf(inRpc).toEqualTypeOf<Leak>()
  // they do not only differ: none of them can be given to a host
  const give = (layer: Leak) => assert.isTrue(Layer.isLayer(layer))
  // @ts-expect-error in an internal handler
  give(inInternal)
  // @ts-expect-error in build
  give(inBuild)
  give(inRpc)
})

const requestInRpc = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect,
    rpcs: { Say: () => Effect.zipRight(room.requestId, Say()), History },
    internal: { Purge: () => Effect.asVoid(room.requestId) }
  })))
const requestInHook = ChatRoom.toLayer(options, (room) =>
  Effect.succeed(room.behavior({
    onBeforeConnect,
    onConnect: () => room.requestId,
    rpcs: { Say, History },
    internal: { Purge }
  })))
const requestInBuild = ChatRoom.toLayer(
  options,
  (room) => Effect.as(room.requestId, room.behavior({ onBeforeConnect, rpcs: { Say, History }, internal: { Purge } }))
)

it("room.requestId is for handlers only, of public and of internal rpcs", () => {
  expectTypeOf(requestInRpc).toEqualTypeOf<Leak>()
  // @ts-expect-error in a hook
  expectTypeOf(requestInHook).toEqualTypeOf<Leak>()
  // @ts-expect-error in build
  expectTypeOf(requestInBuild).toEqualTypeOf<Leak>()
})

class Timer extends Actor.Tag<Timer>()("Timer", {
  rpcs: RpcGroup.make(Rpc.make("Start")),
  internal: RpcGroup.make(
    Rpc.make("Ring", { payload: { times: Schema.Int } }),
    Rpc.make("Stop"),
    Rpc.make("Wait", { payload: { until: Schema.DateFromString, note: Schema.optional(Schema.String) } })
  )
}) {}

declare const timer: Activation.Activation<Timer, Contract.DefinitionOf<Timer>, null, void>

it("room.alarms names the internal rpcs of the contract", () => {
  expectTypeOf<Effect.Effect.Success<typeof timer.alarms>[number]["tag"]>().toEqualTypeOf<"Ring" | "Stop" | "Wait">()
})

export const alarms = () => [
  timer.alarm("1 second", "Ring", { times: 1 }),
  timer.alarm("1 second", "Stop"),
  timer.alarm(DateTime.unsafeNow(), "Stop"),
  timer.alarm("1 second", "Wait", { until: new Date(0) }),
  timer.alarm("1 second", "Stop", undefined, { id: "a" }),
  // @ts-expect-error unknown rpc
  timer.alarm("1 second", "Nope"),
  // @ts-expect-error a public rpc
  timer.alarm("1 second", "Start"),
  // @ts-expect-error missing payload
  timer.alarm("1 second", "Ring"),
  // @ts-expect-error wrong payload
  timer.alarm("1 second", "Ring", { times: "once" }),
  // @ts-expect-error no payload
  timer.alarm("1 second", "Stop", { times: 1 }),
  // @ts-expect-error ids are texts
  timer.alarm("1 second", "Ring", { times: 1 }, { id: 1 }),
  // @ts-expect-error not a duration
  timer.alarm("soon", "Stop"),
  // @ts-expect-error no actor of its own without internal rpcs
  (undefined as unknown as Activation.Activation<Counter, Contract.DefinitionOf<Counter>, null, void>).alarm(
    1,
    "Increment"
  )
]

it("setting an alarm can fail only where there can be too many", () => {
  const set = () => timer.alarm("1 second", "Ring", { times: 1 })
  const setWithId = () => timer.alarm("1 second", "Ring", { times: 1 }, { id: "a" })
  expectTypeOf(set).returns.toEqualTypeOf<Effect.Effect<void>>()
  expectTypeOf(setWithId).returns.toEqualTypeOf<Effect.Effect<void, AlarmsFull.AlarmsFull>>()
})

it("what a contract cannot be made of", () => {
  const NeedsAuth = undefined as unknown as Schema.Schema<string, string, Auth>
  const make = () => {
    Actor.Tag<ChatRoom>()("A", {
      rpcs: RpcGroup.make(Rpc.make("Ping")),
      // @ts-expect-error schemas need no services
      params: NeedsAuth
    })
    // @ts-expect-error rpcs are a group
    Actor.Tag<ChatRoom>()("B", { rpcs: [Rpc.make("Ping")] })
    // a contract may have events only
    Actor.Tag<ChatRoom>()("C", { events: { tick: Schema.Number } })
  }
  assert.isFunction(make)
})

it("how an rpc is delivered", () => {
  const rpc = Rpc.make("Move", { payload: { x: Schema.Number } })
  assert.strictEqual(Delivery.of(rpc), "exactly-once")
  for (const mode of ["exactly-once", "idempotent", "at-most-once"] as const) {
    assert.strictEqual(Delivery.of(rpc.annotate(Delivery.Delivery, mode)), mode)
  }
  // @ts-expect-error there is no such delivery
  rpc.annotate(Delivery.Delivery, "twice")
})
