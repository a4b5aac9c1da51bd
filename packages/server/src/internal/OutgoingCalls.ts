/**
 * Calls of backends and of actors to actors, as who makes them sees it: under which name, whether somebody would wait for
 * ever, how often, and for how long.
 */
import * as Headers from "@effect/platform/Headers"
import { ActorUnavailable, CallCycle, CallTimeout } from "@troupe/contract/ActorError"
import * as Address from "@troupe/contract/Address"
import type { Fork } from "@troupe/contract/Background"
import { CallSpan } from "@troupe/contract/CallSpan"
import type { Any } from "@troupe/contract/Definition"
import * as Delivery from "@troupe/contract/Delivery"
import type { Directory } from "@troupe/contract/Directory"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as RpcObject from "@troupe/contract/protocol/RpcObject"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { Abandoned, Forgotten, type InternalCall } from "./InternalCalls.ts"
import * as LogAnnotations from "./LogAnnotations.ts"
import type { MadeCall, Request } from "./Request.ts"
import type { Services } from "./Services.ts"
import { ofFiber, type Turn } from "./Turn.ts"
import { Turns } from "./Turns.ts"
import { type Wait, WaitGraph } from "./WaitGraph.ts"

/** An activation that is called. */
export interface Callee {
  readonly callInternal: (call: InternalCall) => Effect.Effect<unknown, unknown>
  readonly release: () => void
}

export interface OutgoingCallsOptions {
  readonly services: Services
  readonly fork: Fork
  /** Completed when a contract whose implementation has left has another one; undefined if it has not left. */
  readonly departed: (contract: string) => Deferred.Deferred<void> | undefined
  /** The activation of an actor, held, if it is in memory. */
  readonly holdAwake: (address: Address.Address) => Callee | undefined
  /** Makes a call, once. Fails with `Abandoned` if the activation that had it has ended. */
  readonly call: (address: Address.Address, call: InternalCall) => Effect.Effect<unknown, unknown>
  /** Tells an actor, if it is awake, that a call will not be made again. */
  readonly settle: (address: Address.Address, id: string) => void
}

export class OutgoingCalls {
  private readonly waits = new WaitGraph()

  constructor(private readonly options: OutgoingCallsOptions) {}

  /** The actors of a contract, for who calls them. */
  directory(contract: Any): Directory<any> {
    const codecs = Codec.ofContract(contract).internal
    return {
      get: (key) =>
        RpcObject.make(codecs, (codec, payload, options) => {
          const issue = Address.keyIssue(key, this.options.services.options.keyBytesMax)
          if (issue) return Effect.dieMessage(issue)
          // its handler relies on what the schema says
          const encoded = Codec.encodeOrThrow(codec.payload, payload)
          const headers = options?.headers ? Headers.fromInput(options.headers) : Headers.empty
          const callee = Address.make(contract.contract, key)
          return CallSpan.use(callee, codec.rpc._tag, (span) => {
            const alone = { rememberedUntil: Infinity, retried: false, wait: undefined }
            const call = { codec, payload, encoded, headers, span: span?.span, id: this.nameOf(codec), ...alone }
            return this.call(callee, call, options?.discard !== true)
          })
        }) as never
    }
  }

  /** The name of a call that is not a part of a turn that may run again: it has one if it is made again by itself. */
  private nameOf({ forked, rpc }: Codec.RpcCodec): string | undefined {
    return !forked && Delivery.of(rpc) === "idempotent" ? this.options.services.secrets.next() : undefined
  }

  /** Makes a call. Unless the answer is awaited, the call goes on by itself. */
  private call(callee: Address.Address, call: InternalCall, awaited: boolean): Effect.Effect<unknown, unknown> {
    return Effect.withFiberRuntime((fiber) => {
      const turn = ofFiber(fiber)
      if (turn?.owner instanceof Turns) {
        if (!awaited && isLive(turn)) return Effect.sync(() => this.stage(turn, callee, call))
        if (this.isForgotten(turn, turn.owner, call)) return giveUp(turn)
      }
      const sent = turn?.owner instanceof Turns
        ? this.callFromTurn(turn, turn.owner, callee, call)
        : this.send(callee, call)
      return awaited ? sent : Effect.asVoid(Effect.forkDaemon(sent))
    })
  }

  /** The call leaves with the events of the turn, when that is durable: then the turn is not run again. */
  private stage(turn: Turn, callee: Address.Address, call: InternalCall): void {
    turn.calledOthers = true
    turn.outputs.push(() => this.options.fork(Effect.ignore(this.send(callee, call))))
  }

  /**
   * A call that is made in a turn leaves only when everything before that turn is durable. The caller's actor is held up
   * until the answer is there.
   */
  private callFromTurn(
    turn: Turn,
    caller: Turns,
    callee: Address.Address,
    call: InternalCall
  ): Effect.Effect<unknown, unknown> {
    if (!isLive(turn)) return Effect.zipRight(caller.committed, this.send(callee, call))
    turn.calledOthers = true
    return this.waiting(turn, caller.address, callee, (wait) => {
      const made = { ...call, wait }
      const sent = this.isRepeatable(turn, caller, made)
        ? Effect.catchIf(this.sendNamed(turn.request, callee, made), isForgotten, () => giveUp(turn))
        : this.sendFromTurn(callee, made)
      return Effect.zipRight(caller.committed, sent)
    })
  }

  /** The turn waits for what it sends, unless it would wait for ever. */
  private waiting(
    turn: Turn,
    caller: Address.Address,
    callee: Address.Address,
    send: (wait: Wait) => Effect.Effect<unknown, unknown>
  ): Effect.Effect<unknown, unknown> {
    return Effect.acquireUseRelease(
      Effect.suspend(() => {
        const path = this.waits.cycle(caller, callee)
        return path ? new CallCycle({ path }) : Effect.succeed(this.waits.begin(caller, turn, callee))
      }),
      send,
      (wait) => Effect.sync(() => this.waits.end(caller, wait))
    )
  }

