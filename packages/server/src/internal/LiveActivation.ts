/**
 * An actor in memory: its state, its sessions and connections, and the way of a call through it: taken from the
 * connection, run as a turn, committed, answered.
 */
import * as Rpc from "@effect/rpc/Rpc"
import type { Activation } from "@troupe/contract/Activation"
import type { Connection } from "@troupe/contract/Connection"
import { ActorOverloaded, ActorUnavailable } from "@troupe/contract/ActorError"
import type { Address } from "@troupe/contract/Address"
import type { Behavior, ConnectRequest } from "@troupe/contract/Behavior"
import { ConnectionId } from "@troupe/contract/ConnectionId"
import { type DisconnectReason, recovery } from "@troupe/contract/DisconnectReason"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Frame from "@troupe/contract/protocol/Frame"
import { ServerDefect } from "@troupe/contract/ServerDefect"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as HashMap from "effect/HashMap"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { CommitPipeline } from "./CommitPipeline.ts"
import type { Registration, Services } from "./Registration.ts"
import { type Attachment, ServerConnection } from "./ServerConnection.ts"
import { CallEntry, Session } from "./Session.ts"
import { Subscribers } from "./Subscribers.ts"
import { Cell, CurrentTurn, ofFiber, Turn, TurnRef, type Turns } from "./Turn.ts"
import { Job, Lane, TurnLoop } from "./TurnLoop.ts"

/** How many connection ids one epoch has. The next epoch is taken when they are used up. */
const idsPerEpoch = 2 ** 20

type Handler = (payload: unknown) => Effect.Effect<unknown, unknown>
type AnyBehavior = Behavior<unknown, any, unknown>

/** What an activation starts from. */
export interface Origin {
  readonly epoch: number
  readonly version: number
  readonly state: unknown
  /** Answers of calls made before, for clients that have not got them: by session, then by number. */
  readonly recorded: RecordedReplies
  /** Commit turn by turn: the last activation was lost because its state did not encode. */
  readonly careful: boolean
}

export type RecordedReplies = Map<string, Map<number, CallEntry>>

/** A request to open a connection, decoded. */
export interface OpenRequest {
  readonly session: string
  readonly params: unknown
  readonly request: ConnectRequest
  readonly events: ReadonlyArray<string>
  readonly settledBelow: number
  readonly pending: ReadonlyArray<number>
}

export class LiveActivation implements Turns {
  readonly connections = new Cell(HashMap.empty<ConnectionId, Connection<any, any>>())
  readonly room: Activation<unknown, any, any, any>
  readonly sessions = new Map<string, Session>()
  private readonly state: Cell<unknown>
  private readonly loop: TurnLoop
  private readonly pipeline: CommitPipeline
  private readonly subscribers = new Subscribers()
  private readonly openings = new Map<string, number>()
  /** Hooks, internal calls and changes outside of turns; each waits in a lane of its own kind. */
  private readonly lifecycle = new Lane()
  private readonly internal = new Lane()
  private readonly background = new Lane()
  private readonly segments = new Map<number, number>()
  private readonly runtime: Runtime.Runtime<never>
  private handlers: ReadonlyMap<string, Handler> = new Map()
  private behavior: AnyBehavior = { rpcs: {} }
  private internalCalls = 0
  private holds = 0
  private idsUsed = 0
  private idEpoch: number
  private careful: boolean
  private recorded: RecordedReplies
  private recordedLoaded: boolean
  private lost = false

  constructor(
    readonly services: Services,
    readonly registration: Registration,
    readonly address: Address,
    readonly scope: Scope.CloseableScope,
    readonly origin: Origin
  ) {
    this.state = new Cell(origin.state)
    this.idEpoch = origin.epoch
    this.careful = origin.careful
    this.recorded = origin.recorded
    this.recordedLoaded = registration.durability === "memory"
    this.runtime = Runtime.updateContext(registration.runtime, (context) =>
      Context.add(context, Scope.Scope, scope) as Context.Context<never>)
    this.loop = new TurnLoop(this.runtime, services.schedule, () => this.restIfIdle())
    this.pipeline = new CommitPipeline({
      address,
      epoch: origin.epoch,
      version: origin.version,
      durability: registration.durability,
      encodeState: () => this.encodeState(),
      submit: services.submit,
      schedule: services.schedule,
      onLost: (why) => this.lose(why),
      onDrained: () => this.restIfIdle()
    })
    this.room = this.makeRoom()
  }

