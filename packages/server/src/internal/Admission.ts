/** How connections come and go: preflight beside the turns, `onConnect` as a turn, releases and `onDisconnect` as one. */
import * as Background from "@troupe/contract/Background"
import type { Behavior, ConnectRequest } from "@troupe/contract/Behavior"
import type { Connection } from "@troupe/contract/Connection"
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import * as Codec from "@troupe/contract/protocol/Codec"
import { SparseMap } from "@troupe/contract/Sparse"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as HashMap from "effect/HashMap"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as LogAnnotations from "./LogAnnotations.ts"
import type { Parts } from "./Parts.ts"
import type { Attachment, ServerConnection } from "./ServerConnection.ts"
import type { Session } from "./Session.ts"
import { Cell, currentTurn, Turn } from "./Turn.ts"
import { Job, Lane } from "./TurnLoop.ts"

/** A request to open a connection, decoded. */
export interface OpenRequest {
  readonly session: string
  readonly params: unknown
  readonly request: ConnectRequest
  readonly events: ReadonlyArray<string>
  readonly opening: number
  readonly settledBelow: number
  readonly sentBelow: number
  readonly pending: ReadonlyArray<number>
}

/** The activation that connections come to. */
export interface AdmissionOwner
  extends Pick<Parts, "services" | "registration" | "runtime" | "turns" | "answers" | "subscribers">
{
  /** The newest attempt of a session that was admitted. */
  readonly openingOf: (session: string) => number
  /** Makes the connection, in its session. */
  readonly makeConnection: (
    open: OpenRequest,
    state: unknown
  ) => Effect.Effect<ServerConnection, DisconnectReason>
  /** The client may go on with its session, and has said what it still wants of it. */
  readonly onAdmitted: (session: Session, open: OpenRequest) => void
  /** The connection, and its hooks, are over. */
  readonly onGone: (connection: ServerConnection) => void
}

export type AnyBehavior = Behavior<unknown, any, any>

export class Admission {
  /** The connections, as the actor sees them. */
  readonly connections = new Cell(HashMap.empty<ConnectionId, Connection<any, any>>())
  behavior: AnyBehavior = {}
  private readonly standing = new SparseMap<ConnectionId, ServerConnection>()
  /** The newest attempt of each session that is being opened. */
  private readonly attempts = new SparseMap<string, { readonly opening: number }>()
  /** What is to be done when the `onConnect` of a connection that has ended has ended too. */
  private readonly leaving = new SparseMap<ServerConnection, () => void>()
  private readonly hooks = new Lane()

  constructor(private readonly owner: AdmissionOwner) {}

  /** The connections that stand now. */
  get all(): ReadonlyArray<ServerConnection> {
    return Array.from(this.standing.values())
  }

  get(id: ConnectionId): ServerConnection | undefined {
    return this.standing.get(id)
  }

  /**
   * Opens a connection. An attempt that is overtaken by a newer one of its session is given up, and so is one that comes
   * after a newer one: it was late, on a link that its client has left.
   */
  open(open: OpenRequest, attachment: Attachment): Effect.Effect<ServerConnection, DisconnectReason> {
    return Effect.suspend(() => {
      const newest = Math.max(this.attempts.get(open.session)?.opening ?? 0, this.owner.openingOf(open.session))
      if (open.opening <= newest) return Effect.fail<DisconnectReason>({ _tag: "Superseded" })
      const attempt = { opening: open.opening }
      const isNewest = () => this.attempts.get(open.session) === attempt
      this.attempts.set(open.session, attempt)
      return this.preflight(open).pipe(
        Effect.flatMap((state) => this.admit(open, state, attachment, isNewest)),
        Effect.ensuring(Effect.sync(() => {
          if (isNewest()) this.attempts.delete(open.session)
        }))
      )
    })
  }

  private preflight({ params, request }: OpenRequest): Effect.Effect<unknown, DisconnectReason> {
    const hook = this.behavior.onBeforeConnect
    if (!hook) return Effect.succeed(undefined)
    const turn = new Turn(this.owner.turns, { readOnly: true })
    const run = Effect.suspend((): Effect.Effect<unknown, unknown, any> => hook({ params, request } as never))
    return run.pipe(
      Effect.locally(currentTurn, turn),
      Effect.annotateLogs(LogAnnotations.of(this.owner.turns.address)),
      Effect.flatMap((state) => this.validateState(state)),
      (hook) => this.withTimeout(hook),
      Effect.catchAllCause((cause) => Effect.fail(this.refusal("onBeforeConnect", cause))),
      Effect.ensuring(Effect.sync(() => {
        turn.sealed = true
      })),
      Background.runIn(this.owner.runtime as Runtime.Runtime<any>)
    )
  }

