/** Transports that are wrong, each in one way: the laws of transports find them all. */
import { assert, describe, it } from "@effect/vitest"
import { Transport } from "@troupe/contract"
import * as TransportLaws from "@troupe/testing/TransportLaws"
import { Effect, Exit } from "effect"
import { broken, type Changes, network, unreachable } from "./support/brokenTransports.ts"

const harness = (changes: Changes) => Effect.map(network(changes), ({ harness }) => harness)

/** What is never to come is not waited for long; what comes may take its time, where the machine is busy. */
const subject = (changes: Changes, patienceMillis: number): TransportLaws.Subject => ({
  make: harness(changes),
  unreachable: Effect.map(
    harness(changes),
    ({ transport }) => ({ ...transport, dial: changes.unreachable ?? transport.dial })
  ),
  patienceMillis
})

/** The laws that a transport does not keep to. */
const brokenBy = (changes: Changes, patienceMillis = 10_000) =>
  Effect.filter(
    TransportLaws.laws(subject(changes, patienceMillis)),
    ({ check }) => Effect.map(Effect.exit(Effect.scoped(check)), Exit.isFailure),
    { concurrency: "unbounded" }
  )

describe("the laws of transports find one that", () => {
  for (const [what, changes] of Object.entries(broken)) {
    it.live(what, () => Effect.map(brokenBy(changes, 100), (laws) => assert.isNotEmpty(laws)))
  }

  it.live("and none that fails in its own words", () =>
    Effect.map(
      brokenBy(unreachable(new Transport.DialError({ message: "connect ENOENT /run/troupe.sock" }))),
      (laws) => assert.isEmpty(laws)
    ))

  it.live("and leave no link of one behind", () =>
    Effect.gen(function*() {
      let stand = 0
      const dial: Changes["dial"] = (dial) => (handler) =>
        Effect.zipLeft(
          dial(handler),
          Effect.acquireRelease(Effect.sync(() => stand++), () => Effect.sync(() => stand--))
        )
      const deaf = { onMessage: () => {}, onClose: () => {} }
      // takes what is dialled, and does not hand it on
      yield* brokenBy({ dial, listen: (listen) => () => listen(() => deaf) }, 50)
      assert.strictEqual(stand, 0)
    }))

  it.live("and none that is right", () => Effect.map(brokenBy({}), (laws) => assert.isEmpty(laws)))

  it.live("and none that is right, and takes its time", () =>
    Effect.map(
      brokenBy({ dial: (dial) => (handler) => Effect.zipRight(Effect.sleep("1 millis"), dial(handler)) }),
      (laws) => assert.isEmpty(laws)
    ))
})
