/**
 * Calls from backends and from other actors. A call that may be made again, because the turn that makes it may run again,
 * comes with an id: it joins what is known under it, and its answer is kept until the caller's own call is settled.
 */
import type * as Headers from "@effect/platform/Headers"
import { ActorOverloaded, CallTimeout } from "@troupe/contract/ActorError"
import * as Callback from "@troupe/contract/Callback"
import * as Delivery from "@troupe/contract/Delivery"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Json from "@troupe/contract/protocol/Json"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Tracer from "effect/Tracer"
import { forkBeside } from "./Forks.ts"
import type { Observer } from "./Observed.ts"
import type { Parts } from "./Parts.ts"
import { Request } from "./Request.ts"
import { Retained } from "./Retained.ts"
import { CallEntry, only } from "./Session.ts"
import { Turn } from "./Turn.ts"
import { Job, Lane } from "./TurnLoop.ts"
import type { Wait } from "./WaitGraph.ts"

/** A call as the host hands it over. */
export interface InternalCall {
  readonly codec: Codec.RpcCodec
  readonly payload: unknown
  /** The same, as its schema encodes it. */
  readonly encoded: unknown
  readonly headers: Headers.Headers
  /** Its name, if it may be made again: by a turn that runs again, or by itself. */
  readonly id: string | undefined
  /** See `Request.rememberedUntil`. */
  readonly rememberedUntil: number
  /** See `Request.retried`. */
  readonly retried: boolean
  /** Of who makes it, if somebody looks at spans. */
  readonly span: Tracer.AnySpan | undefined
  /** Of the turn that makes it, if it waits for the answer. */
  readonly wait: Wait | undefined
}

/** The activation has ended before it could answer. */
export class Abandoned {
  readonly _tag = "Abandoned"

  /** Whether it may have run. What a turn has done that did not end is gone with it. */
  constructor(readonly sent: "no" | "maybe") {}
}

const abandoned = new Abandoned("no")

/** It ran beside the turns, and what it did is not taken back. */
const begun = new Abandoned("maybe")

/** The call may have been made before, so long ago that what is known of it may have been deleted. It has not been run. */
export class Forgotten {
  readonly _tag = "Forgotten"
}

const forgotten = new Forgotten()

/** The activation that is called. */
export interface InternalCallsOwner
  extends Pick<Parts, "services" | "registration" | "address" | "scope" | "turns" | "answers" | "recorded">
{
  /** Runs the handler of an internal rpc. */
  readonly handleInternal: (
    codec: Codec.RpcCodec,
    payload: unknown,
    headers: Headers.Headers
  ) => Effect.Effect<unknown, unknown>
}

/** Somebody who waits for an answer. */
interface Waiting {
  readonly call: InternalCall
  readonly resume: (answer: Effect.Effect<unknown, unknown>) => void
}

/** A call with an id, until it is settled. */
class Known extends CallEntry {
  readonly waiting = new Set<Waiting>()
  /** The caller will not ask again. */
  settled = false
  /** Nobody has waited for it any more, and it has been interrupted. */
  cancelled = false

  constructor(
    readonly id: string,
    override readonly request: Request
  ) {
    super(only)
  }

  end(answer: (waiting: Waiting) => Effect.Effect<unknown, unknown>): void {
    for (const waiting of this.waiting) waiting.resume(answer(waiting))
    this.waiting.clear()
  }
}

/** Says to who waits whether the call has had its turn. */
const showWait = (wait: Wait | undefined, handled: boolean): void => {
  if (wait) wait.handled = handled
}

const decode = ({ exit: codec }: Codec.RpcCodec, text: string): Exit.Exit<unknown, unknown> => {
  const decoded = codec.decode(Json.decode(text, codec.what))
  return Either.isRight(decoded)
    ? decoded.right as Exit.Exit<unknown, unknown>
    : Exit.die(new Error(`${codec.what} does not decode: ${Codec.describeSafely(decoded.left)}`))
}

export class InternalCalls {
  private readonly lane = new Lane()
  private readonly known: Retained<Known>
  private pending = 0

  constructor(private readonly owner: InternalCallsOwner) {
    const { clock, store } = owner.services
    // those who should say that they will not ask again may be lost
    this.known = new Retained(clock, store.retentionMillis, {
      isOver: ({ exit }) => exit !== undefined,
      onExpired: (known) => this.release(known)
    })
  }

