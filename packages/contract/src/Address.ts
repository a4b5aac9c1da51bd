/**
 * Where an actor is found: the name of its contract, and a key. An address names one actor for ever, whether it is in
 * memory, asleep in the store, or has never been used.
 */
import * as Schema from "effect/Schema"

/** The longest key an address may have unless a host is configured otherwise, in UTF-8 bytes. */
export const keyBytesMax = 512

/** Names one actor: `contract` is the name given to `Actor.Tag`, `key` any non-empty string. Compared exactly. */
export class Address extends Schema.Class<Address>("@troupe/contract/Address")({
  contract: Schema.NonEmptyString,
  key: Schema.NonEmptyString
}) {
  override toString() {
    return `${this.contract}/${this.key}`
  }
}

/** The address of the actor of `contract` with this key. */
export const make = (contract: string, key: string): Address =>
  // the check of the schema takes longer than all the rest
  contract && key ? new Address({ contract, key }, true) : Address.make({ contract, key })

/** Text that differs for different addresses, for use as the key of a map; `toString` is for people. */
export const idOf = ({ contract, key }: Pick<Address, "contract" | "key">): string =>
  `${contract.length}:${contract}/${key}`

const encoder = new TextEncoder()

/**
 * What is wrong with a key, or `undefined` if it is acceptable: non-empty, well-formed Unicode (two keys that differ in a
 * lone surrogate would be the same UTF-8, in a store for example), and at most `bytesMax` UTF-8 bytes.
 */
export const keyIssue = (key: string, bytesMax: number = keyBytesMax): string | undefined => {
  if (key.length === 0) return "a key must not be empty"
  if (/\p{Surrogate}/u.test(key)) return "a key must be well-formed Unicode"
  const bytes = encoder.encode(key).byteLength
  return bytes > bytesMax ? `a key may have at most ${bytesMax} bytes, this one has ${bytes}` : undefined
}
