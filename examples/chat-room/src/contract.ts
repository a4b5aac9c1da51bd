/**
 * What the page and the server agree on. Schemas only: importing this brings no server code into the page. Everything a
 * stranger can send has a bound here, and is refused before any handler sees it.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Actor from "@troupe/contract/Actor"
import { ConnectionId } from "@troupe/contract/ConnectionId"
import * as Schema from "effect/Schema"

export const nameMax = 32
export const textMax = 500
export const reasonMax = 200

const bounded = (max: number) => Schema.Trimmed.pipe(Schema.minLength(1), Schema.maxLength(max))

export const Name = bounded(nameMax)
export const Text = bounded(textMax)
export const Reason = bounded(reasonMax)

export const Role = Schema.Literal("guest", "moderator")
export type Role = typeof Role.Type

/** Somebody in the room. The id is the connection's, so two people of the same name are still two. */
export class Person extends Schema.Class<Person>("Person")({ id: ConnectionId, name: Name, role: Role }) {}

/** The number that all a room says is counted with, and the time. Sorting by id gives everybody the same order. */
const stamp = { id: Schema.Int, at: Schema.DateTimeUtc }

export class Said extends Schema.TaggedClass<Said>()("Said", { ...stamp, from: Person, text: Text }) {}

/** Said by the house, through the backend. */
export class Announced extends Schema.TaggedClass<Announced>()("Announced", { ...stamp, text: Text }) {}

/** For one person only, and not kept in the history. */
export class Whispered
  extends Schema.TaggedClass<Whispered>()("Whispered", { ...stamp, from: Person, to: Person, text: Text })
{}

export const Message = Schema.Union(Said, Announced)
export type Message = typeof Message.Type

/** The token is not one that this room knows. */
export class Denied extends Schema.TaggedError<Denied>()("Denied", { reason: Schema.String }) {
  override get message() {
    return this.reason
  }
}

/** The person it was for is not in the room any more. */
export class NotHere extends Schema.TaggedError<NotHere>()("NotHere", {}) {
  override get message() {
    return "this person has left the room"
  }
}

/** Only a moderator may do this. */
export class NotAllowed extends Schema.TaggedError<NotAllowed>()("NotAllowed", {}) {
  override get message() {
    return "only a moderator may do this"
  }
}

export class ChatRoom extends Actor.Tag<ChatRoom>()("ChatRoom", {
  params: Schema.Struct({ name: Name, token: Schema.String.pipe(Schema.maxLength(200)) }),
  connectError: Denied,
  rpcs: RpcGroup.make(
    Rpc.make("Say", { payload: { text: Text }, success: Said }),
    Rpc.make("Whisper", { payload: { to: ConnectionId, text: Text }, success: Whispered, error: NotHere }),
    Rpc.make("History", { success: Schema.Array(Message) }),
    Rpc.make("Disconnect", {
      payload: { who: ConnectionId, reason: Reason },
      error: Schema.Union(NotAllowed, NotHere)
    })
  ),
  // For the backend. A page cannot reach these.
  internal: RpcGroup.make(Rpc.make("Announce", { payload: { text: Text }, success: Announced })),
  events: {
    /** Tells a connection who it is. Sent to each when it is opened. */
    welcome: Person,
    /** Everybody in the room, whenever that changes. */
    people: Schema.Array(Person),
    message: Message,
    whisper: Whispered
  }
}) {}
