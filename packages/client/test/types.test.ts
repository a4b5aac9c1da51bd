/** What a client may do with a contract, and what does not compile. Checked by `tsc`. */
// @effect-diagnostics missingEffectContext:off missingEffectError:off missingLayerContext:off
import { Rpc, RpcGroup } from "@effect/rpc"
import type { RpcClient } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { ActorClient, type Connection, type ConnectionStatus } from "@troupe/client"
import { Actor, type ConnectionError, type Contract, Gap, type Transport } from "@troupe/contract"
import { Context, Effect, type Layer, Schema, type Scope, Stream, type Subscribable } from "effect"
import { expectTypeOf } from "vitest"

class Denied extends Schema.TaggedError<Denied>()("Denied", { reason: Schema.String }) {}
class Muted extends Schema.TaggedError<Muted>()("Muted", { until: Schema.Number }) {}
class Message extends Schema.Class<Message>("Message")({ text: Schema.String }) {}

class ChatRoom extends Actor.Tag<ChatRoom>()("ChatRoom", {
  params: Schema.Struct({ token: Schema.String }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Say", { payload: { text: Schema.String }, success: Message, error: Muted }),
    Rpc.make("messages.Count", { success: Schema.Number })
  ),
  internal: RpcGroup.make(Rpc.make("Purge", { payload: { before: Schema.Number } })),
  events: {
    message: Message,
    presence: Schema.Struct({ online: Schema.Number }),
    cursor: Actor.latest(Schema.Struct({ at: Schema.NumberFromString })),
    typed: Message.pipe(Actor.latest)
  }
}) {}

class Counter extends Actor.Tag<Counter>()("Counter", {
  rpcs: RpcGroup.make(Rpc.make("Increment", { success: Schema.Number }))
}) {}

class Tokens extends Context.Tag("Tokens")<Tokens, { readonly fresh: Effect.Effect<string, "expired"> }>() {}

const params = { token: "t" }
const room = undefined as unknown as Connection.Connection<Contract.DefinitionOf<ChatRoom>>
type Needs = ActorClient.ActorClient | Scope.Scope

it("room.rpc is exactly the RpcClient of @effect/rpc", () => {
  expectTypeOf<typeof room["rpc"]>().toEqualTypeOf<
    RpcClient.RpcClient<Contract.Rpcs<ChatRoom>, ConnectionError.ConnectionError>
  >()
  const say = () => room.rpc.Say({ text: "hello" })
  expectTypeOf(say).returns.toEqualTypeOf<Effect.Effect<Message, Muted | ConnectionError.ConnectionError>>()
  const count = () => room.rpc.messages.Count()
  expectTypeOf(count).returns.toEqualTypeOf<Effect.Effect<number, ConnectionError.ConnectionError>>()
  const discarded = () => room.rpc.Say({ text: "hello" }, { discard: true })
  expectTypeOf(discarded).returns.toEqualTypeOf<Effect.Effect<void, ConnectionError.ConnectionError>>()
  assert.isUndefined(room)
})

it("every error of a connection says whether the call was sent", () => {
  expectTypeOf<ConnectionError.ConnectionError["sent"]>().toEqualTypeOf<"no" | "maybe">()
  expectTypeOf<ConnectionError.ConnectionError["_tag"]>().toEqualTypeOf<
    "ConnectionClosed" | "QueueFull" | "CallRejected" | "OutcomeUnknown" | "ActorDestroyed"
  >()
})

