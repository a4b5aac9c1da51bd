/** `docs/limits.md` and the code agree on the options there are. */
import { assert, it } from "@effect/vitest"
import { defaults as client } from "@troupe/client/ClientOptions"
import { defaults as http } from "@troupe/server/ActorHttp"
import { defaults as gateway } from "@troupe/server/Gateway"
import { defaults as host } from "@troupe/server/HostOptions"
import { Duration } from "effect"
import * as Repository from "./support/Repository.ts"

/** The rows of the table below a heading: an option, and its default. */
const table = (heading: string): Record<string, string> => {
  const section = Repository.read("docs/limits.md").split(`\n## ${heading}\n`)[1]!.split("\n## ")[0]!
  return Object.fromEntries(
    [...section.matchAll(/^\| `(\w+)` \| ([^|]*) \|/gm)].map(([, name, value]) => [name!, value!])
  )
}

const units = { KiB: 1024, MiB: 1024 * 1024, ms: 1, s: 1000, min: 60_000, h: 3_600_000 }

/** What a default says: a number, of bytes or of milliseconds where it has a unit. */
const valueOf = (text: string): number => {
  if (text === "any number") return Infinity
  const [, number, unit] = /^(\d+)(?: (\w+))?$/.exec(text)!
  return Number(number) * (unit === undefined ? 1 : units[unit as keyof typeof units])
}

const inMillis = (value: unknown): number =>
  typeof value === "number" ? value : Duration.toMillis(value as Duration.DurationInput)

const all = [["a client", client], ["a host", host], ["a gateway", gateway], ["HTTP routes", http]] as const

it.each(all)("limits of %s", (what, options) => {
  const { schedule: _, ...rows } = table(`Of ${what}`)
  const { schedule: _schedule, ...defaults } = options as Record<string, unknown>
  const documented = Object.fromEntries(Object.entries(rows).map(([name, text]) => [name, valueOf(text)]))
  const actual = Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, inMillis(value)]))
  assert.deepStrictEqual(documented, actual)
})
