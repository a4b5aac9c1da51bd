/** Watches an answer to its end, whatever happens on the way. For the page, and for any other client. */
import type { Connection } from "@troupe/client/Connection"
import type { ConnectionError } from "@troupe/contract/ConnectionError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Conversation, Piece } from "./contract.ts"

/**
 * What an answer holds from a position on, each character once and in order. A short drop of the network needs no care:
 * the stream goes on by itself. When the server is gone with what it knew of the stream, that ends with `OutcomeUnknown`,
 * and what has come so far says from where to ask again.
 */
export const watch = (
  conversation: Connection<typeof Conversation.definition>,
  answer: number,
  from: number
): Stream.Stream<Piece, ConnectionError> =>
  Stream.suspend(() => {
    let seen = from
    return conversation.rpc.Watch({ answer, from }).pipe(
      Stream.tap(({ at, text }) => Effect.sync(() => void (seen = at + text.length))),
      Stream.catchTag("OutcomeUnknown", () => watch(conversation, answer, seen))
    )
  })
