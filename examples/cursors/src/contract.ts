/**
 * What the page and the server agree on. Schemas only: importing this brings no server code into the page. Everything a
 * stranger can send has a bound here, and is refused before any handler sees it.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Actor from "@troupe/contract/Actor"
import { ConnectionId } from "@troupe/contract/ConnectionId"
import * as Delivery from "@troupe/contract/Delivery"
import * as Schema from "effect/Schema"

export const nameMax = 32

export const Name = Schema.Trimmed.pipe(Schema.minLength(1), Schema.maxLength(nameMax))

const Share = Schema.Number.pipe(Schema.between(0, 1))

/** A point of the board, in shares of its width and its height: every window shows the same board in its own size. */
export const Point = Schema.Struct({ x: Share, y: Share })
export type Point = typeof Point.Type

/** Somebody on the board. The id is the connection's, so two people of the same name are still two. */
export const Person = Schema.Struct({ id: ConnectionId, name: Name, hue: Schema.Int })
export type Person = typeof Person.Type

/** Where somebody's pointer is; `null` while it is not on the board. */
export const Place = Schema.Struct({ id: ConnectionId, at: Schema.NullOr(Point) })
export type Place = typeof Place.Type

/** What there is to see at one moment, and who is looking. */
export const View = Schema.Struct({ me: ConnectionId, people: Schema.Array(Person), places: Schema.Array(Place) })
export type View = typeof View.Type

export class Board extends Actor.Tag<Board>()("Board", {
  params: Schema.Struct({ name: Name }),
  rpcs: RpcGroup.make(
    // a position that was lost with its connection is not sent again: there is a newer one
    Rpc.make("Move", { payload: { at: Schema.NullOr(Point) } }).annotate(Delivery.Delivery, "at-most-once"),
    Rpc.make("Look", { success: View }).annotate(Delivery.Delivery, "idempotent")
  ),
  events: {
    /** Everybody on the board, whenever that changes. It must not be missed, so it is an ordinary event. */
    people: Schema.Array(Person),
    /** Somebody has moved. Only the latest place counts: nobody is sent the way of the pointer to there. */
    moved: Actor.latest(Place)
  }
}) {}
