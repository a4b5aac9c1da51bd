/** What the person at the page wants, as data. The views make intents; `Talk` carries them out. */
import * as Data from "effect/Data"

export type Intent = Data.TaggedEnum<{
  readonly Ask: { readonly text: string }
  /** Forget a question that was not taken. */
  readonly Discard: {}
  readonly Stop: { readonly answer: number }
  readonly DismissNotice: {}
}>

export const { $match: match, Ask, Discard, DismissNotice, Stop } = Data.taggedEnum<Intent>()