  // --- its life ------------------------------------------------------------------------------------------------------

  /** Runs the implementation's `build`. */
  readonly build: Effect.Effect<void, unknown> = Effect.suspend(() =>
    Effect.provide(this.registration.build(this.room), this.runtime.context) as Effect.Effect<AnyBehavior, unknown>
  ).pipe(Effect.map((behavior) => {
    this.behavior = behavior
    this.handlers = new Map(
      [...Object.entries(behavior.rpcs), ...Object.entries((behavior as { internal?: object }).internal ?? {})]
    ) as ReadonlyMap<string, Handler>
  }))

  /** Keeps the activation in memory until `release`. */
  hold(): void {
    this.holds++
    this.registration.idle.stop(this)
  }

  release(): void {
    this.holds--
    this.restIfIdle()
  }

  get idle(): boolean {
    return this.holds === 0 && this.loop.size === 0 && !this.pipeline.busy
  }

  restIfIdle(): void {
    if (this.idle && !this.lost) this.registration.idle.start(this)
  }

  /** Ends all connections, lets what runs and waits finish, commits it, and closes the scope. */
  readonly shutdown: Effect.Effect<void> = Effect.suspend(() => {
    for (const connection of this.liveConnections()) connection.end({ _tag: "ActivationLost" })
    return this.quiet.pipe(
      Effect.zipRight(Scope.close(this.scope, Exit.void)),
      Effect.zipRight(this.quiet),
      Effect.ensuring(Effect.sync(() => {
        this.pipeline.finish()
        this.stop()
      }))
    )
  })

  /** What a memory actor leaves behind when it goes to sleep. */
  park(): { readonly state: unknown; readonly recorded: RecordedReplies } {
    const recorded: RecordedReplies = new Map(this.recorded)
    for (const session of this.sessions.values()) {
      const answered = Array.from(session.calls).filter(([, call]) => call.exit !== undefined)
      if (answered.length > 0) recorded.set(session.id, new Map(answered))
    }
    return { state: this.state.current, recorded }
  }

  /** Waits until no turn is queued or running and everything is committed. */
  private readonly quiet: Effect.Effect<void> = Effect.suspend(() =>
    this.lost || (this.loop.size === 0 && !this.pipeline.busy)
      ? Effect.void
      : Effect.zipRight(Effect.yieldNow(), Effect.zipRight(this.turnBarrier, this.quiet))
  )

  /** A turn behind all that wait now, and the commit behind it. */
  private readonly turnBarrier: Effect.Effect<void> = Effect.suspend(() =>
    Effect.zipRight(this.loop.size === 0 ? Effect.void : this.run(Effect.void), this.pipeline.committed)
  )

  private stop(): void {
    this.lost = true
    this.loop.stop()
    this.registration.idle.stop(this)
  }

  /** Nothing can be committed any more: what is in memory is worthless, and clients open anew. */
  private lose(why: string): void {
    this.stop()
    this.log(Effect.logError(`activation lost: ${why}`))
    for (const connection of this.liveConnections()) connection.end({ _tag: "ActivationLost" })
    this.services.onLost(this, why.startsWith("the state does not encode"))
  }

  private liveConnections(): ReadonlyArray<ServerConnection> {
    return Array.from(HashMap.values(this.connections.current)) as unknown as ReadonlyArray<ServerConnection>
  }

  private log(effect: Effect.Effect<void>): void {
    const { contract, key } = this.address
    Runtime.runFork(this.runtime)(Effect.annotateLogs(effect, { actor: contract, key }))
  }

