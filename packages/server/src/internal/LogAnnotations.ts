/** What all that is logged about an actor, and by its handlers, is annotated with: `actor`, `key`, and `connection`. */
import type { Address } from "@troupe/contract/Address"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import * as HashMap from "effect/HashMap"

export const of = (
  { contract, key }: Pick<Address, "contract" | "key">,
  connection?: ConnectionId
): Record<string, unknown> => ({
  actor: contract,
  key,
  ...(connection === undefined ? {} : { connection })
})

/** As `of`, beside others. */
export const add = (
  annotations: HashMap.HashMap<string, unknown>,
  { contract, key }: Address
): HashMap.HashMap<string, unknown> => HashMap.set(HashMap.set(annotations, "actor", contract), "key", key)
