/** Unguessable names: session ids, resume tokens and the ids of defects. */
import * as Context from "effect/Context"

const hex = (words: Uint32Array) => Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("")

/**
 * Makes secrets of 128 bits, as 32 hexadecimal digits, from Web Crypto. Effect's `Random` is not fit for this. A service,
 * so that tests can seed it.
 */
export class Secrets extends Context.Reference<Secrets>()("@troupe/contract/Secrets", {
  defaultValue: () => ({ next: (): string => hex(globalThis.crypto.getRandomValues(new Uint32Array(4))) })
}) {}
