/** A host: its implementations, and the activation of each address that is in use. */
import { ActorUnavailable } from "@troupe/contract/ActorError"
import { ActorHost } from "@troupe/contract/ActorHost"
import type { Implementation } from "@troupe/contract/ActorHost"
import * as Address from "@troupe/contract/Address"
import * as Background from "@troupe/contract/Background"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type { Directory } from "@troupe/contract/Directory"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import { type Expirable, Expiry } from "@troupe/contract/Expiry"
import { Flush } from "@troupe/contract/Flush"
import * as Codec from "@troupe/contract/protocol/Codec"
import type * as Frame from "@troupe/contract/protocol/Frame"
import * as Json from "@troupe/contract/protocol/Json"
import { Secrets } from "@troupe/contract/Secrets"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { ActorStore } from "../ActorStore.ts"
import { Connections } from "../Connections.ts"
import { Placement } from "../Placement.ts"
import type { OpenRequest } from "./Admission.ts"
import { AlarmClock } from "./AlarmClock.ts"
import { Farewells } from "./Farewells.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { type Limits, toMillis } from "./Limits.ts"
import { type Keeper, LiveActivation } from "./LiveActivation.ts"
import * as LogAnnotations from "./LogAnnotations.ts"
import { OutgoingCalls } from "./OutgoingCalls.ts"
import * as Recorded from "./Recorded.ts"
import * as Registration from "./Registration.ts"
import type { Attachment, ServerConnection } from "./ServerConnection.ts"
import type { Services } from "./Services.ts"
import * as Start from "./Start.ts"
import type { Loss } from "./Turns.ts"

interface Waking {
  readonly _tag: "Waking"
  readonly registration: Registration.Registration | undefined
  readonly done: Deferred.Deferred<LiveActivation, ActorUnavailable>
  /** Interrupts the fiber that builds it, and tells who waits. What cannot be interrupted goes on, and lets go after that. */
  giveUp?: (cause: Cause.Cause<unknown>) => Effect.Effect<Fiber.Fiber<void>>
}

/** The place of an address in the host. */
type Slot =
  | Waking
  | { readonly _tag: "Awake"; readonly activation: LiveActivation }
  | { readonly _tag: "Leaving"; readonly activation: LiveActivation; readonly done: Deferred.Deferred<void> }

export class Host implements Keeper {
  static readonly make = (options: Limits): Effect.Effect<Host, never, ActorStore | Scope.Scope> =>
    Effect.gen(function*() {
      const store = yield* ActorStore
      const placement = yield* Placement
      const secrets = yield* Secrets
      const { schedule } = yield* Flush
      const clock = yield* Effect.clock
      const fork = yield* Background.fork
      const commits = new GroupCommit(store, fork, schedule, clock)
      let memoryEpoch = 0
      const services: Services = {
        options,
        clock,
        secrets,
        schedule,
        after: (millis, task) => void fork(Effect.delay(Effect.sync(task), millis)),
        store,
        submit: commits.submit,
        retention: new Expiry(clock, fork, store.retentionMillis),
        resumeWindows: new Expiry(clock, fork, options.resumeWindowMillis),
        settle: (made) => host.calls.settle(made),
        callTimeouts: new Expiry(clock, fork, options.callTimeoutMillis),
        nextEpoch: (durability) =>
          durability === "memory" ? Effect.sync(() => ++memoryEpoch) : Effect.orDie(store.nextEpoch)
      }
      const buildTimeouts = new Expiry(clock, fork, options.buildTimeoutMillis)
      const host: Host = new Host(services, placement, fork, buildTimeouts)
      return host
    })

  readonly context: Context.Context<ActorHost | Connections>
  private readonly registrations = new Map<string, Registration.Registration>()
  private readonly slots = new Map<string, Slot>()
  private readonly calls: OutgoingCalls
  /** Contracts whose implementation has left; completed when there is another one. */
  private readonly departed = new Map<string, Deferred.Deferred<void>>()

  private constructor(
    private readonly services: Services,
    private readonly placement: Placement["Type"],
    private readonly fork: Background.Fork,
    private readonly buildTimeouts: Expiry
  ) {
    this.calls = new OutgoingCalls({
      fork,
      services,
      departed: (contract) => this.departed.get(contract),
      holdAwake: (address) => {
        const activation = this.awakeNow(address)
        activation?.hold()
        return activation
      },
      call: (address, call) => this.use(address, (activation) => activation.callInternal(call)),
      settle: (address, id) => this.settle(address, id)
    })
    this.context = Context.make(ActorHost, {
      register: this.register,
      directory: (contract) => this.calls.directory(contract) as Directory<any>
    }).pipe(Context.add(Connections, { open: this.open, resume: this.resume }))
  }

