/** The calls of requests: how many there may be, and for how long. */
import { ActorOverloaded } from "@troupe/contract/ActorError"
import { type Address, idOf } from "@troupe/contract/Address"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Gateway } from "../Gateway.ts"
import { CallCounts } from "./CallCounts.ts"
import { ShortConnection, type ShortConnectionOptions, type StockResponse } from "./ShortConnection.ts"

export interface HttpCallsOptions {
  readonly gateway: Gateway
  readonly nextId: () => string
  /** How many calls may be in flight at one actor. */
  readonly mailboxMax: number
  readonly timeoutMillis: number
}

/** What differs from request to request. */
export type RequestCalls = Pick<ShortConnectionOptions, "open" | "request" | "requests" | "collectedBytesMax">

export class HttpCalls {
  private readonly counts: CallCounts

  constructor(private readonly options: HttpCallsOptions) {
    this.counts = new CallCounts(options.mailboxMax)
  }

  /** Makes the calls of a request, until its scope closes. Fails, and makes none, if there is no room for all. */
  call(
    address: Address,
    calls: RequestCalls
  ): Effect.Effect<Stream.Stream<StockResponse>, ActorOverloaded, Scope.Scope> {
    return Mailbox.make<string>().pipe(
      Effect.flatMap((texts) =>
        Effect.acquireRelease(
          Effect.suspend(() => {
            const connection = this.connect(idOf(address), calls, texts)
            return connection
              ? Effect.succeed(connection)
              : new ActorOverloaded({ address, capacity: this.options.mailboxMax })
          }),
          (connection) => Effect.sync(connection.close)
        )
      ),
      Effect.tap((connection) => Effect.forkScoped(this.expire(connection))),
      Effect.map(({ next }) => Stream.repeatEffectChunkOption(next))
    )
  }

  private connect(to: string, calls: RequestCalls, texts: Mailbox.Mailbox<string>): ShortConnection | undefined {
    const { gateway, nextId } = this.options
    const count = calls.requests.length
    if (!this.counts.add(to, count)) return undefined
    return new ShortConnection({ ...calls, gateway, texts, nextId, onEnd: () => this.counts.remove(to, count) })
  }

  private expire(connection: ShortConnection): Effect.Effect<void> {
    const max = this.options.timeoutMillis
    const fail = Effect.sync(() => connection.fail({ _tag: "LimitReached", limit: "requestTimeout", max }))
    return Effect.delay(fail, max)
  }
}
