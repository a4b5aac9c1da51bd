/** What the person at the page wants, as data. The views make intents; `Room` carries them out. */
import * as Data from "effect/Data"
import type * as Option from "effect/Option"
import type { Person } from "../contract.ts"
import type { Draft } from "./Model.ts"

export type Intent = Data.TaggedEnum<{
  /** Send this text, to whom the model says. */
  readonly Send: { readonly text: string }
  /** Send a failed draft again. */
  readonly SendAgain: { readonly draft: Draft }
  /** Forget a failed draft. */
  readonly Discard: { readonly draft: Draft }
  /** Write to this person from now on, or to everybody. */
  readonly Address: { readonly to: Option.Option<Person> }
  /** Put somebody out of the room. */
  readonly Disconnect: { readonly who: Person; readonly reason: string }
  readonly DismissNotice: {}
  /** Leave the room. */
  readonly Leave: {}
}>

export const { $is: is, $match: match, Address, Disconnect, Discard, DismissNotice, Leave, Send, SendAgain } = Data
  .taggedEnum<Intent>()