  /** Logs a defect under a new id, which is all that the outside learns of it. */
  private reportDefect(what: string, cause: Cause.Cause<unknown>): string {
    const id = this.services.secrets.next()
    this.log(Effect.annotateLogs(Effect.logError(`${what} died`, cause), { defect: id }))
    return id
  }

  private encodeState(): string {
    const encoded = Either.getOrThrowWith(
      this.registration.codecs.state.encode(this.state.current),
      (issue) => new Error(Codec.describeSafely(issue))
    )
    const text = JSON.stringify(encoded)
    if (text.length > this.services.options.stateBytesMax) {
      throw new Error(`stateBytesMax is ${this.services.options.stateBytesMax}, the state has ${text.length}`)
    }
    return text
  }

  // --- turns ---------------------------------------------------------------------------------------------------------

  readonly live = (fiber: Fiber.RuntimeFiber<any, any>): Turn | undefined => {
    const turn = ofFiber(fiber)
    return turn && !turn.sealed && turn.owner === this ? turn : undefined
  }

  readonly run = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiberRuntime((fiber) => {
      const caller = ofFiber(fiber)?.owner === this ? ofFiber(fiber)!.caller : undefined
      return this.submit(this.background, caller, effect)
    })

  /** Runs an effect as a turn, and returns what it returned when it has been committed. */
  private submit<A, E>(
    lane: Lane,
    caller: ServerConnection | undefined,
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    return Effect.async((resume) => {
      const job = new Job({
        start: () => new Turn(this, caller),
        run: () => effect,
        end: (exit, turn) => this.complete(turn, exit, () => resume(exit as Exit.Exit<A, E>), () => resume(Effect.interrupt)),
        removed: () => resume(Effect.interrupt)
      })
      this.loop.submit(lane, job)
      return Effect.sync(() => this.loop.interrupt(job))
    })
  }

  /** Applies a turn that succeeded, or drops one that failed, and hands over what it sends once it is committed. */
  private complete(
    turn: Turn,
    exit: Exit.Exit<unknown, unknown>,
    release: () => void,
    abandon: () => void
  ): void {
    const kept = Exit.isSuccess(exit)
    const changesState = kept && turn.changes(this.state)
    if (kept) turn.apply()
    this.pipeline.push({
      changesState,
      reply: undefined,
      release: () => {
        if (kept) turn.send(release)
        else release()
      },
      abandon
    })
  }