  /** Fails with what the handler fails with, or because there is no room, or because the activation has ended. */
  call(call: InternalCall): Effect.Effect<unknown, unknown> {
    return Effect.acquireUseRelease(
      Effect.sync(() => this.pending++),
      () =>
        call.codec.forked
          ? this.callForked(call)
          : call.id !== undefined && Delivery.isRecorded(call.codec)
          ? this.callAgain(call, call.id)
          : this.callOnce(call),
      () => Effect.sync(() => this.pending--)
    )
  }

  /** The caller will not make the call again: its answer is not needed any more. */
  settle(id: string): void {
    const known = this.known.get(id) ?? this.fromRecorded(id)
    if (!known) return
    known.settled = true
    if (known.exit === undefined) return
    this.forget(known)
    this.release(known)
  }

  /** Its answer is not needed any more, nor are those of the calls that were made for it. */
  private release(known: Known): void {
    this.owner.recorded.settle(known)
    this.owner.services.settle(known.request.made)
  }

  /** The answers that are kept, as recorded ones. */
  *answered(): Iterable<[session: string, entry: CallEntry]> {
    for (const [id, known] of this.known) if (known.exit !== undefined) yield [id, known]
  }

  private get now(): number {
    return this.owner.services.clock.unsafeCurrentTimeMillis()
  }

  private get observer(): Observer {
    return this.owner.registration.observers.internal
  }

  /** Why a call that would have to be run is refused. What is known already is answered. */
  private get overload(): ActorOverloaded | undefined {
    const { address, services } = this.owner
    const capacity = services.options.mailboxMax
    return this.pending > capacity ? new ActorOverloaded({ address, capacity }) : undefined
  }

  /** The handler starts in its turn, and goes on beside those that follow. */
  private callForked({ codec, payload, headers, span }: InternalCall): Effect.Effect<unknown, unknown> {
    const { owner, observer } = this
    const { address, turns, services, scope } = owner
    const { overload } = this
    if (overload) return overload
    const observed = observer.begin(address, codec.rpc._tag, span)
    const handled = observed.span
      ? Effect.withParentSpan(owner.handleInternal(codec, payload, headers), observed.span)
      : owner.handleInternal(codec, payload, headers)
    const request = Request.once(services.secrets.next)
    let handler: Fiber.RuntimeFiber<unknown, unknown> | undefined
    // so that it begins before the turns that follow
    const fork = Effect.suspend(() => {
      observed.started()
      return forkBeside(handled, scope)
    }).pipe(Effect.flatMap((fiber) => {
      handler = fiber
      return Effect.as(Effect.yieldNow(), fiber)
    }))
    return turns.runIn(this.lane, { request }, fork).pipe(
      Effect.flatMap(Fiber.await),
      Effect.tap(() => Effect.sync(observed.ended)),
      Effect.flatMap((exit) => Effect.as(turns.committed, exit)),
      Effect.onInterrupt(() => handler ? Fiber.interruptFork(handler) : Effect.void),
      // what is interrupted with the activation is not the caller
      Effect.exit,
      Effect.flatMap((answer) => {
        const exit = Exit.flatten(answer)
        if (Exit.isSuccess(answer)) observed.answered(exit)
        return this.outward(codec, exit, handler ? begun : abandoned)
      }),
      Effect.ensuring(Effect.sync(observed.dropped))
    )
  }

  private callOnce({ codec, headers, id, payload, span, wait }: InternalCall): Effect.Effect<unknown, unknown> {
    const { owner, observer } = this
    const { turns, address, services } = owner
    const { overload } = this
    if (overload) return overload
    const request = id === undefined ? Request.once(services.secrets.next) : Request.ofRepeated(id)
    const afterMillis = services.options.callTimeoutMillis
    const observed = observer.begin(address, codec.rpc._tag, span)
    const handle = owner.handleInternal(codec, payload, headers)
    const handled = Effect.ensuring(handle, Effect.sync(() => showWait(wait, true)))
    const turn = turns.runIn(this.lane, { request, observed }, wait ? handled : handle, {
      expiry: services.callTimeouts,
      onLate: () => new CallTimeout({ address, afterMillis })
    })
    return Effect.flatMap(Effect.exit(turn), (exit) => this.outward(codec, exit))
  }

