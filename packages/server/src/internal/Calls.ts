/** The calls and subscriptions of clients: decoded, joined with what is known of them, run as turns, answered. */
import * as Headers from "@effect/platform/Headers"
import { parentOf } from "@troupe/contract/CallSpan"
import * as Delivery from "@troupe/contract/Delivery"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as Json from "@troupe/contract/protocol/Json"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import * as Answers from "./Answers.ts"
import type { Forked, Forks } from "./Forks.ts"
import type { Parts } from "./Parts.ts"
import { Request } from "./Request.ts"
import type { ServerConnection } from "./ServerConnection.ts"
import { type CallEntry, lost, type Session } from "./Session.ts"
import { TokenBucket } from "./TokenBucket.ts"
import { nothing, Turn } from "./Turn.ts"
import { Job } from "./TurnLoop.ts"

type MessageOf<Tag extends Frame.ClientMessage["_tag"]> = Extract<Frame.ClientMessage, { readonly _tag: Tag }>

/** The activation that is called. */
export interface CallsOwner
  extends Pick<Parts, "services" | "registration" | "address" | "turns" | "answers" | "recorded" | "subscribers">
{
  readonly forks: Forks
  /** Runs the handler of an rpc. */
  readonly handle: (
    codec: Codec.RpcCodec,
    payload: unknown,
    headers: Headers.Headers
  ) => Effect.Effect<unknown, unknown>
  /** As `handle`, for an rpc whose handler runs beside the turns: what the handler returns. */
  readonly handleForked: (codec: Codec.RpcCodec, payload: unknown, headers: Headers.Headers) => unknown
  /** Something of the session is not needed any more. */
  readonly dispose: (session: Session) => void
}

export class Calls {
  constructor(private readonly owner: CallsOwner) {}

  /** How much of a session's answers may be unread, in bytes, before its calls wait. */
  private get unreadMax(): number {
    return this.owner.services.options.outboxBytesMax
  }

  onMessage(connection: ServerConnection, message: Frame.ClientMessage): void {
    switch (message._tag) {
      case "Request":
        return this.onRequest(connection, message)
      case "Interrupt":
        return this.onInterrupt(connection.session, message.requestId)
      case "Ack":
        return connection.session.calls.get(message.requestId)?.acknowledge(message.index)
      case "Subscribe":
      case "Unsubscribe":
        return this.onSubscription(connection, message)
    }
  }

  /** There is an answer, and it stays until the client has it. Calls of a client that does not read its answers wait. */
  keep(session: Session, entry: CallEntry, answer: string): void {
    if (session.keep(entry, answer, this.unreadMax)) this.owner.turns.hold(session.lane)
  }

  /** The client has the answer of a call. */
  settle(session: Session, entry: CallEntry): void {
    if (session.drop(entry, this.unreadMax)) this.owner.turns.release(session.lane)
    session.settle(entry)
    this.owner.dispose(session)
    this.owner.recorded.settle(entry)
    if (entry.request) this.owner.services.settle(entry.request.made)
  }

  private onRequest(connection: ServerConnection, message: MessageOf<"Request">): void {
    const { id, tag, payload, headers } = message
    const { address, registration, services } = this.owner
    const { depthMax, window } = services.options
    const { codecs: { contract: codec }, observers: { client: observer } } = registration
    const { session } = connection
    const rpc = codec.rpcs.get(tag)
    const reject = (issue: string) => {
      observer.rejected(rpc?.rpc._tag)
      connection.push(Frame.encodeRejected(id, issue))
    }
    const known = session.calls.get(id)
    if (!known && id < session.settledBelow) return reject(`call ${id} was settled before`)
    if (connection.inFlight.size >= window) return connection.violation(`more than ${window} calls are in flight`)
    const expected = session.expected(id)
    if (known) return connection.join(known)
    if (expected === "answered") return
    const sentAgain = expected !== undefined
    if (!rpc) return reject(`${address.contract} has no rpc ${tag}`)
    const unfit = Json.issueOf(payload, depthMax)
    if (unfit) return reject(unfit)
    const decoded = rpc.payload.decode(payload)
    if (Either.isLeft(decoded)) return reject(Codec.describe(decoded.left))
    connection.inFlight.add(id)
    const entry = session.begin(id)
    // an idempotent one may do again what it has done, also elsewhere; one that runs beside the turns has never run
    if (sentAgain && Delivery.isRecorded(rpc)) entry.rememberedUntil = this.rememberedUntil
    entry.observed = observer.begin(address, tag, parentOf(message), { "troupe.connection": connection.id })
    const input = [rpc, decoded.right, headers ? Headers.fromInput(headers) : Headers.empty] as const
    if (!rpc.forked) return this.begin(session, entry, rpc, this.owner.handle(...input))
    this.fork({ session, entry, codec: rpc, handle: () => this.owner.handleForked(...input) })
  }

  /** A call is sent again while its answer is kept for at least a tenth of the retention: so long it has to run. */
  private get rememberedUntil(): number {
    const { clock, store } = this.owner.services
    return clock.unsafeCurrentTimeMillis() + store.retentionMillis * (1 - Delivery.resendShare)
  }

  /** A call begins: if it was the last of this second, the next one waits. */
  private pace(session: Session): void {
    const { services: { after, clock, options: { callsPerSecond } }, turns } = this.owner
    if (callsPerSecond === Infinity) return
    const now = clock.unsafeCurrentTimeMillis()
    session.pace ??= new TokenBucket(callsPerSecond, now)
    const wait = session.pace.take(now)
    if (wait === 0) return
    turns.hold(session.lane)
    after(wait, () => turns.release(session.lane))
  }

