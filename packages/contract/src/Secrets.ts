/** Unguessable names: session ids, resume tokens and the ids of defects. */
import * as Context from "effect/Context"

const wordsEach = 4

/** Drawn in advance: to ask the system for 16 bytes costs as much as to ask it for 4 KiB. */
const drawn = new Uint32Array(256 * wordsEach)

let used = drawn.length

const next = (): string => {
  if (used === drawn.length) {
    globalThis.crypto.getRandomValues(drawn)
    used = 0
  }
  let secret = ""
  for (const end = used + wordsEach; used < end; used++) {
    secret += drawn[used]!.toString(16).padStart(8, "0")
    // nothing in memory tells what has been handed out
    drawn[used] = 0
  }
  return secret
}

/**
 * Makes secrets of 128 bits, as 32 hexadecimal digits, from Web Crypto. Effect's `Random` is not fit for this. A service,
 * so that tests can seed it.
 */
export class Secrets extends Context.Reference<Secrets>()("@troupe/contract/Secrets", {
  defaultValue: () => ({ next })
}) {}