  /** Whether the turn that makes the call may run again, and is to make the same call then. */
  private isRepeatable(
    turn: Turn,
    caller: Turns,
    { codec }: InternalCall
  ): turn is Turn & { readonly request: Request } {
    return turn.request?.repeatable === true && caller.durable && !codec.forked
      && Delivery.of(codec.rpc) !== "at-most-once"
  }

  /** Whether the turn may have been run before, and have made this call, so long ago that its callee may have forgotten. */
  private isForgotten(turn: Turn, caller: Turns, call: InternalCall): boolean {
    const now = this.options.services.clock.unsafeCurrentTimeMillis()
    return isLive(turn) && this.isRepeatable(turn, caller, call) && Delivery.isRecorded(call.codec)
      && now > turn.request.rememberedUntil
  }

  /** The callee remembers the call under its name until it is told that it will not be made again. */
  private sendNamed(request: Request, callee: Address.Address, call: InternalCall): Effect.Effect<unknown, unknown> {
    const { rememberedUntil, retried } = request
    const id = request.derive(callee, call.codec.rpc._tag, JSON.stringify(call.encoded) ?? "")
    const sent = this.sendFromTurn(callee, { ...call, id, rememberedUntil, retried })
    if (!Delivery.isRecorded(call.codec)) return sent
    const made = request.begin(callee, id)
    return Effect.ensuring(
      sent,
      Effect.sync(() => {
        made.ended = true
        if (made.settled) this.settle([made])
      })
    )
  }

  /**
   * When a host shuts down, the callee's implementation may leave before the caller's. The turn must not end with that: its
   * answer would be recorded, and stay. It waits, until it is cut off with its own actor and so runs again elsewhere.
   */
  private sendFromTurn(callee: Address.Address, call: InternalCall): Effect.Effect<unknown, unknown> {
    return Effect.catchAll(this.send(callee, call), (error) => {
      const departed = this.options.departed(callee.contract)
      const isCallee = error instanceof ActorUnavailable && Address.idOf(error.address) === Address.idOf(callee)
      if (!departed || !isCallee) return Effect.fail(error)
      const again = call.id === undefined ? Effect.fail(error) : this.sendFromTurn(callee, call)
      return Effect.zipRight(Deferred.await(departed), again)
    })
  }

  private send(address: Address.Address, call: InternalCall): Effect.Effect<unknown, unknown> {
    const { codec, id } = call
    return codec.forked || (id !== undefined && Delivery.isRecorded(codec))
      ? this.sendInTime(address, call)
      : this.sendOnce(address, call)
  }

  /** With an actor that is in memory, which is nearly always, the only wait is that for the turn: it has its own bound. */
  private sendOnce(address: Address.Address, call: InternalCall): Effect.Effect<unknown, unknown> {
    const once = Effect.acquireUseRelease(
      Effect.sync(() => this.options.holdAwake(address)),
      (callee) => callee ? callee.callInternal(call) : this.sendInTime(address, call),
      (callee) => Effect.sync(() => callee?.release())
    )
    return Effect.catchIf(
      once,
      isAbandoned,
      () => mayBeMadeAgain(call) ? this.sendInTime(address, call) : this.unavailable(address)
    )
  }

  private sendInTime(address: Address.Address, call: InternalCall): Effect.Effect<unknown, unknown> {
    const afterMillis = this.options.services.options.callTimeoutMillis
    const attempt = this.options.call(address, call)
    const attempts = mayBeMadeAgain(call) ? Effect.retry(attempt, { while: isAbandoned, schedule: askAgain }) : attempt
    return attempts.pipe(
      Effect.catchIf(isAbandoned, () => this.unavailable(address)),
      // the deadline holds in handlers that cannot be interrupted too
      Effect.interruptible,
      Effect.timeoutFail({ duration: afterMillis, onTimeout: () => new CallTimeout({ address, afterMillis }) })
    )
  }

  private unavailable(address: Address.Address): Effect.Effect<never, ActorUnavailable> {
    const defectId = this.options.services.secrets.next()
    const log = Effect.logError(`a call to ${address} was lost: its activation has ended`)
    return Effect.zipRight(
      Effect.annotateLogs(log, { ...LogAnnotations.of(address), defect: defectId }),
      Effect.fail(new ActorUnavailable({ address, defectId }))
    )
  }

  /** The calls will not be made again: their callees are told. Those not in memory forget in the end by themselves. */
  settle(made: ReadonlyArray<MadeCall>): void {
    for (const call of made) {
      call.settled = true
      if (call.ended) this.options.settle(call.callee, call.id)
    }
  }
}

/** Whether a call whose activation was lost is made again: it has a name, under which that does no harm. */
const mayBeMadeAgain = ({ id }: InternalCall): boolean => id !== undefined

/** Whether what is done in the turn is a part of it. */
const isLive = (turn: Turn): boolean => !turn.sealed && !turn.readOnly

/** Ends the turn, whatever its handler makes of it: callees would do again what they have done. */
const giveUp = (turn: Turn): Effect.Effect<never> =>
  Effect.suspend(() => {
    turn.late = true
    return Effect.interrupt
  })

const isForgotten = (error: unknown): error is Forgotten => error instanceof Forgotten

const isAbandoned = (error: unknown): error is Abandoned => error instanceof Abandoned

/** At once, and then with delays that grow: whatever ends the callee's activations may go on doing so. */
const askAgain = Schedule.exponential("20 millis", 2).pipe(Schedule.union(Schedule.spaced("5 seconds")))