  private validateState(state: unknown): Effect.Effect<unknown> {
    const valid = this.owner.registration.codecs.connection(state)
    return Either.isRight(valid)
      ? Effect.succeed(state)
      : Effect.dieMessage(`onBeforeConnect returned a bad connection state: ${Codec.describeSafely(valid.left)}`)
  }

  private withTimeout<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | HookTimeout, R> {
    const duration = this.owner.services.options.connectTimeoutMillis
    return Effect.timeoutFail(effect, { duration, onTimeout: () => hookTimeout })
  }

  /** Why a hook that failed refuses the connection. */
  private refusal(
    hook: "onBeforeConnect" | "onConnect",
    cause: Cause.Cause<unknown>,
    connection?: ConnectionId
  ): DisconnectReason {
    const { answers, registration, services: { options: { connectTimeoutMillis } } } = this.owner
    const failure = Cause.failureOption(cause)
    if (failure._tag === "None") return { _tag: "Unavailable", defectId: answers.report(hook, cause, connection) }
    if (failure.value === hookTimeout) return { _tag: "ConnectTimeout", afterMillis: connectTimeoutMillis }
    const { connectError } = registration.codecs.contract
    const encoded = Either.try(() => Codec.encodeOrThrow(connectError, failure.value))
    if (Either.isRight(encoded)) return { _tag: "Denied", error: encoded.right }
    const undenied = Cause.sequential(cause, Cause.die(encoded.left))
    return { _tag: "Unavailable", defectId: answers.report(hook, undenied, connection) }
  }

  /**
   * Once the turn of the connection runs it goes on, whatever becomes of the fiber that asked for it. While it waits nothing
   * is kept for who has given up.
   */
  private admit(
    open: OpenRequest,
    state: unknown,
    attachment: Attachment,
    isNewest: () => boolean
  ): Effect.Effect<ServerConnection, DisconnectReason> {
    const outcome = Deferred.unsafeMake<ServerConnection, DisconnectReason>(FiberId.none)
    let submitted: Job | undefined
    const withdraw = Effect.sync(() => {
      if (submitted?.phase === "queued") this.owner.turns.interrupt(submitted)
    })
    return this.owner.makeConnection(open, state).pipe(
      Effect.map((connection) => {
        const job = this.connectJob(connection, open, attachment, outcome, isNewest)
        if (!isNewest()) return job.options.removed()
        connection.session.connection?.end({ _tag: "Superseded" })
        this.owner.onAdmitted(connection.session, open)
        submitted = job
        this.owner.turns.submit(this.hooks, job)
      }),
      Effect.uninterruptible,
      Effect.zipRight(Deferred.await(outcome)),
      Effect.onInterrupt(() => withdraw)
    )
  }

  private connectJob(
    connection: ServerConnection,
    open: OpenRequest,
    attachment: Attachment,
    outcome: Deferred.Deferred<ServerConnection, DisconnectReason>,
    isNewest: () => boolean
  ): Job {
    const { turns, runtime } = this.owner
    const refuse = (reason: DisconnectReason) => {
      connection.discard()
      this.withdraw(connection)
      // what its releases change goes with what it has changed
      this.disconnectTurn(connection)
      if (connection.scope) Runtime.runFork(runtime)(this.release(connection, reason))
      Deferred.unsafeDone(outcome, Exit.fail(reason))
      this.owner.onGone(connection)
    }
    let entered = false
    return new Job({
      start: () => connection.connectTurn = new Turn(turns, { caller: connection }),
      run: () => {
        // the client may have gone, or asked anew, while the turn was waiting
        if (!isNewest()) return Effect.interrupt
        entered = true
        this.enter(connection, open)
        return this.onConnect(connection)
      },
      end: (exit, turn) => {
        const leave = this.leaving.get(connection)
        this.leaving.delete(connection)
        if (Exit.isFailure(exit)) {
          if (!entered) return refuse({ _tag: "Superseded" })
          return refuse(
            turns.stopped ? { _tag: "ActivationLost" } : this.refusal("onConnect", exit.cause, connection.id)
          )
        }
        turn.outputs.unshift(() => connection.open(attachment))
        const opened = () => Deferred.unsafeDone(outcome, Exit.succeed(connection))
        turns.complete(turn, exit, opened, () => Deferred.unsafeDone(outcome, Exit.fail({ _tag: "ActivationLost" })))
        leave?.()
      },
      removed: () => refuse({ _tag: turns.stopped ? "ActivationLost" : "Superseded" })
    })
  }

