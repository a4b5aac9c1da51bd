/** Unguessable names: session ids, resume tokens and the ids of defects. */
import * as Context from "effect/Context"

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/**
 * Makes secrets of 128 bits, as 32 hexadecimal digits, from Web Crypto. Effect's `Random` is not fit for this. A service,
 * so that tests can seed it.
 */
export class Secrets extends Context.Reference<Secrets>()("@troupe/contract/Secrets", {
  defaultValue: () => ({ next: (): string => hex(globalThis.crypto.getRandomValues(new Uint8Array(16))) })
}) {}
