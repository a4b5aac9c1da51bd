/** An actor in memory: puts its turns, its calls and its connections together, and knows when it may go. */
import type * as Headers from "@effect/platform/Headers"
import * as Rpc from "@effect/rpc/Rpc"
import { CallTimeout } from "@troupe/contract/ActorError"
import type { Address } from "@troupe/contract/Address"
import type { HandlerOptions } from "@troupe/contract/Behavior"
import { ActorDestroyed } from "@troupe/contract/ConnectionError"
import { ConnectionId } from "@troupe/contract/ConnectionId"
import { type DisconnectReason, recovery } from "@troupe/contract/DisconnectReason"
import type { Expirable } from "@troupe/contract/Expiry"
import type * as Codec from "@troupe/contract/protocol/Codec"
import type * as Frame from "@troupe/contract/protocol/Frame"
import { SparseMap, SparseSet } from "@troupe/contract/Sparse"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { RecordedReply } from "../ActorStore.ts"
import { Admission, type AdmissionOwner, type AnyBehavior, type OpenRequest } from "./Admission.ts"
import { Alarms, type AlarmsOwner } from "./Alarms.ts"
import { Answers } from "./Answers.ts"
import { Calls, type CallsOwner } from "./Calls.ts"
import { Forks, type ForksOwner } from "./Forks.ts"
import { Abandoned, type InternalCall, InternalCalls, type InternalCallsOwner } from "./InternalCalls.ts"
import type { Parts } from "./Parts.ts"
import { Recorded, type RecordedReplies } from "./Recorded.ts"
import type { Parked, Registration } from "./Registration.ts"
import * as Room from "./Room.ts"
import { type Attachment, type Owner, type Resumption, ServerConnection } from "./ServerConnection.ts"
import type { Services } from "./Services.ts"
import { type CallEntry, Session } from "./Session.ts"
import type { Start } from "./Start.ts"
import { Subscribers } from "./Subscribers.ts"
import { type Loss, Turns, type TurnsObserver } from "./Turns.ts"

/** How many connection ids one epoch has. The next epoch is taken when they are used up. */
const idsPerEpoch = 2 ** 20

/** Whether a client that hears it does not come back. */
/** Whether a client that does not hear it is told when it comes back. The next life of a destroyed actor takes all. */
const isFarewell = (reason: DisconnectReason): boolean =>
  isFinal(reason) && reason._tag !== "ClientClosed" && reason._tag !== "Destroyed"

const isFinal = (reason: DisconnectReason): boolean => recovery(reason) === "closed" && reason._tag !== "Superseded"

/** By the tags of a contract's rpcs, each of which has one. */
type Handlers = Readonly<Record<string, (payload: unknown, options: HandlerOptions) => unknown>>

/** Who keeps activations. */
export interface Keeper {
  /** It has had nothing to do for its idle timeout. */
  readonly onIdle: (activation: LiveActivation) => void
  /** It must not be used any more: nothing of it can be committed. */
  readonly onLost: (activation: LiveActivation, loss: Loss) => void
  /** The actor is about to end: who needs one of its address waits. */
  readonly onDestroying: (activation: LiveActivation) => void
  /** The actor has ended, for good. */
  readonly onDestroyed: (activation: LiveActivation) => void
}

/** Where an activation begins, and in what. */
export interface Beginning {
  readonly services: Services
  readonly registration: Registration
  readonly address: Address
  readonly scope: Scope.CloseableScope
  readonly start: Start
  readonly recorded: RecordedReplies
}

