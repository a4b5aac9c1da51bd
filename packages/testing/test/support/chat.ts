/** The actor that most tests use: a room with a bit of everything. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Context, Deferred, Effect, HashMap, Layer, Ref, Schema } from "effect"

export class Message extends Schema.Class<Message>("Message")({ from: Schema.String, text: Schema.String }) {}
export class Denied extends Schema.TaggedError<Denied>()("Denied", { reason: Schema.String }) {}
export class Muted extends Schema.TaggedError<Muted>()("Muted", { until: Schema.Number }) {}

export class ChatRoom extends Actor.Tag<ChatRoom>()("ChatRoom", {
  params: Schema.Struct({ token: Schema.String }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Say", { payload: { text: Schema.String }, success: Message, error: Muted }),
    Rpc.make("History", { success: Schema.Array(Message) }),
    Rpc.make("Rename", { payload: { name: Schema.String }, success: Schema.String }),
    Rpc.make("WhoAmI", { success: Schema.Struct({ id: Schema.Number, name: Schema.String, token: Schema.String }) }),
    Rpc.make("Tell", { payload: { to: Schema.Number, text: Schema.String }, success: Schema.Boolean }),
    Rpc.make("Kick", { payload: { id: Schema.Number, reason: Schema.optional(Schema.String) } }),
    Rpc.make("Explode"),
    Rpc.make("Wait", { payload: { gate: Schema.String }, success: Schema.String })
  ),
  internal: RpcGroup.make(
    Rpc.make("Purge", { success: Schema.Number }),
    Rpc.make("Size", { success: Schema.Number })
  ),
  events: {
    message: Message,
    presence: Schema.Struct({ online: Schema.Number }),
    whisper: Schema.Struct({ text: Schema.String })
  }
}) {}

export const RoomState = Schema.Struct({ messages: Schema.Array(Message) })
export const Member = Schema.Struct({ name: Schema.String })

/** What the tests see of the room, and how they steer it. */
export class Probe extends Context.Tag("test/Probe")<Probe, {
  readonly log: Ref.Ref<ReadonlyArray<string>>
  readonly note: (entry: string) => Effect.Effect<void>
  /** Handlers of `Wait` block on these. */
  readonly gate: (name: string) => Deferred.Deferred<string>
  /** Runs in `onBeforeConnect`. */
  readonly preflight: Ref.Ref<Effect.Effect<void, Denied>>
  readonly onConnect: Ref.Ref<Effect.Effect<void>>
  readonly build: Ref.Ref<Effect.Effect<void, string>>
}>() {
  static readonly layer = Layer.effect(
    Probe,
    Effect.gen(function*() {
      const log = yield* Ref.make<ReadonlyArray<string>>([])
      const gates = new Map<string, Deferred.Deferred<string>>()
      return {
        log,
        note: (entry) => Ref.update(log, (entries) => [...entries, entry]),
        gate: (name) => {
          const known = gates.get(name)
          if (known) return known
          const made = Effect.runSync(Deferred.make<string>())
          gates.set(name, made)
          return made
        },
        preflight: yield* Ref.make<Effect.Effect<void, Denied>>(Effect.void),
        onConnect: yield* Ref.make<Effect.Effect<void>>(Effect.void),
        build: yield* Ref.make<Effect.Effect<void, string>>(Effect.void)
      }
    })
  )
}

export const makeChatRoomLive = (options: { readonly durability?: "memory" | "commit" } = {}) =>
  ChatRoom.toLayer(
    { state: RoomState, initialState: () => ({ messages: [] }), connection: Member, ...options },
    (room) =>
      Effect.gen(function*() {
        const probe = yield* Probe
        yield* Effect.flatten(Ref.get(probe.build))
        yield* Effect.acquireRelease(probe.note("build"), () => probe.note("unbuild"))
        const announce = Effect.flatMap(Ref.get(room.connections), (all) =>
          room.broadcast("presence", { online: HashMap.size(all) }))
        return room.behavior({
          onBeforeConnect: ({ params }) =>
            Effect.gen(function*() {
              if (params.token === "bad") return yield* new Denied({ reason: "bad token" })
              yield* Effect.flatten(Ref.get(probe.preflight))
              yield* probe.note(`preflight ${params.token} ${HashMap.size(yield* Ref.get(room.connections))}`)
              return { name: params.token }
            }),
          onConnect: (connection) =>
            Effect.gen(function*() {
              const { name } = yield* Ref.get(connection.state)
              yield* Effect.flatten(Ref.get(probe.onConnect))
              yield* Effect.acquireRelease(
                probe.note(`acquire ${name} ${HashMap.size(yield* Ref.get(room.connections))}`),
                (_, exit) => probe.note(`release ${name} ${exit._tag === "Success" ? (exit.value as { _tag: string })._tag : "failed"}`)
              )
              yield* announce
            }),
          onDisconnect: (connection, reason) =>
            Effect.gen(function*() {
              const { name } = yield* Ref.get(connection.state)
              yield* probe.note(`disconnect ${name} ${reason._tag}`)
              yield* announce
            }),
          rpcs: {
            Say: Effect.fnUntraced(function*({ text }) {
              const connection = yield* room.caller
              const member = yield* Ref.get(connection.state)
              const message = Message.make({ from: member.name, text })
              yield* Ref.update(room.state, ({ messages }) => ({ messages: [...messages, message] }))
              yield* room.broadcast("message", message)
              if (text.startsWith("fail")) {
                yield* Ref.set(connection.state, { name: "changed" })
                return yield* new Muted({ until: 1 })
              }
              return message
            }),
            History: () => Effect.map(Ref.get(room.state), ({ messages }) => messages),
            Rename: Effect.fnUntraced(function*({ name }) {
              const connection = yield* room.caller
              return (yield* Ref.getAndSet(connection.state, { name })).name
            }),
            WhoAmI: () =>
              Effect.gen(function*() {
                const { id, params, state } = yield* room.caller
                return { id, name: (yield* Ref.get(state)).name, token: params.token }
              }),
            Tell: Effect.fnUntraced(function*({ to, text }) {
              const found = HashMap.get(yield* Ref.get(room.connections), to as never)
              if (found._tag === "None") return false
              yield* found.value.send("whisper", { text })
              return true
            }),
            Kick: Effect.fnUntraced(function*({ id, reason }) {
              const found = HashMap.get(yield* Ref.get(room.connections), id as never)
              if (found._tag === "Some") yield* found.value.disconnect(reason)
            }),
            Explode: () => Effect.die(new Error("secret detail")),
            Wait: ({ gate }) =>
              probe.note(`wait ${gate}`).pipe(
                Effect.zipRight(Deferred.await(probe.gate(gate))),
                Effect.tap(Ref.update(room.state, ({ messages }) => ({
                  messages: [...messages, Message.make({ from: "wait", text: gate })]
                }))),
                Effect.onInterrupt(() => probe.note(`interrupted ${gate}`))
              )
          },
          internal: {
            Purge: () =>
              Ref.modify(room.state, ({ messages }) => [messages.length, { messages: [] }]),
            Size: () => Effect.map(Ref.get(room.state), ({ messages }) => messages.length)
          }
        })
      })
  )
