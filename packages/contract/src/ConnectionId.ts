/** The public name of a connection. Not a secret: the resume token is another value. */
import * as Schema from "effect/Schema"

/**
 * A safe integer made of the activation's epoch and a counter. It is never used again for the same actor, also not
 * after a restart of the server.
 */
export const ConnectionId = Schema.Int.pipe(Schema.positive(), Schema.brand("@troupe/contract/ConnectionId"))

export type ConnectionId = typeof ConnectionId.Type