it("connect: its value, its errors and what it needs", () => {
  const plain = () => ActorClient.connect(ChatRoom, "lobby", { params })
  expectTypeOf(plain).returns.toEqualTypeOf<
    Effect.Effect<
      Connection.Connection<Contract.DefinitionOf<ChatRoom>>,
      Denied | ConnectionError.ConnectionError,
      Needs
    >
  >()
  // params as an effect add their errors and their services
  const fresh = Effect.flatMap(Tokens, ({ fresh }) => Effect.map(fresh, (token) => ({ token })))
  const provided = () => ActorClient.connect(ChatRoom, "lobby", { params: fresh, events: ["message"] })
  expectTypeOf(provided).returns.toEqualTypeOf<
    Effect.Effect<
      Connection.Connection<Contract.DefinitionOf<ChatRoom>>,
      Denied | ConnectionError.ConnectionError | "expired",
      Needs | Tokens
    >
  >()
  // no params, no connectError
  const counter = () => ActorClient.connect(Counter, "a")
  expectTypeOf(counter).returns.toEqualTypeOf<
    Effect.Effect<Connection.Connection<Contract.DefinitionOf<Counter>>, ConnectionError.ConnectionError, Needs>
  >()
  expectTypeOf(ActorClient.layer).returns.toEqualTypeOf<
    Layer.Layer<ActorClient.ActorClient, never, Transport.Transport>
  >()
})

it("events and status", () => {
  const messages = () => room.events("message")
  expectTypeOf(messages).returns.toEqualTypeOf<
    Effect.Effect<
      Stream.Stream<Message | Gap.Gap, ConnectionError.ConnectionError>,
      ConnectionError.ConnectionError,
      Scope.Scope
    >
  >()
  const ignored = (stream: Stream.Stream<Message | Gap.Gap, ConnectionError.ConnectionError>) =>
    stream.pipe(Gap.ignore, Stream.map(({ text }) => text))
  expectTypeOf(ignored).returns.toEqualTypeOf<Stream.Stream<string, ConnectionError.ConnectionError>>()
  // where only the latest counts there are no gaps
  const cursors = () => room.events("cursor")
  expectTypeOf(cursors).returns.toEqualTypeOf<
    Effect.Effect<
      Stream.Stream<{ readonly at: number }, ConnectionError.ConnectionError>,
      ConnectionError.ConnectionError,
      Scope.Scope
    >
  >()
  expectTypeOf<Contract.EventItem<ChatRoom, "typed">>().toEqualTypeOf<Message>()
  expectTypeOf<Contract.EventItem<ChatRoom, "message" | "typed">>().toEqualTypeOf<Message | Gap.Gap>()
  expectTypeOf<typeof room["status"]>().toEqualTypeOf<
    Subscribable.Subscribable<ConnectionStatus.ConnectionStatus>
  >()
  expectTypeOf<ConnectionStatus.ConnectionStatus["_tag"]>().toEqualTypeOf<
    "Connecting" | "Connected" | "Waiting" | "Closed"
  >()
})

/** Never run: it is enough that it does not compile. */
export const wrong = () => [
  // @ts-expect-error internal rpcs are not for clients
  room.rpc.Purge({ before: 1 }),
  // @ts-expect-error unknown rpc
  room.rpc.Shout({ text: "hello" }),
  // @ts-expect-error wrong payload
  room.rpc.Say({ words: "hello" }),
  // @ts-expect-error missing payload
  room.rpc.Say(),
  // @ts-expect-error unknown event
  room.events("nope"),
  // @ts-expect-error wrong params
  ActorClient.connect(ChatRoom, "lobby", { params: { tokn: "t" } }),
  // @ts-expect-error wrong params, from an effect
  ActorClient.connect(ChatRoom, "lobby", { params: Effect.succeed({ token: 1 }) }),
  // @ts-expect-error missing params
  ActorClient.connect(ChatRoom, "lobby"),
  // @ts-expect-error missing params beside other options
  ActorClient.connect(ChatRoom, "lobby", { events: ["message"] }),
  // @ts-expect-error unknown event
  ActorClient.connect(ChatRoom, "lobby", { params, events: ["nope"] }),
  // @ts-expect-error the contract has no params
  ActorClient.connect(Counter, "a", { params: { token: "t" } }),
  // @ts-expect-error the contract has no events
  ActorClient.connect(Counter, "a", { events: ["message"] }),
  // @ts-expect-error a key is a text
  ActorClient.connect(Counter, 1),
  // @ts-expect-error not a contract
  ActorClient.connect(Tokens, "a")
]