  // --- implementations -----------------------------------------------------------------------------------------------

  private readonly register = (implementation: Implementation): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.map(Background.runtime, (runtime) => {
        const name = implementation.contract.contract
        if (this.registrations.has(name)) throw new Error(`the host has an implementation of ${name} already`)
        const idleMillis = toMillis(
          implementation.options.idleTimeout ?? Duration.millis(this.services.options.idleTimeoutMillis)
        )
        const idle = new Expiry(this.services.clock, this.fork, idleMillis)
        const registration = Registration.make(
          implementation,
          this.services.options,
          runtime,
          idle,
          this.alarmClock(implementation),
          new Farewells(this.services.resumeWindows)
        )
        this.registrations.set(name, registration)
        const departed = this.departed.get(name)
        if (departed) Deferred.unsafeDone(departed, Exit.void)
        this.departed.delete(name)
        registration.alarmClock.start()
        return registration
      }),
      (registration) => this.unregister(registration)
    ).pipe(Effect.asVoid)

  private alarmClock({ contract: { contract }, options }: Implementation): AlarmClock {
    const { clock, store } = this.services
    return new AlarmClock({
      clock,
      fork: this.fork,
      scan: options.durability === "memory" ? undefined : (after, max) => store.alarms({ contract, after, max }),
      deliver: (key) => this.use(Address.make(contract, key), (activation) => Effect.sync(() => activation.fireDue()))
    })
  }

  /** Lets the actors of an implementation finish, and stores them. */
  private unregister(registration: Registration.Registration): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.registrations.delete(registration.contract)
      this.departed.set(registration.contract, Deferred.unsafeMake<void>(FiberId.none))
      registration.alarmClock.stop()
      const leaving = Array.from(this.slots.values()).flatMap((slot) => {
        if (slot._tag === "Waking") return slot.registration === registration ? this.leaveAwoken(slot) : []
        if (slot.activation.registration !== registration) return []
        return slot._tag === "Awake" ? this.leave(slot.activation) : this.seeOff(slot)
      })
      return Effect.all(leaving, { concurrency: "unbounded", discard: true })
    })
  }

  /** An activation that is just being built leaves as soon as it is there, or is given up if that is not in time. */
  private leaveAwoken(slot: Waking): Effect.Effect<void> {
    const millis = this.services.options.shutdownTimeoutMillis * turnsShare
    return Effect.timeoutOption(Effect.interruptible(Effect.exit(Deferred.await(slot.done))), millis).pipe(
      Effect.flatMap(Option.match({
        onNone: () => this.giveUpInTime(slot),
        onSome: Exit.match({ onFailure: () => Effect.void, onSuccess: (activation) => this.leave(activation) })
      }))
    )
  }

  private giveUpInTime({ giveUp }: Waking): Effect.Effect<void> {
    if (!giveUp) return Effect.void
    return Effect.flatMap(giveUp(late), (fiber) => this.inTime(Fiber.await(fiber), 1 - turnsShare))
  }

  /** An activation that is leaving already leaves in time. If it ends for good, and the store does not say so, it is lost. */
  private seeOff({ activation, done }: Extract<Slot, { readonly _tag: "Leaving" }>): Effect.Effect<void> {
    const gone = Deferred.await(done)
    return this.inTime(gone, turnsShare).pipe(
      Effect.zipRight(Effect.sync(() => activation.giveUpEnd())),
      Effect.zipRight(this.inTime(gone, 1 - turnsShare))
    )
  }

  /** Gives something up that takes longer than a shutdown may, also if it cannot be interrupted, as finalizers cannot. */
  private inTime(effect: Effect.Effect<unknown>, share = 1): Effect.Effect<void> {
    const millis = this.services.options.shutdownTimeoutMillis * share
    const given = Effect.disconnect(Effect.interruptible(effect))
    return Effect.asVoid(Effect.timeoutOption(Effect.interruptible(given), millis))
  }

  // --- calls between actors ------------------------------------------------------------------------------------------

  /** A call will not be made again. What a memory actor that is not awake has kept of it is in its registration. */
  private settle(address: Address.Address, id: string): void {
    const activation = this.awakeNow(address)
    if (activation) return activation.settleInternal(id)
    const registration = this.registrations.get(address.contract)
    registration?.parked.get(address.key)?.recorded.delete(id)
    registration?.remains.of(address.key).recorded.delete(id)
  }

  // --- activations ---------------------------------------------------------------------------------------------------

  /** Runs an effect with the activation of an address, which is woken if it sleeps and stays awake meanwhile. */
  private use<A, E>(
    address: Address.Address,
    f: (activation: LiveActivation) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | ActorUnavailable> {
    return Effect.acquireUseRelease(
      this.awake(address),
      f,
      (activation) => Effect.sync(() => activation.release())
    )
  }

  /** The activation of an address, held. */
  private awake(address: Address.Address): Effect.Effect<LiveActivation, ActorUnavailable> {
    return Effect.suspend(() => {
      const slot = this.slots.get(Address.idOf(address))
      switch (slot?._tag) {
        case "Awake":
          slot.activation.hold()
          return Effect.succeed(slot.activation)
        case "Waking":
          return Effect.zipRight(Effect.interruptible(Deferred.await(slot.done)), this.awake(address))
        case "Leaving":
          return Effect.zipRight(Effect.interruptible(Deferred.await(slot.done)), this.awake(address))
        default: {
          const done = Deferred.unsafeMake<LiveActivation, ActorUnavailable>(FiberId.none)
          const registration = this.registrations.get(address.contract)
          const slot: Waking = { _tag: "Waking", registration, done }
          this.slots.set(Address.idOf(address), slot)
          const waking = this.wake(address, slot)
          // its end is waited for when its implementation leaves, and not longer than for a while
          if (registration) Runtime.runFork(registration.runtime)(waking)
          else this.fork(waking)
          return Effect.zipRight(Effect.interruptible(Deferred.await(done)), this.awake(address))
        }
      }
    })
  }

  /** The activation of an address, if it is awake already. */
  private awakeNow(address: Address.Address): LiveActivation | undefined {
    const slot = this.slots.get(Address.idOf(address))
    return slot?._tag === "Awake" ? slot.activation : undefined
  }

  private wake(address: Address.Address, slot: Waking): Effect.Effect<void> {
    const { done, registration } = slot
    const id = Address.idOf(address)
    const activated = (built: Exit.Exit<LiveActivation, unknown>) => {
      // here, where nothing comes between: who is lost before it has its slot is not found in there
      const exit = Exit.flatMap(
        built,
        (activation) =>
          activation.ended ? Exit.die(new Error(`${address} was lost or destroyed while it was being built`)) : built
      )
      const meters = registration?.meters
      meters?.woken(Exit.isSuccess(exit) ? "awake" : "failed")
      if (Exit.isSuccess(exit)) {
        meters?.activations(1)
        // not before: who has not been built has nothing to leave behind, and has examined no turn
        registration?.parked.delete(address.key)
        registration?.careful.delete(address.key)
        this.slots.set(id, { _tag: "Awake", activation: exit.value })
        Deferred.unsafeDone(done, Exit.succeed(exit.value))
        exit.value.showAlarms()
        exit.value.restIfIdle()
        return Effect.void
      }
      this.slots.delete(id)
      const defectId = this.services.secrets.next()
      Deferred.unsafeDone(done, Exit.fail(new ActorUnavailable({ address, defectId })))
      const failed = `${address} could not be activated`
      const log = Cause.contains(exit.cause, late)
        ? Effect.logInfo(`${failed}: its implementation has left`)
        : Effect.logError(failed, exit.cause)
      return Effect.annotateLogs(log, {
        ...LogAnnotations.of(address),
        defect: defectId
      })
    }
    // who waits is told also if the host goes meanwhile
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime((fiber) => {
        let over = false
        const settle = (built: Exit.Exit<LiveActivation, unknown>) => {
          if (over) return Exit.isSuccess(built) ? Scope.close(built.value.scope, Exit.void) : Effect.void
          over = true
          this.buildTimeouts.stop(timeout)
          return activated(built)
        }
        const giveUp = slot.giveUp = (cause) => {
          fiber.unsafeInterruptAsFork(FiberId.none)
          return Effect.as(settle(Exit.failCause(cause)), fiber)
        }
        const timeout: Expirable = {
          onExpired: () => {
            const issue = `its build took more than ${this.services.options.buildTimeoutMillis} ms`
            this.fork(Effect.asVoid(giveUp(Cause.die(new Error(issue)))), registration?.runtime)
          }
        }
        return Effect.flatMap(Effect.exit(restore(this.activate(address, registration, timeout))), settle)
      })
    )
  }

  /** Runs in a fiber of its own, with what its implementation has. */
  private readonly activate = Effect.fnUntraced(function*(
    this: Host,
    address: Address.Address,
    registration: Registration.Registration | undefined,
    buildTimeout: Expirable
  ) {
    if (!registration) {
      return yield* this.departed.has(address.contract)
        ? Effect.failCause(late)
        : Effect.dieMessage(`nobody implements ${address.contract} here`)
    }
    const scope = yield* Scope.make()
    yield* FiberRef.set(FiberRef.currentContext, Context.add(registration.runtime.context, Scope.Scope, scope))
    yield* FiberRef.update(FiberRef.currentLogAnnotations, (annotations) => LogAnnotations.add(annotations, address))
    return yield* Effect.gen(this, function*() {
      yield* Effect.provideService(this.placement.acquire(address), Scope.Scope, scope)
      const { start, recorded } = yield* Start.of(this.services, registration, address)
      const activation = new LiveActivation(
        { services: this.services, registration, address, scope, start, recorded },
        this
      )
      this.buildTimeouts.start(buildTimeout)
      yield* activation.build
      return this.registrations.get(address.contract) === registration ? activation : yield* Effect.failCause(late)
    }).pipe(Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))))
  })

  onIdle(activation: LiveActivation): void {
    if (activation.idle) this.fork(this.leave(activation))
  }

  /** Takes an activation out of memory in good order, or by force after the time for that. */
  private leave(activation: LiveActivation): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.depart(activation)) return Effect.void
      return this.inTime(activation.shutdown, turnsShare).pipe(
        Effect.zipRight(Effect.sync(() => activation.leave())),
        Effect.zipRight(this.inTime(Scope.close(activation.scope, Exit.void), 1 - turnsShare)),
        Effect.catchAllCause((cause) => Effect.logError(`${activation.address} did not shut down`, cause)),
        Effect.annotateLogs(LogAnnotations.of(activation.address)),
        Effect.ensuring(Effect.sync(() => {
          activation.leave()
          this.park(activation)
          this.vacate(activation)
        }))
      )
    })
  }

  /** Keeps what a memory actor leaves behind. */
  private park(activation: LiveActivation): void {
    const { registration: { alarmClock, durability, parked }, address: { key } } = activation
    if (durability !== "memory" || activation.endedForGood) return
    const left = activation.park()
    if (left) parked.set(key, left)
    alarmClock.replace(key, activation.turns.alarms.next)
  }

  /** The activation was lost: the next use wakes another. */
  onLost(activation: LiveActivation, { encoding }: Loss): void {
    const { registration, address, scope } = activation
    if (encoding) registration.careful.add(address.key)
    this.vacate(activation)
    // what it has fired and not committed is still there
    if (activation.turns.alarms.used) registration.alarmClock.onLost(address.key)
    this.fork(Scope.close(scope, Exit.void))
  }

  /** The actor was destroyed: the next use begins anew. */
  onDestroyed(activation: LiveActivation): void {
    const { registration, address, scope, services: { clock } } = activation
    registration.alarmClock.replace(address.key, undefined)
    if (registration.durability === "memory") {
      registration.parked.delete(address.key)
      registration.remains.next(address.key, Recorded.ofNamed(activation.outliving(), clock.unsafeCurrentTimeMillis()))
    }
    this.fork(Effect.ensuring(this.inTime(Scope.close(scope, Exit.void)), Effect.sync(() => this.vacate(activation))))
  }

  onDestroying(activation: LiveActivation): void {
    this.depart(activation)
  }

  /** Makes whoever needs the address wait until the activation has gone. False if it is going already, or has gone. */
  private depart(activation: LiveActivation): boolean {
    const id = Address.idOf(activation.address)
    const slot = this.slots.get(id)
    if (slot?._tag !== "Awake" || slot.activation !== activation) return false
    this.slots.set(id, { _tag: "Leaving", activation, done: Deferred.unsafeMake<void>(FiberId.none) })
    return true
  }

  /** The address is free for the next activation. */
  private vacate(activation: LiveActivation): void {
    const id = Address.idOf(activation.address)
    const slot = this.slots.get(id)
    if (!slot || slot._tag === "Waking" || slot.activation !== activation) return
    this.slots.delete(id)
    activation.registration.meters.activations(-1)
    if (slot._tag === "Leaving") Deferred.unsafeDone(slot.done, Exit.void)
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  private readonly open = (
    frame: Frame.ClientFrameOf<"Open">,
    request: ConnectRequest,
    attachment: Attachment
  ): Effect.Effect<ServerConnection, DisconnectReason> =>
    Effect.suspend(() => {
      const registration = this.registrations.get(frame.contract)
      if (!registration) return refuse({ _tag: "UnknownActor", issue: `there is no actor ${frame.contract} here` })
      return this.openIn(registration, frame, request, attachment).pipe(
        Effect.catchAllDefect((defect) => this.onOpenDied(frame, defect)),
        Effect.tapError(({ _tag }) => Effect.sync(() => registration.meters.refused(_tag)))
      )
    })

  private openIn(
    registration: Registration.Registration,
    frame: Frame.ClientFrameOf<"Open">,
    request: ConnectRequest,
    attachment: Attachment
  ): Effect.Effect<ServerConnection, DisconnectReason> {
    return Effect.suspend(() => {
      const issue = Address.keyIssue(frame.key, this.services.options.keyBytesMax)
      if (issue) return refuse({ _tag: "UnknownActor", issue })
      const unknownEvent = frame.events.find((event) => !registration.codecs.contract.events.has(event))
      if (unknownEvent !== undefined) {
        return refuse({ _tag: "UnknownActor", issue: `${frame.contract} has no event ${unknownEvent}` })
      }
      const pendingMax = Math.max(this.services.options.window, pendingAtLeast)
      if (frame.pending.length > pendingMax) {
        return refuse({ _tag: "ProtocolViolation", issue: `more than ${pendingMax} calls are to be sent again` })
      }
      const unfit = Json.issueOf(frame.params, this.services.options.depthMax)
      if (unfit) return refuse({ _tag: "InvalidParams", issue: unfit })
      const params = registration.codecs.contract.params.decode(frame.params)
      if (Either.isLeft(params)) return refuse({ _tag: "InvalidParams", issue: Codec.describe(params.left) })
      const { session, events, opening, settledBelow, sentBelow, pending } = frame
      const open: OpenRequest = {
        session,
        params: params.right,
        request,
        events,
        opening,
        settledBelow,
        sentBelow,
        pending
      }
      return this.use(Address.make(frame.contract, frame.key), (activation) => activation.open(open, attachment)).pipe(
        Effect.catchTag("ActorUnavailable", ({ defectId }) => refuse({ _tag: "Unavailable", defectId }))
      )
    })
  }

  /** At worst by a mistake in here: who asks must get an answer all the same. */
  private onOpenDied(
    { contract, key }: Frame.ClientFrameOf<"Open">,
    defect: unknown
  ): Effect.Effect<never, DisconnectReason> {
    const defectId = this.services.secrets.next()
    const log = Effect.annotateLogs(Effect.logError("a connection could not be opened", Cause.die(defect)), {
      ...LogAnnotations.of({ contract, key }),
      defect: defectId
    })
    return Effect.zipRight(log, refuse({ _tag: "Unavailable", defectId }))
  }

  private readonly resume = (
    { contract, key, connectionId, ...resumption }: Frame.ClientFrameOf<"Resume">,
    attachment: Attachment
  ): DisconnectReason | undefined => {
    // an address has neither empty, and whoever makes one of that dies
    const activation = contract && key ? this.awakeNow(Address.make(contract, key)) : undefined
    if (activation) return activation.resume(connectionId, resumption, attachment)
    const registration = this.registrations.get(contract)
    registration?.meters.resumed("refused")
    return registration?.farewells.onResume(resumption.token) ?? { _tag: "ActivationLost" }
  }
}

/** Who needs an actor whose implementation has left, or leaves before it is built: that is nobody's mistake. */
const late = Cause.fail(Symbol("late"))

/** How many calls a client may say that it will send again: another server may have had a larger window. */
const pendingAtLeast = 4096

/** How much of the time for a shutdown turns have to end; the rest is for the releases of those that did not. */
const turnsShare = 0.8

const refuse = (reason: DisconnectReason) => Effect.fail(reason)