  /** Stages something in the fiber's turn, or in one of its own. */
  stage(f: (turn: Turn) => Effect.Effect<void>): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      const turn = this.live(fiber)
      if (!turn) return this.run(this.stage(f))
      return turn.readOnly ? Effect.dieMessage("onBeforeConnect may not send or disconnect") : f(turn)
    })
  }

  /** Stages an event for those who are subscribed now. It is encoded once. */
  stageEvent(
    event: string,
    payload: unknown,
    recipients: () => Iterable<ServerConnection>,
    except?: unknown
  ): Effect.Effect<void> {
    return this.stage((turn) => {
      const codec = this.registration.codecs.contract.events.get(event)
      if (!codec) return Effect.dieMessage(`${this.address.contract} has no event ${event}`)
      const encoded = codec.encode(payload)
      if (Either.isLeft(encoded)) return Effect.die(new Error(`${codec.what} does not encode: ${Codec.describeSafely(encoded.left)}`))
      const text = Frame.encodeEvent(event, encoded.right)
      const subscribed = recipients()
      turn.outputs.push(() => {
        for (const connection of subscribed) if (connection !== except) connection.push(text)
      })
      return Effect.void
    })
  }

  private makeRoom(): Activation<unknown, any, any, any> {
    const hosted = "room.connections is maintained by the host: use connection.disconnect"
    return {
      key: this.address.key,
      state: new TurnRef(this.state, this),
      connections: new TurnRef(this.connections, this, hosted),
      caller: Effect.withFiberRuntime((fiber) => {
        const turn = ofFiber(fiber)
        return turn?.owner === this && turn.caller
          ? Effect.succeed(turn.caller)
          : Effect.dieMessage("there is no calling connection here")
      }),
      broadcast: (event, payload, options) =>
        this.stageEvent(event, payload, () => this.subscribers.snapshot(event), options?.except),
      behavior: (behavior) => behavior
    }
  }

  // --- calls ---------------------------------------------------------------------------------------------------------

  /** A message of a client, in order and seen for the first time. */
  receive(connection: ServerConnection, message: Frame.ClientMessage): void {
    switch (message._tag) {
      case "Request":
        return this.request(connection, message)
      case "Interrupt":
        return this.interrupt(connection.session, message.requestId)
      case "Subscribe":
      case "Unsubscribe":
        return this.changeSubscription(connection, message)
    }
  }

  private request(
    connection: ServerConnection,
    { id, tag, payload }: Extract<Frame.ClientMessage, { readonly _tag: "Request" }>
  ): void {
    const { session } = connection
    const known = session.calls.get(id)
    if (known) return connection.reply(known)
    if (id < session.settledBelow) return connection.push(Frame.encodeRejected(id, `call ${id} was settled before`))
    if (session.unanswered >= this.services.options.window) {
      return connection.violation(`more than ${this.services.options.window} calls are in flight`)
    }
    const codec = this.registration.codecs.contract.rpcs.get(tag)
    if (!codec) return connection.push(Frame.encodeRejected(id, `${this.address.contract} has no rpc ${tag}`))
    const decoded = codec.payload.decode(payload)
    if (Either.isLeft(decoded)) return connection.push(Frame.encodeRejected(id, Codec.describe(decoded.left)))
    this.call(session, session.begin(id), codec, decoded.right)
  }

  private call(session: Session, entry: CallEntry, codec: Codec.RpcCodec, payload: unknown): void {
    entry.job = new Job({
      start: () => new Turn(this, session.connection),
      run: () => this.handle(codec, payload),
      end: (exit, turn) => this.endCall(session, entry, codec, exit, turn),
      removed: () => session.forget(entry)
    })
    this.loop.submit(session.lane, entry.job)
  }

  private handle(codec: Codec.RpcCodec, payload: unknown): Effect.Effect<unknown, unknown> {
    const result: unknown = this.handlers.get(codec.rpc._tag)!(payload)
    if (!Rpc.isWrapper(result as object)) return result as Effect.Effect<unknown, unknown>
    const { value, fork, uninterruptible } = result as Rpc.Wrapper<Effect.Effect<unknown, unknown>>
    if (fork) return Effect.dieMessage(`${codec.rpc._tag} is forked: handlers run as turns`)
    return uninterruptible ? Effect.uninterruptible(value) : value
  }

  private endCall(
    session: Session,
    entry: CallEntry,
    codec: Codec.RpcCodec,
    exit: Exit.Exit<unknown, unknown>,
    turn: Turn
  ): void {
    const answer = this.encodeExit(codec, this.examine(turn, exit))
    const changesState = answer.kept && turn.changes(this.state)
    if (answer.kept) turn.apply()
    const recorded = changesState || (!answer.kept && !entry.job?.interruptRequested)
    this.pipeline.push({
      changesState,
      reply: recorded ? { session: session.id, call: entry.number, exit: answer.text } : undefined,
      release: (segment) => {
        const reply = () => {
          session.answer(entry, answer.text, segment)
          if (segment !== undefined) this.segments.set(segment, (this.segments.get(segment) ?? 0) + 1)
          session.connection?.reply(entry)
          if (session.gone) this.settle(session, entry)
        }
        if (answer.kept) turn.send(reply)
        else reply()
      },
      abandon: () => {}
    })
  }

  /** In careful mode a turn whose state does not encode fails alone. */
  private examine(turn: Turn, exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> {
    if (!this.careful || Exit.isFailure(exit) || !turn.changes(this.state)) return exit
    const before = this.state.current
    try {
      this.state.current = turn.read(this.state)
      this.encodeState()
      this.careful = false
      return exit
    } catch (error) {
      return Exit.die(error)
    } finally {
      this.state.current = before
    }
  }

  /** The answer as text. `kept` is false if the turn failed, or its answer does not encode. */
  private encodeExit(codec: Codec.RpcCodec, exit: Exit.Exit<unknown, unknown>): { readonly text: string; readonly kept: boolean } {
    const outward = this.outward(codec.exit.what, exit)
    try {
      const encoded = Either.getOrThrowWith(codec.exit.encode(outward), (issue) => new Error(Codec.describeSafely(issue)))
      return { text: JSON.stringify(encoded), kept: Exit.isSuccess(exit) }
    } catch (error) {
      const defect = new ServerDefect({ id: this.reportDefect(codec.exit.what, Cause.die(error)) })
      return { text: JSON.stringify(Either.getOrThrow(codec.exit.encode(Exit.die(defect)))), kept: false }
    }
  }

  /** What the outside learns of an exit: the typed error, an interruption, or the id of a defect. */
  private outward(what: string, exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> {
    if (Exit.isSuccess(exit)) return exit
    const failure = Cause.failureOption(exit.cause)
    if (failure._tag === "Some") return Exit.fail(failure.value)
    if (Cause.isInterruptedOnly(exit.cause)) return Exit.interrupt(FiberId.none)
    return Exit.die(new ServerDefect({ id: this.reportDefect(what, exit.cause) }))
  }

  /** The caller was interrupted. It is answered, so that its credit is given back. */
  private interrupt(session: Session, number: number): void {
    const entry = session.calls.get(number)
    if (!entry?.job) return
    const queued = entry.job.phase === "queued"
    this.loop.interrupt(entry.job)
    if (!queued) return
    const answered = session.begin(number)
    this.pipeline.push({
      changesState: false,
      reply: undefined,
      release: () => {
        session.answer(answered, interruptedExit, undefined)
        session.connection?.reply(answered)
      },
      abandon: () => {}
    })
  }

  /** The client has the answer of a call. */
  settle(session: Session, entry: CallEntry): void {
    session.calls.delete(entry.number)
    this.dispose(session)
    if (entry.segment === undefined) return
    const left = (this.segments.get(entry.segment) ?? 1) - 1
    this.segments.set(entry.segment, left)
    if (left > 0) return
    this.segments.delete(entry.segment)
    this.pipeline.settleSegment(entry.segment)
  }

  /** An internal rpc, called by a backend or by another actor. */
  callInternal(codec: Codec.RpcCodec, payload: unknown): Effect.Effect<unknown, unknown> {
    return Effect.suspend(() => {
      const capacity = this.services.options.mailboxMax
      if (this.internalCalls >= capacity) return Effect.fail(new ActorOverloaded({ address: this.address, capacity }))
      this.internalCalls++
      return Effect.exit(this.submit(this.internal, undefined, Effect.suspend(() => this.handle(codec, payload)))).pipe(
        Effect.flatMap((exit) =>
          this.lost && Exit.isInterrupted(exit)
            ? Effect.fail(new ActorUnavailable({ address: this.address, defectId: "activation lost" }))
            : this.outward(codec.exit.what, exit)
        ),
        Effect.ensuring(Effect.sync(() => this.internalCalls--))
      )
    })
  }

  /** Waits until everything this activation has done so far is durable. */
  get committed(): Effect.Effect<void> {
    return this.pipeline.committed
  }

  // --- subscriptions -------------------------------------------------------------------------------------------------

  private changeSubscription(
    connection: ServerConnection,
    { _tag, event }: { readonly _tag: "Subscribe" | "Unsubscribe"; readonly event: string }
  ): void {
    const { options } = this.services
    const subscribing = _tag === "Subscribe"
    const issue = !this.registration.codecs.contract.events.has(event)
      ? `${this.address.contract} has no event ${event}`
      : subscribing && connection.subscriptions.size >= options.subscriptionsMax
      ? `subscriptionsMax is ${options.subscriptionsMax}`
      : undefined
    if (issue) return connection.push(Frame.encodeSubscribeRejected(event, issue))
    const job = new Job({
      start: () => {
        if (subscribing) this.subscribers.add(connection, event)
        else this.subscribers.remove(connection, event)
        return new Turn(this, connection)
      },
      run: () => Effect.void,
      end: (exit, turn) =>
        this.complete(turn, exit, () => {
          if (subscribing) connection.push(Frame.encodeSubscribed(event))
        }, () => {}),
      removed: () => {}
    })
    this.loop.submit(connection.session.lane, job)
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  /** Resumes a connection on a link; false if there is none that could be. */
  resume(id: ConnectionId, token: string, received: number, attachment: Attachment): ServerConnection | undefined {
    const connection = HashMap.get(this.connections.current, id)
    if (connection._tag === "None") return undefined
    const found = connection.value as unknown as ServerConnection
    return found.resume(attachment, token, received) ? found : undefined
  }

  /** Opens a connection: preflight beside the turns, then `onConnect` as one, then its commit. */
  readonly open = (
    open: OpenRequest,
    attachment: Attachment
  ): Effect.Effect<ServerConnection, DisconnectReason> =>
    Effect.suspend(() => {
      const attempt = (this.openings.get(open.session) ?? 0) + 1
      this.openings.set(open.session, attempt)
      const superseded = () => this.openings.get(open.session) !== attempt
      return this.preflight(open).pipe(
        Effect.flatMap((state) => this.admit(open, state, attachment, superseded)),
        Effect.ensuring(Effect.sync(() => {
          if (!superseded()) this.openings.delete(open.session)
        }))
      )
    })

  private preflight({ params, request }: OpenRequest): Effect.Effect<unknown, DisconnectReason> {
    const hook = this.behavior.onBeforeConnect
    if (!hook) return Effect.succeed(undefined)
    const { connectTimeoutMillis } = this.services.options
    const turn = new Turn(this, undefined, true)
    const context: Context.Context<any> = Context.add(this.runtime.context, CurrentTurn, turn)
    return Effect.suspend((): Effect.Effect<unknown, unknown, any> => hook({ params, request } as never)).pipe(
      Effect.mapInputContext((_: Context.Context<never>) => context),
      Effect.flatMap((state) => this.validateConnectionState(state)),
      Effect.timeoutFail({ duration: connectTimeoutMillis, onTimeout: () => this.timedOut }),
      Effect.catchAllCause((cause) => Effect.fail(this.refusal(cause))),
      Effect.ensuring(Effect.sync(() => {
        turn.sealed = true
      }))
    )
  }

  private readonly timedOut = new HookTimeout()

  private validateConnectionState(state: unknown): Effect.Effect<unknown> {
    const valid = this.registration.codecs.connection(state)
    return Either.isRight(valid)
      ? Effect.succeed(state)
      : Effect.dieMessage(
        `onBeforeConnect of ${this.address.contract} returned a bad connection state: ${Codec.describeSafely(valid.left)}`
      )
  }

  /** Why a hook that failed refuses the connection. */
  private refusal(cause: Cause.Cause<unknown>): DisconnectReason {
    const failure = Cause.failureOption(cause)
    if (failure._tag === "Some") {
      if (failure.value === this.timedOut) {
        return { _tag: "ConnectTimeout", afterMillis: this.services.options.connectTimeoutMillis }
      }
      const encoded = this.registration.codecs.contract.connectError.encode(failure.value)
      if (Either.isRight(encoded)) return { _tag: "Denied", error: encoded.right }
      return { _tag: "Unavailable", defectId: this.reportDefect("onBeforeConnect", Cause.die(failure.value)) }
    }
    return { _tag: "Unavailable", defectId: this.reportDefect("a connect hook", cause) }
  }

  private readonly admit = Effect.fnUntraced(function*(
    this: LiveActivation,
    open: OpenRequest,
    state: unknown,
    attachment: Attachment,
    superseded: () => boolean
  ) {
    if (open.pending.length > 0) yield* this.loadRecorded
    const id = yield* this.nextConnectionId
    const scope = yield* Scope.make()
    const outcome = yield* Deferred.make<ServerConnection, DisconnectReason>()
    if (superseded()) return yield* Effect.fail<DisconnectReason>({ _tag: "Superseded" })
    const session = this.session(open)
    session.connection?.end({ _tag: "Superseded" })
    const connection = new ServerConnection(this, session, id, open.params, state, scope)
    this.loop.submit(this.lifecycle, this.connectJob(connection, open, attachment, outcome))
    return yield* Deferred.await(outcome)
  })

  private session({ session: id }: OpenRequest): Session {
    const session = this.sessions.get(id) ?? new Session(id)
    this.sessions.set(id, session)
    this.recorded.get(id)?.forEach((entry, number) => {
      if (!session.calls.has(number)) session.calls.set(number, entry)
    })
    this.recorded.delete(id)
    return session
  }

  private connectJob(
    connection: ServerConnection,
    open: OpenRequest,
    attachment: Attachment,
    outcome: Deferred.Deferred<ServerConnection, DisconnectReason>
  ): Job {
    const { session, scope } = connection
    const refuse = (reason: DisconnectReason) => {
      Runtime.runFork(this.runtime)(Scope.close(scope, Exit.succeed(reason)))
      Deferred.unsafeDone(outcome, Exit.fail(reason))
      this.release()
    }
    this.hold()
    return new Job({
      start: () => {
        session.connection = connection
        this.takeOver(session, open)
        this.connections.current = HashMap.set(this.connections.current, connection.id, connection)
        for (const event of open.events) this.subscribers.add(connection, event)
        return new Turn(this, connection)
      },
      run: () => this.runOnConnect(connection),
      end: (exit, turn) => {
        if (Exit.isSuccess(exit)) {
          turn.outputs.unshift(() => connection.open(attachment))
          const opened = () => Deferred.unsafeDone(outcome, Exit.succeed(connection))
          return this.complete(turn, exit, opened, () => refuse({ _tag: "ActivationLost" }))
        }
        this.withdraw(connection)
        connection.ended = true
        this.dispose(session)
        refuse(this.refusal(exit.cause))
      },
      removed: () => refuse({ _tag: "ActivationLost" })
    })
  }

  private runOnConnect(connection: ServerConnection): Effect.Effect<unknown, unknown> {
    const hook = this.behavior.onConnect
    if (!hook) return Effect.void
    return Effect.suspend(() => hook(connection) as Effect.Effect<unknown, never, Scope.Scope>).pipe(
      Scope.extend(connection.scope),
      Effect.timeoutFail({
        duration: this.services.options.connectTimeoutMillis,
        onTimeout: () => this.timedOut
      })
    )
  }

  /** What the client does not ask for again is interrupted or forgotten; the rest goes on for the new connection. */
  private takeOver(session: Session, open: OpenRequest): void {
    session.settledBelow = Math.max(session.settledBelow, open.settledBelow)
    const pending = new Set(open.pending)
    for (const entry of session.calls.values()) {
      if (pending.has(entry.number)) continue
      if (entry.job) this.loop.interrupt(entry.job)
      else this.settle(session, entry)
    }
  }

  /** The connection has ended: its calls are dropped, and its hooks run as a turn. */
  connectionEnded(connection: ServerConnection, reason: DisconnectReason): void {
    if (reason._tag !== "Superseded") this.dropCalls(connection.session, reason)
    if (this.lost) return this.endLost(connection, reason)
    const release = () => this.release()
    this.loop.submit(
      this.lifecycle,
      new Job({
        start: () => {
          this.withdraw(connection)
          return new Turn(this, connection)
        },
        run: () => this.runOnDisconnect(connection, reason),
        end: (exit, turn) => {
          if (Exit.isFailure(exit)) this.reportDefect("onDisconnect", exit.cause)
          this.complete(turn, exit, release, release)
        },
        removed: () => {
          this.endLost(connection, reason)
          release()
        }
      })
    )
  }

  private runOnDisconnect(connection: ServerConnection, reason: DisconnectReason): Effect.Effect<unknown> {
    const hook = this.behavior.onDisconnect
    const closed = Effect.exit(Scope.close(connection.scope, Exit.succeed(reason)))
    if (!hook) return Effect.flatten(closed)
    return Effect.flatMap(closed, (exit) => Effect.zipRight(hook(connection, reason) as Effect.Effect<unknown>, exit))
  }

  /** The activation is lost: the hooks run, but what they change and send is dropped. */
  private endLost(connection: ServerConnection, reason: DisconnectReason): void {
    const turn = new Turn(this, connection)
    const dropped = Effect.provideService(this.runOnDisconnect(connection, reason), CurrentTurn, turn)
    Runtime.runFork(this.runtime)(Effect.ignoreLogged(dropped))
  }

  /** What is queued will not run, unless the client comes back and asks for it again. */
  private dropCalls(session: Session, reason: DisconnectReason): void {
    session.gone = recovery(reason) === "closed"
    for (const entry of session.calls.values()) {
      if (entry.job && (entry.job.phase === "queued" || reason._tag === "ClientClosed")) this.loop.interrupt(entry.job)
      else if (session.gone && entry.exit !== undefined) this.settle(session, entry)
    }
    this.dispose(session)
  }

  private dispose(session: Session): void {
    if (session.disposable && this.sessions.get(session.id) === session) this.sessions.delete(session.id)
  }

  private withdraw(connection: ServerConnection): void {
    this.connections.current = HashMap.remove(this.connections.current, connection.id)
    this.subscribers.removeAll(connection)
  }

  private readonly nextConnectionId: Effect.Effect<ConnectionId> = Effect.suspend(() => {
    if (this.idsUsed < idsPerEpoch) return Effect.succeed(ConnectionId.make(this.idEpoch * idsPerEpoch + this.idsUsed++))
    return Effect.flatMap(this.services.nextEpoch(this.registration.durability), (epoch) => {
      this.idEpoch = epoch
      this.idsUsed = 0
      return this.nextConnectionId
    })
  })

  /** Reads the recorded replies, once, when the first client asks for calls that this activation has not seen. */
  private readonly loadRecorded: Effect.Effect<void, DisconnectReason> = Effect.suspend(() => {
    if (this.recordedLoaded) return Effect.void
    return this.services.store.replies(this.address).pipe(
      Effect.map((segments) => {
        if (this.recordedLoaded) return
        this.recordedLoaded = true
        for (const { seq, replies } of segments) {
          if (seq > this.origin.version) continue
          this.segments.set(seq, replies.length)
          for (const reply of replies) this.addRecorded(seq, reply.session, reply.call, reply.exit)
        }
      }),
      Effect.mapError((error): DisconnectReason => ({
        _tag: "Unavailable",
        defectId: this.reportDefect("the store", Cause.fail(error))
      }))
    )
  })

  private addRecorded(seq: number, session: string, call: number, exit: string): void {
    const entry = new CallEntry(call)
    entry.exit = exit
    entry.segment = seq
    const calls = this.recorded.get(session) ?? new Map<number, CallEntry>()
    this.recorded.set(session, calls.set(call, entry))
  }
}

const interruptedExit = JSON.stringify(
  Schema.encodeSync(Schema.Exit({ success: Schema.Void, failure: Schema.Void, defect: Schema.Void }))(
    Exit.interrupt(FiberId.none)
  )
)

/** Passed through the failure channel of a hook, apart from its own errors. */
class HookTimeout {
  readonly _tag = "HookTimeout"
}