export class LiveActivation
  implements
    Owner,
    Parts,
    AdmissionOwner,
    CallsOwner,
    ForksOwner,
    InternalCallsOwner,
    AlarmsOwner,
    TurnsObserver,
    Expirable
{
  readonly services: Services
  readonly registration: Registration
  readonly address: Address
  readonly scope: Scope.CloseableScope
  readonly incarnation: number
  readonly runtime: Runtime.Runtime<never>
  readonly turns: Turns
  readonly answers: Answers
  readonly recorded: Recorded
  readonly subscribers: Subscribers
  readonly forks: Forks
  readonly stageEvent: Room.StageEvent
  readonly behind = new SparseSet<ServerConnection>()
  private readonly sessions = new SparseMap<string, Session>()
  /** Sessions whose clients may still come back, and what forgets them. */
  private readonly away = new SparseMap<Session, Expirable>()
  private readonly admission: Admission
  private readonly calls: Calls
  private readonly internalCalls: InternalCalls
  private readonly alarms: Alarms
  private publicHandlers: Handlers = {}
  private internalHandlers: Handlers = {}
  private named: string | undefined
  private holds = 0
  private idsUsed = 0
  private idEpoch: number
  private over: "lost" | "destroyed" | "left" | undefined

  constructor(
    { address, start, recorded, registration, scope, services }: Beginning,
    private readonly keeper: Keeper
  ) {
    this.services = services
    this.registration = registration
    this.address = address
    this.scope = scope
    this.incarnation = start.incarnation
    this.named = start.name
    this.idEpoch = start.epoch
    this.runtime = Runtime.updateContext(
      registration.runtime,
      (context) => Context.add(context, Scope.Scope, scope) as Context.Context<never>
    )
    this.turns = new Turns(services, registration, address, start, this.runtime, this)
    this.answers = new Answers(address, services.secrets, this.runtime, services.options.outputBytesMax)
    this.recorded = new Recorded(this, recorded, start.version)
    this.subscribers = new Subscribers(services.options.subscriptionsMax)
    this.stageEvent = Room.makeStageEvent(
      this.turns,
      registration.codecs.contract,
      services.options.outputBytesMax
    )
    this.admission = new Admission(this)
    this.forks = new Forks(this)
    this.calls = new Calls(this)
    this.internalCalls = new InternalCalls(this)
    this.alarms = new Alarms(this)
  }

  get name(): string {
    return this.named ??= this.services.secrets.next()
  }

  // --- its life ------------------------------------------------------------------------------------------------------

  /** Runs the implementation's `build`, in a fiber that has what the implementation has. */
  get build(): Effect.Effect<void, unknown> {
    const { address, admission: { connections }, alarms, recorded, stageEvent, subscribers, turns } = this
    const room = Room.make({ key: address.key, turns, connections, subscribers, stageEvent, alarms, recorded })
    const build = Effect.suspend(() => this.registration.build(room)) as Effect.Effect<AnyBehavior, unknown>
    return Effect.map(build, (behavior) => {
      this.admission.behavior = behavior
      const { rpcs = {}, internal = {} } = behavior as { readonly rpcs?: Handlers; readonly internal?: Handlers }
      this.publicHandlers = rpcs
      this.internalHandlers = internal
    })
  }

  /** Keeps the activation in memory until `release`. */
  hold(): void {
    this.holds++
    this.registration.idle.stop(this)
  }

  release(): void {
    this.holds--
    this.restIfIdle()
  }

  /** It was lost, has been destroyed, or has left: it takes nothing any more. */
  get ended(): boolean {
    return this.over !== undefined
  }

  /** It has ended for good, or is about to, unless the commit of that fails. */
  get endedForGood(): boolean {
    return this.over === "destroyed"
  }

  get idle(): boolean {
    return this.holds === 0 && !this.turns.busy
  }

  /** Starts the idle timeout if there is nothing to do. */
  restIfIdle(): void {
    if (this.idle && !this.over) this.registration.idle.start(this)
  }

  /** Nothing is queued, running or waiting to be committed. */
  onIdle(): void {
    this.restIfIdle()
  }

  onExpired(): void {
    this.keeper.onIdle(this)
  }

  /** Ends all connections, lets what runs and waits finish, commits it, and closes the scope. */
  get shutdown(): Effect.Effect<void> {
    return Effect.suspend(() => {
      for (const connection of this.admission.all) connection.end({ _tag: "ActivationLost" })
      return this.turns.quiet.pipe(
        Effect.zipRight(Scope.close(this.scope, Exit.void)),
        Effect.zipRight(this.turns.quiet),
        Effect.zipRight(Effect.sync(() => this.turns.pipeline.finish())),
        Effect.zipRight(this.turns.quiet)
      )
    })
  }

  /** Takes nothing any more, and gives up what has not been finished. */
  leave(): void {
    if (this.over) return
    this.stop("left")
    // some may have come to stand while what ran was waited for
    for (const connection of this.admission.all) connection.end({ _tag: "ActivationLost" })
  }

  /** Nobody waits for the actor's end to be durable any more: whether it has ended is found out by its next activation. */
  giveUpEnd(): void {
    if (this.endedForGood && this.turns.busy) this.turns.pipeline.lose("its end was not durable when its host left")
  }

  /** What a memory actor leaves behind when it goes to sleep: nothing, if it has only been woken, as by who is refused. */
  park(): Parked | undefined {
    const recorded = this.recorded.withSessions(this.sessions.values(), this.internalCalls.answered(), {
      now: this.services.clock.unsafeCurrentTimeMillis(),
      retentionMillis: this.services.store.retentionMillis
    })
    if (!this.turns.pipeline.keepsState && this.named === undefined && recorded.size === 0) return undefined
    return {
      name: this.named,
      state: this.turns.state.current,
      recorded,
      alarms: Array.from(this.turns.alarms.values())
    }
  }

  private stop(over: "lost" | "destroyed" | "left"): void {
    this.over = over
    this.registration.idle.stop(this)
    for (const away of this.away.values()) this.services.retention.stop(away)
    this.away.clear()
    this.turns.stop()
  }

  onLarge(bytes: number): void {
    const { services: { options: { stateBytesMax } } } = this
    const text =
      `the state has ${bytes} bytes; a turn after which it has more than ${stateBytesMax}, stateBytesMax, fails`
    this.answers.log(Effect.logWarning(text))
  }

  onRecorded(segment: number, answers: number): void {
    this.recorded.begin(segment, answers)
  }

  *outliving(): Iterable<RecordedReply> {
    for (const named of [this.recorded.named(), this.internalCalls.answered()]) {
      for (const [session, { exit, number }] of named) yield { session, call: number, exit: exit! }
    }
  }

  /** Nothing can be committed any more: what is in memory is worthless, and clients open anew. */
  onLost(loss: Loss): void {
    this.stop("lost")
    this.answers.log(Effect.logError(`activation lost: ${loss.why}`))
    for (const connection of this.admission.all) connection.end({ _tag: "ActivationLost" })
    this.keeper.onLost(this, loss)
  }

  /** A turn has ended the actor. It is the last one. */
  onDestroying(): void {
    this.stop("destroyed")
    this.keeper.onDestroying(this)
  }

  onDestroyed(): void {
    for (const connection of this.admission.all) connection.end({ _tag: "Destroyed" })
    this.keeper.onDestroyed(this)
  }

  /** The clock may not know of an alarm that it was given: a host that is gone may have committed it late. */
  showAlarms(): void {
    const { next } = this.turns.alarms
    if (next !== undefined) this.registration.alarmClock.meet(this.address.key, next)
  }

  /** Fires the alarms that are due. Returns whether something is being fired. */
  fireDue(): boolean {
    return this.alarms.fireDue()
  }

  // --- calls ---------------------------------------------------------------------------------------------------------

  handle(codec: Codec.RpcCodec, payload: unknown, headers: Headers.Headers): Effect.Effect<unknown, unknown> {
    return this.run(this.publicHandlers, codec, payload, headers)
  }

  handleInternal(codec: Codec.RpcCodec, payload: unknown, headers: Headers.Headers): Effect.Effect<unknown, unknown> {
    return this.run(this.internalHandlers, codec, payload, headers)
  }

  handleForked({ rpc }: Codec.RpcCodec, payload: unknown, headers: Headers.Headers): unknown {
    const result = this.publicHandlers[rpc._tag]!(payload, { headers })
    if (!Rpc.isWrapper(result as object)) return result
    const { uninterruptible, value } = result as Rpc.Wrapper<unknown>
    return uninterruptible && Effect.isEffect(value) ? Effect.uninterruptible(value) : value
  }

  private run(
    handlers: Handlers,
    { rpc, forked }: Codec.RpcCodec,
    payload: unknown,
    headers: Headers.Headers
  ): Effect.Effect<unknown, unknown> {
    return Effect.suspend(() => {
      const result = handlers[rpc._tag]!(payload, { headers }) as Effect.Effect<unknown, unknown>
      if (!Rpc.isWrapper(result)) return Effect.interruptible(result)
      const { value, fork, uninterruptible } = result as Rpc.Wrapper<Effect.Effect<unknown, unknown>>
      if (fork && !forked)
        return Effect.dieMessage(`the handler of ${rpc._tag} is forked, and its rpc is not declared so`)
      return uninterruptible ? value : Effect.interruptible(value)
    })
  }

  /** An internal rpc, called by a backend or by another actor. */
  callInternal(call: InternalCall): Effect.Effect<unknown, unknown> {
    const { address, services: { options: { callTimeoutMillis: afterMillis } } } = this
    return Effect.catchIf(
      this.internalCalls.call(call),
      (error): error is Abandoned => error instanceof Abandoned,
      (abandoned) =>
        // the end may still not come about, and nobody is told of it before it is durable
        Effect.exit(this.turns.committed).pipe(
          Effect.interruptible,
          Effect.timeoutFail({ duration: afterMillis, onTimeout: () => new CallTimeout({ address, afterMillis }) }),
          Effect.zipRight(
            Effect.suspend(() =>
              Effect.fail(this.endedForGood ? new ActorDestroyed({ address, sent: abandoned.sent }) : abandoned)
            )
          )
        )
    )
  }

  /** An internal call will not be made again. */
  settleInternal(id: string): void {
    this.internalCalls.settle(id)
  }

  onMessage(connection: ServerConnection, message: Frame.ClientMessage): void {
    this.calls.onMessage(connection, message)
  }

  onSettled(session: Session, call: CallEntry): void {
    this.calls.settle(session, call)
  }

  answerForked(session: Session, entry: CallEntry, text: string): void {
    this.calls.answerForked(session, entry, text)
  }

  // --- sessions and connections --------------------------------------------------------------------------------------

  /** Opens a connection, unless the client has been told not to come back. */
  open(request: OpenRequest, attachment: Attachment): Effect.Effect<ServerConnection, DisconnectReason> {
    return Effect.suspend(() => {
      const farewell = this.registration.farewells.onOpen(request.session)
      return farewell ? Effect.fail(farewell) : this.admission.open(request, attachment)
    })
  }

  /** Resumes a connection on a link. Returns why not, if it cannot be. */
  resume(id: ConnectionId, resumption: Resumption, attachment: Attachment): DisconnectReason | undefined {
    const resumed = this.admission.get(id)?.resume(attachment, resumption) === true
    this.registration.meters.resumed(resumed ? "resumed" : "refused")
    return resumed ? undefined : this.registration.farewells.onResume(resumption.token) ?? { _tag: "ResumeExpired" }
  }

  onEnded(connection: ServerConnection, reason: DisconnectReason): void {
    this.registration.meters.disconnected(reason._tag)
    for (const other of this.behind) other.dropKept(({ sender }) => sender === connection)
    if (reason._tag !== "Superseded") this.dropCalls(connection.session, reason)
    for (const job of connection.subscribing) this.turns.interrupt(job)
    this.awaitReturn(connection.session)
    if (isFarewell(reason)) this.registration.farewells.add(connection, reason)
    this.admission.leave(connection, reason)
  }

  /** A connection of the session has gone. What its client may ask for when it comes back is kept, for a time. */
  private awaitReturn(session: Session): void {
    this.endStreamsLater(session)
    this.forgetLater(session)
  }

  /** A client that may come back finds its streams for as long as it could have resumed. */
  private endStreamsLater(session: Session): void {
    const streams = Array.from(session.calls.values()).filter((entry) => entry.interrupt && entry.streams)
    if (this.ended || streams.length === 0) return
    const ended = session.connection
    this.services.resumeWindows.start({
      onExpired: () => {
        if (session.connection === ended) { for (const stream of streams) stream.interrupt?.() }
      }
    })
  }

  /**
   * A client that has not come back does not ask again for what is older than the retention. Until then its session is kept,
   * but not for longer than the activation: the next one finds in the store what has been answered.
   */
  private forgetLater(session: Session): void {
    if (this.ended || session.gone || session.calls.size === 0) return
    const away = { onExpired: () => this.forget(session) }
    this.comesBack(session)
    this.away.set(session, away)
    this.services.retention.start(away)
  }

  /** Nothing of the session is to be forgotten, because its client is there, or because nothing is left. */
  private comesBack(session: Session): void {
    const away = this.away.get(session)
    if (!away) return
    this.away.delete(session)
    this.services.retention.stop(away)
  }

  /** The client of the session will not come back. What still runs for it beside the turns is interrupted. */
  private forget(session: Session): void {
    this.away.delete(session)
    session.gone = true
    for (const entry of session.calls.values()) {
      if (entry.interrupt) entry.interrupt()
      else if (entry.exit !== undefined) this.calls.settle(session, entry)
    }
  }

  openingOf(session: string): number {
    return this.sessions.get(session)?.opening ?? 0
  }

  onGone({ session }: ServerConnection): void {
    session.connections--
    // it may have come back in vain
    if (session.connections === 0 && !this.away.has(session)) this.awaitReturn(session)
    this.dispose(session)
    this.release()
  }

  makeConnection(
    open: OpenRequest,
    state: unknown
  ): Effect.Effect<ServerConnection, DisconnectReason> {
    return Effect.map(Effect.zipRight(this.loadRecorded(open), this.nextConnectionId), (id) => {
      const session = this.sessions.get(open.session) ?? new Session(open.session)
      this.sessions.set(open.session, session)
      session.connections++
      for (const entry of this.recorded.handTo(session)) this.calls.keep(session, entry, entry.exit!)
      this.hold()
      return new ServerConnection(this, session, id, open.params, state)
    })
  }

  /** Recorded answers are read when a client asks for calls that this activation may not have seen. */
  private loadRecorded(open: OpenRequest): Effect.Effect<void, DisconnectReason> {
    if (open.pending.length === 0) return Effect.void
    return Effect.mapError(this.recorded.load, (error): DisconnectReason => ({
      _tag: "Unavailable",
      defectId: this.answers.report("the store", Cause.fail(error))
    }))
  }

  private get nextConnectionId(): Effect.Effect<ConnectionId> {
    return Effect.suspend(() => {
      if (this.idsUsed < idsPerEpoch)
        return Effect.succeed(ConnectionId.make(this.idEpoch * idsPerEpoch + this.idsUsed++))
      return Effect.flatMap(this.services.nextEpoch(this.registration.durability), (epoch) => {
        this.idEpoch = epoch
        this.idsUsed = 0
        return this.nextConnectionId
      })
    })
  }

  /** What the client does not ask for again is interrupted or forgotten; the rest goes on for the new connection. */
  onAdmitted(session: Session, open: OpenRequest): void {
    this.comesBack(session)
    session.gone = false
    session.opening = open.opening
    session.settledBelow = Math.max(session.settledBelow, open.settledBelow)
    session.expect(open.pending)
    const pending = new Set(open.pending)
    for (const entry of session.calls.values()) {
      // what was sent later is known of from a later connection, in an activation that is gone
      if (pending.has(entry.number) || entry.number >= open.sentBelow) continue
      if (entry.exit !== undefined) this.calls.settle(session, entry)
      else {
        entry.interrupt?.()
        if (entry.job) this.turns.interrupt(entry.job)
        session.forget(entry)
      }
    }
  }

  /**
   * What is queued will not run, unless the client comes back and asks for it again. One that has been told not to may not
   * have heard it: what is known of its calls is kept all the same.
   */
  private dropCalls(session: Session, reason: DisconnectReason): void {
    session.gone = reason._tag === "ClientClosed"
    for (const entry of session.calls.values()) {
      if (entry.interrupt && isFinal(reason)) entry.interrupt()
      else if (entry.job && (entry.job.phase === "queued" || reason._tag === "ClientClosed"))
        this.turns.interrupt(entry.job)
      else if (session.gone && entry.exit !== undefined) this.calls.settle(session, entry)
    }
  }

  dispose(session: Session): void {
    if (!session.disposable) return
    this.comesBack(session)
    if (this.sessions.get(session.id) === session) this.sessions.delete(session.id)
  }
}
