/** The room itself: what is kept, who is in it, and what happens on each call. One call at a time, so no locks. */
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import { DateTime, Effect, HashMap, Option, Ref, Schema } from "effect"
import { Announced, ChatRoom, Message, Name, NotAllowed, NotHere, Person, Role, Said, Whispered } from "../contract.ts"
import { Auth } from "./Auth.ts"

/** Bounds the stored state: 200 messages of 500 characters are well below its limit of 1 MiB in any alphabet. */
const historyMax = 200

const State = Schema.Struct({ lastId: Schema.Int, messages: Schema.Array(Message) })

const Member = Schema.Struct({ name: Name, role: Role })

export const ChatRoomLive = ChatRoom.toLayer(
  { state: State, initialState: () => ({ lastId: 0, messages: [] }), connection: Member },
  (room) =>
    Effect.gen(function*() {
      const auth = yield* Auth

      type Connection = Effect.Effect.Success<typeof room.caller>

      const personOf = (connection: Connection) =>
        Effect.map(Ref.get(connection.state), (member) => Person.make({ id: connection.id, ...member }))

      const find = (id: ConnectionId) =>
        Effect.flatMap(Ref.get(room.connections), (connections) =>
          Option.match(HashMap.get(connections, id), {
            onNone: () => Effect.fail(new NotHere()),
            onSome: Effect.succeed
          }))

      const tellWhoIsHere = Effect.gen(function*() {
        const connections = yield* Ref.get(room.connections)
        const people = yield* Effect.forEach(HashMap.values(connections), personOf)
        yield* room.broadcast("people", people.sort((a, b) => a.id - b.id))
      })

      // Durable, because it is part of the state: numbers go on after a restart, also those of whispers.
      const stamp = Effect.gen(function*() {
        const { lastId } = yield* Ref.updateAndGet(room.state, (state) => ({ ...state, lastId: state.lastId + 1 }))
        return { id: lastId, at: yield* DateTime.now }
      })

      const keep = (message: Message) =>
        Ref.update(room.state, (state) => ({ ...state, messages: [...state.messages, message].slice(-historyMax) }))

      return room.behavior({
        onBeforeConnect: ({ params }) => Effect.map(auth.verify(params.token), (role) => ({ name: params.name, role })),

        // A connection is a scoped resource: what is acquired here is released when the connection ends, for any reason.
        onConnect: (connection) =>
          Effect.gen(function*() {
            yield* connection.send("welcome", yield* personOf(connection))
            yield* Effect.acquireRelease(tellWhoIsHere, () => tellWhoIsHere)
          }),

        rpcs: {
          Say: Effect.fnUntraced(function*({ text }) {
            const caller = yield* room.caller
            const message = Said.make({ ...yield* stamp, from: yield* personOf(caller), text })
            yield* keep(message)
            // The caller has it as the answer to the call.
            yield* room.broadcast("message", message, { except: caller })
            return message
          }),

          Whisper: Effect.fnUntraced(function*({ text, to }) {
            const target = yield* find(to)
            const from = yield* Effect.flatMap(room.caller, personOf)
            const whisper = Whispered.make({ ...yield* stamp, from, to: yield* personOf(target), text })
            yield* target.send("whisper", whisper)
            return whisper
          }),

          History: () => Effect.map(Ref.get(room.state), (state) => state.messages),

          Disconnect: Effect.fnUntraced(function*({ reason, who }) {
            const caller = yield* Effect.flatMap(room.caller, personOf)
            if (caller.role !== "moderator") return yield* new NotAllowed()
            const target = yield* find(who)
            yield* target.disconnect(reason)
          })
        },

        internal: {
          Announce: Effect.fnUntraced(function*({ text }) {
            const message = Announced.make({ ...yield* stamp, text })
            yield* keep(message)
            yield* room.broadcast("message", message)
            return message
          })
        }
      })
    })
)
