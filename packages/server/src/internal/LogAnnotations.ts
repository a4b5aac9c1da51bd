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

/** Annotations as a fiber has them. */
export type Annotations = HashMap.HashMap<string, unknown>

/** As `of`, beside others. */
export const add = (
  annotations: Annotations,
  { contract, key }: Address,
  connection?: ConnectionId
): Annotations => {
  const ofActor = HashMap.set(HashMap.set(annotations, "actor", contract), "key", key)
  return connection === undefined ? ofActor : HashMap.set(ofActor, "connection", connection)
}
