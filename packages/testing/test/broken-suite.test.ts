/** The suite of transports finds those that are wrong in their daily work, and says what it waited for. */
import { assert, describe, it } from "@effect/vitest"
import { Transport } from "@troupe/contract"
import { Gateway } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import * as TransportSuite from "@troupe/testing/TransportSuite"
import { Cause, Context, Effect, Exit, Layer, Logger } from "effect"
import { broken, type Changes, network } from "./support/brokenTransports.ts"

/** What connections put right, or never need: it takes the laws to find these. */
const lawsOnly = [
  "gives a text twice",
  "loses empty texts",
  "shortens long texts",
  "loses texts of more than 1 MiB",
  "takes a byte order mark away",
  "makes a text of each line",
  "loses what is sent before an answer to a dial",
  "reads on when it is not to",
  "does not read again",
  "always has something buffered",
  "throws when something is sent after the close",
  "throws at long reasons",
  "forgets the code of a close",
  "forgets the codes of the protocol",
  "forgets the reason of a close",
  "leaves a link behind when a dial is interrupted",
  "says nothing of the request",
  "knows no headers",
  "has headers as they were written",
  "closes all links with one of them",
  "does not say that nobody listens",
  "does not say why it fails"
]

/** A gateway behind the transport in memory, changed. */
const layerOf = (changes: Changes) =>
  Layer.scopedContext(Effect.gen(function*() {
    const { harness, network: memory } = yield* network(changes)
    const gateway = yield* Gateway.make({ actors: TransportSuite.actors })
    yield* harness.listen(gateway.accept)
    return Context.make(Transport.Transport, harness.transport).pipe(
      Context.add(MemoryTransport.MemoryNetwork, memory)
    )
  }))

const cut = Effect.flatMap(MemoryTransport.MemoryNetwork, ({ cut }) => cut)

/** What the first case says that fails. */
const found = (changes: Changes, patienceMillis: number, cutting: typeof cut = cut) =>
  Effect.map(
    Effect.exit(Effect.forEach(
      TransportSuite.cases({ transport: layerOf(changes), cut: cutting, patienceMillis }),
      ({ check, title }) => Effect.catchAllCause(check, (cause) => Effect.fail(`${title}: ${Cause.pretty(cause)}`)),
      { concurrency: 4, discard: true }
    )),
    (exit) => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : undefined
  ).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))

describe("the suite of transports finds one that", () => {
  it("is wrong, or else the laws do", () => {
    for (const what of lawsOnly) assert.property(broken, what)
  })

  for (const [what, changes] of Object.entries(broken)) {
    if (lawsOnly.includes(what)) continue
    it.live(what, () => Effect.map(found(changes, 500), assert.isDefined))
  }

  it.live("never opens a link, and says what it waited for", () =>
    Effect.map(
      found({ dial: () => () => Effect.never }, 500),
      (message) => assert.match(message ?? "", /nothing has come for 500 ms; waited for: a connection to/)
    ))

  it.live("is said to be cut, and is not", () =>
    Effect.map(
      found({}, 500, Effect.void),
      (message) => assert.include(message, "the links that `cut` was to cut to close")
    ))

  it.live("and none that is right", () => Effect.map(found({}, 10_000), assert.isUndefined))
})