  private outward(
    codec: Codec.RpcCodec,
    exit: Exit.Exit<unknown, unknown>,
    otherwise = abandoned
  ): Effect.Effect<unknown, unknown> {
    const { turns, answers, address } = this.owner
    return turns.stopped && Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)
      ? Effect.fail(otherwise)
      : answers.outward(`the handler of ${address.contract}.${codec.rpc._tag}`, exit)
  }

  private callAgain(call: InternalCall, id: string): Effect.Effect<unknown, unknown> {
    const loaded = Effect.mapError(this.owner.recorded.load, () => abandoned)
    return Effect.zipRight(loaded, this.join(call, id))
  }

  /** Waits for the answer of what is known under an id, or begins it. */
  private join(call: InternalCall, id: string): Effect.Effect<unknown, unknown> {
    return Callback.async<unknown, unknown>((resume) => {
      const found = this.find(call, id)
      const { overload } = this
      if (!found && overload) return resume(overload)
      if (!found && this.now > call.rememberedUntil) return resume(Effect.fail(forgotten))
      const known = found ?? this.begin(call, id)
      showWait(call.wait, known.job?.phase === "ended")
      // whoever asks again needs the answer again
      known.settled = false
      if (known.exit !== undefined) return resume(decode(call.codec, known.exit))
      const waiting = { call, resume }
      known.waiting.add(waiting)
      return () => {
        known.waiting.delete(waiting)
        if (known.waiting.size > 0 || !known.job) return
        known.cancelled = true
        this.owner.turns.interrupt(known.job)
      }
    })
  }

  /** What is known under an id. A failure is forgotten, if the call is to be run again then. */
  private find({ retried }: InternalCall, id: string): Known | undefined {
    const known = this.known.get(id) ?? this.fromRecorded(id)
    if (!retried || known?.exit === undefined || JSON.parse(known.exit)._tag === "Success") return known
    this.settle(id)
    return undefined
  }

  private fromRecorded(id: string): Known | undefined {
    const recorded = this.owner.recorded.take(id, only)
    if (!recorded) return undefined
    const known = new Known(id, Request.ofId(id, Infinity, false))
    known.exit = recorded.exit
    known.segment = recorded.segment
    this.known.set(id, known)
    return known
  }

  private begin({ codec, payload, headers, rememberedUntil, retried, span }: InternalCall, id: string): Known {
    const { owner, observer } = this
    const { address, turns } = owner
    const request = Request.ofId(id, rememberedUntil, retried)
    const known = new Known(id, request)
    const observed = known.observed = observer.begin(address, codec.rpc._tag, span)
    known.job = new Job({
      start: () => new Turn(turns, { request, observed }),
      run: () => owner.handleInternal(codec, payload, headers),
      end: (exit, turn) => this.onEnd(known, codec, exit, turn),
      removed: () => this.onAbandoned(known)
    })
    this.known.set(id, known)
    turns.submit(this.lane, known.job)
    return known
  }

  private onEnd(known: Known, codec: Codec.RpcCodec, exit: Exit.Exit<unknown, unknown>, turn: Turn): void {
    const { turns, answers } = this.owner
    for (const { call } of known.waiting) showWait(call.wait, true)
    if (turn.late) {
      known.observed?.dropped()
      this.forget(known)
      return known.end(({ call }) => this.join(call, known.id))
    }
    const { text, kept, exit: ended } = answers.encode(codec, exit)
    if (!kept && (known.cancelled || turns.stopped)) {
      known.observed?.dropped()
      // who has asked again meanwhile did not mean this run
      this.forget(known)
      return known.end(({ call }) => turns.stopped ? Effect.fail(abandoned) : this.join(call, known.id))
    }
    turns.completeCall(turn, {
      reply: { session: known.id, call: only, exit: text },
      exit: ended,
      kept,
      recordable: true,
      answer: (segment) => this.onAnswered(known, codec, text, segment),
      abandon: () => this.onAbandoned(known)
    })
  }

  private onAnswered(known: Known, codec: Codec.RpcCodec, text: string, segment: number | undefined): void {
    known.exit = text
    known.segment = segment
    known.job = undefined
    known.end(() => decode(codec, text))
    // what had no consequence may run again
    if (segment === undefined && this.owner.turns.durable) this.forget(known)
    if (known.settled) this.settle(known.id)
  }

  private onAbandoned(known: Known): void {
    known.observed?.dropped()
    this.forget(known)
    known.end(() => Effect.fail(abandoned))
  }

  private forget(known: Known): void {
    if (this.known.get(known.id) === known) this.known.delete(known.id)
  }
}