  /** The handler starts in its turn, and goes on beside those that follow. */
  private fork(forked: Forked): void {
    const { turns, forks } = this.owner
    const { session, entry } = forked
    const request = entry.request = Request.ofCall(session.id, entry.number, entry.rememberedUntil)
    entry.job = new Job({
      start: () => {
        this.pace(session)
        entry.observed?.started()
        return new Turn(turns, { caller: session.connection, request })
      },
      run: () => forks.start(forked),
      end: (exit, turn) => {
        entry.job = undefined
        turns.complete(turn, exit, () => {})
      },
      removed: () => this.forget(session, entry)
    })
    turns.submit(session.lane, entry.job)
  }

  /** The answer of a call that is not recorded. */
  answerForked(session: Session, entry: CallEntry, text: string): void {
    this.keep(session, entry, text)
    this.answer(session, entry, text, undefined)
  }

  /** It will not run. */
  private forget(session: Session, entry: CallEntry): void {
    entry.observed?.dropped()
    session.forget(entry)
  }

  private begin(
    session: Session,
    entry: CallEntry,
    codec: Codec.RpcCodec,
    handle: Effect.Effect<unknown, unknown>
  ): void {
    const request = entry.request = Request.ofCall(session.id, entry.number, entry.rememberedUntil)
    const job = new Job({
      start: () => {
        this.pace(session)
        return new Turn(this.owner.turns, { caller: session.connection, request, observed: entry.observed })
      },
      run: () => handle,
      end: (exit, turn) => this.onEnd(session, entry, codec, exit, turn),
      removed: () => this.forget(session, entry)
    })
    entry.job = job
    this.owner.turns.submit(session.lane, job)
  }

  private onEnd(
    session: Session,
    entry: CallEntry,
    codec: Codec.RpcCodec,
    exit: Exit.Exit<unknown, unknown>,
    turn: Turn
  ): void {
    if (turn.late) return this.onLate(session, entry, exit, turn)
    const { turns, answers } = this.owner
    const { text, kept, exit: ended } = answers.encode(codec, exit, turn.caller?.id)
    this.keep(session, entry, text)
    const cancelled = !kept && entry.job?.interruptRequested === true
    turns.completeCall(turn, {
      reply: { session: session.id, call: entry.number, exit: text },
      exit: ended,
      kept,
      recordable: !cancelled && Delivery.isRecorded(codec),
      answer: (segment) => this.answer(session, entry, text, segment),
      abandon: () => {}
    })
  }

  /** Nobody knows how it has ended. That is recorded: if it ran later after all, it could come after those behind it. */
  private onLate(session: Session, entry: CallEntry, exit: Exit.Exit<unknown, unknown>, turn: Turn): void {
    this.owner.turns.completeCall(turn, {
      reply: { session: session.id, call: entry.number, exit: lost },
      exit,
      kept: false,
      recordable: true,
      answer: (segment) => this.answer(session, entry, lost, segment),
      abandon: () => {}
    })
  }

  private answer(session: Session, entry: CallEntry, text: string, segment: number | undefined): void {
    const awaited = session.answer(entry, text, segment)
    if (awaited) session.connection?.reply(entry)
    if (!awaited || session.gone) this.settle(session, entry)
  }

  /** The caller was interrupted. It is answered, so that its credit is given back. */
  private onInterrupt(session: Session, number: number): void {
    const entry = session.calls.get(number)
    if (entry?.interrupt) return entry.interrupt()
    if (!entry?.job) return
    const queued = entry.job.phase === "queued"
    this.owner.turns.interrupt(entry.job)
    if (!queued) return
    const cancelled = session.begin(number)
    this.owner.turns.pipeline.push({
      changes: nothing,
      reply: undefined,
      release: () => this.answer(session, cancelled, Answers.interrupted, undefined),
      abandon: () => {}
    })
  }

  /** Takes its place among the session's calls. */
  private onSubscription(
    connection: ServerConnection,
    { _tag, event }: MessageOf<"Subscribe"> | MessageOf<"Unsubscribe">
  ): void {
    const { address, registration, subscribers, turns } = this.owner
    const { events } = registration.codecs.contract
    const subscribing = _tag === "Subscribe"
    if (!events.has(event)) {
      if (subscribing)
        connection.push(Frame.encodeSubscribeRejected(event, `${address.contract} has no event ${event}`))
      return
    }
    // they have no credit: of one event a client may unsubscribe and subscribe, and then it waits for the answer
    const waitingMax = events.size * 2
    if (connection.subscribing.size >= waitingMax) {
      return connection.violation(`more than ${waitingMax} subscriptions wait for their turn`)
    }
    let answer: string | undefined
    const job = new Job({
      start: () => {
        connection.subscribing.delete(job)
        if (!subscribing) subscribers.remove(connection, event)
        else answer = subscribers.add(connection, event) ?? Frame.encodeSubscribed(event)
        return new Turn(turns, { caller: connection })
      },
      run: () => Effect.void,
      end: (exit, turn) =>
        turns.complete(turn, exit, () => {
          if (answer !== undefined) connection.push(answer)
        }),
      removed: () => {}
    })
    connection.subscribing.add(job)
    turns.submit(connection.session.lane, job)
  }
}
