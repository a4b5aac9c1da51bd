/**
 * One session with an actor, as its users see it: calls that end, events that go on, and a status. All of it runs in
 * callbacks; only the evaluation of the parameters and waiting to open anew need a fiber.
 */
import * as Headers from "@effect/platform/Headers"
import * as Callback from "@troupe/contract/Callback"
import { CallSpan } from "@troupe/contract/CallSpan"
import { CallRejected, ConnectionClosed, type ConnectionError } from "@troupe/contract/ConnectionError"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as RpcObject from "@troupe/contract/protocol/RpcObject"
import { Watched } from "@troupe/contract/Watched"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Stream from "effect/Stream"
import * as ConnectionStatus from "../ConnectionStatus.ts"
import { type Call, Calls } from "./Calls.ts"
import type { ClientServices } from "./ClientServices.ts"
import * as Counters from "./Counters.ts"
import { type EventBuffer, makeBuffer } from "./EventBuffer.ts"
import type { EventReader } from "./EventReader.ts"
import { Opening, type OpeningOwner, type Target } from "./Opening.ts"
import type { OpenLink } from "./OpenLink.ts"
import { StreamReader } from "./StreamReader.ts"
import { Subscriptions, type SubscriptionsOwner } from "./Subscriptions.ts"

type CallOptions = RpcObject.CallOptions

/** What may be said beside the payload of a call whose answer is a promise. */
export interface PromiseOptions extends Pick<CallOptions, "headers"> {
  /** Cancels the call, as an interruption of its effect does, and rejects its promise with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** A call that is made now. */
interface Beginning extends Pick<Call, "codec" | "end" | "span"> {
  readonly payload: unknown
  readonly options: CallOptions | undefined
  readonly reader?: StreamReader
}

/** Who keeps connections. */
export interface Keeper {
  /** It has ended for good. */
  readonly remove: (connection: ClientConnection) => void
}

export class ClientConnection implements OpeningOwner, SubscriptionsOwner {
  readonly status = new Watched<ConnectionStatus.ConnectionStatus>(ConnectionStatus.Connecting())
  readonly pending = new Watched(0)
  /** Told when the first connection stands, or has been refused. */
  private onOpened: ((exit: Exit.Exit<void, unknown>) => void) | undefined
  readonly codec: Codec.ContractCodec
  readonly calls: Calls
  readonly subscriptions: Subscriptions
  private readonly opening: Opening

  constructor(
    readonly services: ClientServices,
    readonly target: Target,
    private readonly keeper: Keeper
  ) {
    this.codec = Codec.ofContract(target.contract)
    this.calls = new Calls(services.bounds, this.pending)
    this.subscriptions = new Subscriptions(target.events, this)
    this.opening = new Opening(this)
  }

  private get address() {
    const { contract: { contract }, key } = this.target
    return { contract, key }
  }

  private get closed(): boolean {
    return this.status.current._tag === "Closed"
  }

  setStatus(status: ConnectionStatus.ConnectionStatus): void {
    if (this.closed) return
    this.show(status)
    if (status._tag !== "Connected") return
    Counters.connection(this.target.contract.contract, status.resumed ? "resumed" : "opened")
    this.opened(Exit.void)
  }

  private opened(exit: Exit.Exit<void, unknown>): void {
    const { onOpened } = this
    this.onOpened = undefined
    onOpened?.(exit)
  }

  private show(status: ConnectionStatus.ConnectionStatus): void {
    this.status.set(status)
    if (status._tag === "Waiting") this.calls.onWaiting(status.attempt, status.cause._tag)
  }

  // --- calls and events ----------------------------------------------------------------------------------------------

  call(codec: Codec.RpcCodec, payload: unknown, options: CallOptions | undefined): Effect.Effect<unknown, unknown> {
    return CallSpan.use(this.address, codec.rpc._tag, (span) =>
      Callback.async((resume) => {
        const call = this.begin({ codec, payload, options, span, end: options?.discard ? () => {} : resume })
        if (Exit.isExit(call)) return resume(call)
        if (options?.discard) return resume(Effect.void)
        return () => this.cancel(call)
      }))
  }

