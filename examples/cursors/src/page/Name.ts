/** What the visitor is called: `?name=` in the address, or a name that nobody minds to be called. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { nameMax } from "../contract.ts"

const manners = ["Merry", "Curious", "Gentle", "Bold", "Dreamy", "Witty", "Velvet", "Nimble", "Brave", "Sunny"] as const
const callings = ["Prompter", "Understudy", "Fiddler", "Juggler", "Poet", "Acrobat", "Piper", "Dancer", "Mime"] as const

const friendly = Effect.map(
  Effect.all([Random.choice(manners), Random.choice(callings)]),
  ([manner, calling]) => `${manner} ${calling}`
)

/** The name for a page whose address ends like this. */
export const ofPage = (search: string): Effect.Effect<string> => {
  const wanted = (new URLSearchParams(search).get("name") ?? "").trim()
  // half of a character would be left where the last one takes two units
  const name = wanted.slice(0, nameMax).replace(/[\ud800-\udbff]$/, "").trim()
  return name === "" ? friendly : Effect.succeed(name)
}
