/** What a client knows of its connection, as one value that can be shown to a person. */
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import type { DialError } from "@troupe/contract/Transport"
import * as Data from "effect/Data"
import type * as Option from "effect/Option"

/**
 * - `Connecting`: a link is being dialled, or a connection opened on it.
 * - `Connected`: calls go out. `resumed` is false if the connection is a new one: the first, or one after a loss.
 * - `Waiting`: the next attempt is made at `retryAt` (milliseconds since the epoch); none is planned while paused.
 *   `attempt` counts the failures in a row, from 1.
 * - `Closed`: for good.
 */
export type ConnectionStatus = Data.TaggedEnum<{
  readonly Connecting: {}
  readonly Connected: { readonly resumed: boolean }
  readonly Waiting: {
    readonly attempt: number
    readonly retryAt: Option.Option<number>
    readonly cause: WaitingCause
  }
  readonly Closed: { readonly reason: DisconnectReason }
}>

/**
 * Why a client waits: it was paused, no link could be dialled, the link was lost, the server is going away, the provider
 * of the connection's parameters failed, or the server could not open the connection just now.
 */
export type WaitingCause = Data.TaggedEnum<{
  readonly Paused: {}
  readonly DialFailed: { readonly error: DialError }
  readonly LinkLost: { readonly code: number; readonly reason: string }
  readonly GoAway: {}
  readonly ParamsFailed: { readonly message: string }
  readonly NotOpened: { readonly reason: DisconnectReason }
}>

export const { Connecting, Connected, Waiting, Closed, $is: is, $match: match } = Data.taggedEnum<ConnectionStatus>()

export const WaitingCause = Data.taggedEnum<WaitingCause>()