  /** The same for a promise: without a fiber, unless somebody looks at spans. */
  callPromise(codec: Codec.RpcCodec, payload: unknown, { headers, signal }: PromiseOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const made = RpcObject.construct(codec, payload)
      let cancel = () => {}
      const abort = () => {
        reject(signal!.reason)
        cancel()
      }
      const settle = (exit: Exit.Exit<unknown, unknown>) => {
        signal?.removeEventListener("abort", abort)
        if (Exit.isSuccess(exit)) resolve(exit.value)
        else reject(Cause.squash(exit.cause))
      }
      signal?.addEventListener("abort", abort, { once: true })
      try {
        cancel = this.start(codec, made, { headers }, settle)
      } catch (defect) {
        settle(Exit.die(defect))
      }
    })
  }

  /** Makes a call, and returns what cancels it. It may have ended by then. */
  private start(
    codec: Codec.RpcCodec,
    payload: unknown,
    options: CallOptions,
    end: (exit: Exit.Exit<unknown, unknown>) => void
  ): () => void {
    const { runtime, traced } = this.services
    if (traced) return Runtime.runCallback(runtime)(this.call(codec, payload, options), { onExit: end })
    const call = this.begin({ codec, payload, options, end, span: undefined })
    if (!Exit.isExit(call)) return () => this.cancel(call)
    end(call)
    return () => {}
  }

  /** The values of a stream rpc. The call ends with the stream, whoever ends it. */
  stream(codec: Codec.RpcCodec, payload: unknown, options: CallOptions | undefined): Stream.Stream<unknown, unknown> {
    return Stream.unwrapScoped(Effect.flatMap(CallSpan.scoped(this.address, codec.rpc._tag), (span) => {
      let call: Call | undefined
      const reader = new StreamReader((index) => {
        if (call) this.opening.conversation?.send(Frame.encodeStreamAck(call.number, index))
      })
      const end = (exit: Exit.Exit<unknown, unknown>) => {
        span?.end(exit)
        reader.end(exit)
      }
      const begin = Effect.suspend((): Exit.Exit<Call, ConnectionError> => {
        const begun = this.begin({ codec, payload, options, span, end, reader })
        if (Exit.isExit(begun)) return begun
        call = begun
        return Exit.succeed(begun)
      })
      return Effect.as(Effect.acquireRelease(begin, (call) => Effect.sync(() => this.cancel(call))), reader.stream)
    }))
  }

  /** Puts a call among those that wait to be sent, or says why not. */
  private begin({ codec, end, options, payload, reader, span }: Beginning): Call | Exit.Exit<never, ConnectionError> {
    if (this.closed) return Exit.fail(this.closedError())
    const number = this.calls.next
    const encoded = encode(number, codec, payload, options, span)
    if (Either.isLeft(encoded)) return Exit.fail(new CallRejected({ issue: encoded.left, sent: "no" }))
    const text = encoded.right
    const bytes = Bytes.of(text)
    const full = this.calls.full(bytes)
    if (full) return Exit.fail(full)
    this.calls.next++
    const call: Call = { number, codec, text, bytes, end, reader, span, sent: undefined, cancelled: false }
    const { conversation } = this.opening
    if (conversation) conversation.call(call)
    else this.calls.add(call)
    return call
  }

  /** The caller was interrupted. A call that was sent is cancelled at the server, and never sent again. */
  private cancel(call: Call): void {
    if (this.calls.get(call.number) !== call) return
    this.calls.cancel(call)
    if (call.sent) this.opening.withdraw(call.number)
  }

  /** What a reader of the event reads from. */
  makeBuffer(event: string): EventBuffer {
    const isLatest = this.codec.events.get(event)?.latest === true
    return makeBuffer(isLatest, this.services.eventBufferMax, () => Counters.gap(this.target.contract.contract))
  }

  /** Without a connection nobody needs to be told: a new one is opened with what is wanted then. */
  tell(tag: "Subscribe" | "Unsubscribe", event: string): void {
    this.opening.conversation?.send(Frame.encodeSubscription(tag, event))
  }

  /** Adds a reader of an event; `ready` is called when it is live. */
  subscribe(event: string, ready: (exit: Exit.Exit<void, ConnectionError>) => void): EventReader | undefined {
    if (!this.closed) return this.subscriptions.add(event, ready)
    ready(Exit.fail(this.closedError()))
    return undefined
  }

  unsubscribe(event: string, reader: EventReader): void {
    this.subscriptions.remove(event, reader)
  }

  /** Adds a listener to an event. The promise is fulfilled when it is live, with what removes it. */
  listen(
    event: string,
    listener: (item: unknown) => void,
    ended?: (error: ConnectionError) => void
  ): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const remove = () => reader && this.unsubscribe(event, reader)
      let live = false
      const reader = this.subscribe(
        event,
        Exit.match({
          onFailure: (cause) => reject(Cause.squash(cause)),
          onSuccess: () => {
            live = true
            resolve(remove)
          }
        })
      )
      // the promise tells of one that never was
      reader?.listen(listener, (error) => live && ended?.(error))
    })
  }

  // --- the link ------------------------------------------------------------------------------------------------------

  onLink(link: OpenLink): void {
    if (!this.closed) this.opening.onLink(link)
  }

  /** The server of the link has said what it takes. */
  onWelcome(): void {
    if (!this.closed) this.opening.onWelcome()
  }

  onLinkLost(): void {
    if (!this.closed) this.opening.onLinkLost()
  }

  /** What has failed may go well now. */
  onOpportunity(): void {
    if (!this.closed) this.opening.onOpportunity()
  }

  /** What the link does while the connection has none. */
  onLinkStatus(status: ConnectionStatus.ConnectionStatus): void {
    if (status._tag === "Closed") this.close(status.reason)
    else if (!this.closed && status._tag !== "Connected") this.show(status)
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  /** Ends the session for good: calls, streams and all that waits are settled. */
  close(reason: DisconnectReason, cause?: Cause.Cause<unknown>): void {
    if (this.closed) return
    this.opening.stop(reason)
    this.status.set(ConnectionStatus.Closed({ reason }))
    this.calls.close(reason)
    // mostly nobody waits, and an error costs more than the rest of this
    this.subscriptions.close(() => this.closedError())
    if (this.onOpened) this.opened(cause ? Exit.failCause(cause) : Exit.fail(this.closedError()))
    this.keeper.remove(this)
  }

  private closedError(): ConnectionClosed {
    const { current } = this.status
    const reason: DisconnectReason = current._tag === "Closed" ? current.reason : { _tag: "ClientClosed" }
    return new ConnectionClosed({ reason, sent: "no" })
  }

  /** Waits for the first connection, which `begin` asks for. */
  open(begin: () => void): Effect.Effect<void, unknown> {
    return Callback.async((resume) => {
      // its scope may have been closed before
      if (this.closed) return resume(Exit.fail(this.closedError()))
      this.onOpened = resume
      begin()
      return () => this.close({ _tag: "ClientClosed" })
    })
  }

  /** Ends the session. */
  get end(): Effect.Effect<void> {
    return Effect.sync(() => this.close({ _tag: "ClientClosed" }))
  }
}

/** The text of a call, or why there is none: a value may be of the right type, and not what its schema asks for. */
const encode = (
  number: number,
  { payload: codec, rpc: { _tag: tag } }: Codec.RpcCodec,
  payload: unknown,
  options: CallOptions | undefined,
  span: CallSpan | undefined
): Either.Either<string, string> => {
  try {
    const encoded = codec.encode(payload)
    if (Either.isLeft(encoded)) return Either.left(`${codec.what} does not encode: ${Codec.describe(encoded.left)}`)
    const headers = options?.headers && entriesOf(options.headers)
    return Either.right(Frame.encodeRequest(number, tag, encoded.right, headers, span?.trace))
  } catch (error) {
    return Either.left(`${codec.what} is not JSON: ${String(error)}`)
  }
}

/** Texts, whatever their types say: a frame that does not decode costs the link. */
const entriesOf = (headers: Headers.Input): ReadonlyArray<readonly [string, string]> =>
  Object.entries(Headers.fromInput(headers)).map(([name, value]) => [name, String(value)])
