/** What the outside learns of how a handler ended. */
import type { Address } from "@troupe/contract/Address"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Json from "@troupe/contract/protocol/Json"
import type { Secrets } from "@troupe/contract/Secrets"
import { ServerDefect } from "@troupe/contract/ServerDefect"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as LogAnnotations from "./LogAnnotations.ts"

/** The answer of a call that was interrupted before it ran. */
export const interrupted = JSON.stringify(
  Schema.encodeSync(Schema.Exit({ success: Schema.Void, failure: Schema.Void, defect: Schema.Void }))(
    Exit.interrupt(FiberId.none)
  )
)

/** The text of what is sent. Throws an error that names the limit if it is too long. */
export const encodeOutput = (value: unknown, what: string, outputBytesMax: number): string => {
  const text = Json.encode(value, what)
  if (Bytes.exceed(text, outputBytesMax)) throw new Error(`${what} is larger than outputBytesMax, ${outputBytesMax}`)
  return text
}

/** An encoded `Exit`. `kept` is false if the turn's changes must be dropped: it failed, or its answer does not encode. */
export interface Answer {
  readonly text: string
  /** What is encoded, in the words of the server: the cause of a defect, not its id. */
  readonly exit: Exit.Exit<unknown, unknown>
  readonly kept: boolean
}

export class Answers {
  constructor(
    private readonly address: Address,
    private readonly secrets: Secrets["Type"],
    private readonly runtime: Runtime.Runtime<never>,
    private readonly outputBytesMax: number
  ) {}

  /** Logs something about the actor. */
  log(effect: Effect.Effect<void>, connection?: ConnectionId): void {
    Runtime.runFork(this.runtime)(Effect.annotateLogs(effect, LogAnnotations.of(this.address, connection)))
  }

  /** Logs a defect under a new id, which is all that the outside learns of it. */
  report(what: string, cause: Cause.Cause<unknown>, connection?: ConnectionId): string {
    const id = this.secrets.next()
    this.log(Effect.annotateLogs(Effect.logError(`${what} died`, cause), { defect: id }), connection)
    return id
  }

  /** The typed error, an interruption, or the id of a defect. */
  outward(what: string, exit: Exit.Exit<unknown, unknown>, connection?: ConnectionId): Exit.Exit<unknown, unknown> {
    if (Exit.isSuccess(exit)) return exit
    const failure = Cause.failureOption(exit.cause)
    if (failure._tag === "Some") return Exit.fail(failure.value)
    if (Cause.isInterruptedOnly(exit.cause)) return Exit.interrupt(FiberId.none)
    return Exit.die(new ServerDefect({ id: this.report(what, exit.cause, connection) }))
  }

  encode(
    { exit: codec, rpc }: Codec.RpcCodec,
    exit: Exit.Exit<unknown, unknown>,
    connection?: ConnectionId
  ): Answer {
    const handler = `the handler of ${this.address.contract}.${rpc._tag}`
    try {
      const encoded = Codec.encodeOrThrow(codec, this.outward(handler, exit, connection))
      return { text: encodeOutput(encoded, codec.what, this.outputBytesMax), exit, kept: Exit.isSuccess(exit) }
    } catch (error) {
      const defect = new ServerDefect({ id: this.report(handler, Cause.die(error), connection) })
      return {
        text: JSON.stringify(Codec.encodeOrThrow(codec, Exit.die(defect))),
        exit: Exit.die(error),
        kept: false
      }
    }
  }
}