  private onConnect(connection: ServerConnection): Effect.Effect<unknown, unknown> {
    const hook = this.behavior.onConnect
    if (!hook) return Effect.void
    return Effect.flatMap(Scope.make(), (scope) => {
      connection.scope = scope
      return Effect.suspend(() => hook(connection) as Effect.Effect<unknown, never, Scope.Scope>).pipe(
        Scope.extend(scope),
        (hook) => this.withTimeout(hook),
        Effect.interruptible
      )
    })
  }

  private enter(connection: ServerConnection, open: OpenRequest): void {
    connection.session.connection = connection
    this.standing.set(connection.id, connection)
    this.owner.registration.meters.connections(1)
    this.connections.current = HashMap.set(this.connections.current, connection.id, connection)
    for (const event of open.events) this.subscribe(connection, event)
  }

  private subscribe(connection: ServerConnection, event: string): void {
    const rejected = this.owner.subscribers.add(connection, event)
    if (rejected !== undefined) connection.push(rejected)
  }

  private withdraw(connection: ServerConnection): void {
    if (this.standing.delete(connection.id)) this.owner.registration.meters.connections(-1)
    this.connections.current = HashMap.remove(this.connections.current, connection.id)
    this.owner.subscribers.removeAll(connection)
  }

  /**
   * The connection has ended: it leaves the map, and its hooks run, as a turn. If it has ended while its `onConnect` ran,
   * and that has failed then, it has never stood, and is gone already.
   */
  leave(connection: ServerConnection, reason: DisconnectReason): void {
    const { turns, answers } = this.owner
    const gone = () => {
      if (!connection.refused) this.owner.onGone(connection)
    }
    turns.submit(
      this.hooks,
      new Job({
        start: () => {
          this.withdraw(connection)
          return this.disconnectTurn(connection)
        },
        run: () => connection.refused ? Effect.void : this.onDisconnect(connection, reason),
        end: (exit, turn) => {
          if (Exit.isFailure(exit))
            answers.report("onDisconnect, or a release of onConnect,", exit.cause, connection.id)
          turns.complete(turn, exit, gone, gone)
        },
        // the activation is lost: the hooks run, but what they change and send is dropped
        removed: () => {
          const drop = () => this.drop(connection, reason)
          // not before `onConnect` has ended; if it fails, the connection has never stood
          if (connection.connectTurn?.sealed === false) this.leaving.set(connection, drop)
          else if (!connection.refused) drop()
        }
      })
    )
  }

  /** The hooks of a connection's end, where nothing can be committed any more. */
  private drop(connection: ServerConnection, reason: DisconnectReason): void {
    const { runtime, turns } = this.owner
    this.withdraw(connection)
    const turn = this.disconnectTurn(connection)
    const hooks = connection.stood ? this.onDisconnect(connection, reason) : this.release(connection, reason)
    const dropped = Effect.locally(hooks, currentTurn, turn).pipe(
      Effect.annotateLogs(LogAnnotations.of(turns.address, connection.id))
    )
    Runtime.runFork(runtime)(
      Effect.ensuring(Effect.ignoreLogged(dropped), Effect.sync(() => this.owner.onGone(connection)))
    )
  }

  private disconnectTurn(connection: ServerConnection): Turn {
    const turn = new Turn(this.owner.turns, { caller: connection })
    if (connection.connectTurn) connection.connectTurn.successor = turn
    return turn
  }

  /** Releases what `onConnect` has acquired. */
  private release({ scope }: ServerConnection, reason: DisconnectReason): Effect.Effect<void> {
    return scope ? Scope.close(scope, Exit.succeed(reason)) : Effect.void
  }

  private onDisconnect(connection: ServerConnection, reason: DisconnectReason): Effect.Effect<unknown> {
    const hook = this.behavior.onDisconnect
    const closed = this.release(connection, reason)
    if (!hook) return closed
    return Effect.flatMap(
      Effect.exit(closed),
      (exit) => Effect.zipRight(Effect.suspend(() => hook(connection, reason) as Effect.Effect<unknown>), exit)
    )
  }
}

/** Travels in the failure channel of a hook, apart from its own errors. */
class HookTimeout {
  readonly _tag = "HookTimeout"
}

const hookTimeout = new HookTimeout()
