/** What the measured actors keep: a count of their turns, and about 700 bytes of what chat rooms are made of. */
import * as Schema from "effect/Schema"

const Message = Schema.Struct({ id: Schema.Int, text: Schema.String, at: Schema.Int })

export const ChatState = Schema.Struct({ count: Schema.Int, messages: Schema.Array(Message) })

export const initialState: typeof ChatState.Type = {
  count: 0,
  messages: Array.from({ length: 8 }, (_, id) => ({ id, text: "hello world ".repeat(4), at: 1_700_000_000_000 + id }))
}
