/** What the clients of the simulation do, and how a seed is run. */
import { ActorClient, type Connection } from "@troupe/client"
import { Gap } from "@troupe/contract"
import { Simulation } from "@troupe/testing"
import { Cause, type Chunk, Clock, Effect, Either, Exit, Fiber, Layer, Option, Random, Schedule, Stream } from "effect"
import { type Circumstances, type ClientKind, History, type Operation, type Outcome, sentOf } from "./History.ts"
import { type Entry, Log, logLive, onlooker } from "./Log.ts"
import * as Themes from "./Themes.ts"

const pickKind = (weights: Themes.Weights) =>
  Effect.map(Random.nextIntBetween(0, weights.reduce((sum, [, weight]) => sum + weight, 0)), (drawn): ClientKind => {
    let left = drawn
    for (const [kind, weight] of weights) {
      if (left < weight) return kind
      left -= weight
    }
    return "Add"
  })

/** What a seed decides beside the faults. */
interface Plan {
  readonly logs: ReadonlyArray<string>
  readonly clients: number
  readonly calls: number
  readonly hosts: number
  readonly theme: Themes.Theme
}

const planOf = (seed: number, name = Themes.of(seed)): Plan => {
  const theme = Themes.themes[name]
  return {
    logs: ["a", "b", "c"].slice(0, Math.max(theme.logsMin, 1 + seed % theme.logsMax)),
    clients: Math.max(theme.clientsMin, 1 + Math.floor(seed / 3) % 3),
    calls: 8 + Math.floor(seed / 9) % 12,
    hosts: Math.min(theme.hostsMax, seed % 4 === 0 ? 2 : 1),
    theme
  }
}

type LogConnection = Connection.Connection<(typeof Log)["definition"]>

const outcomeOf = (exit: Exit.Exit<number | void, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Success", value: typeof exit.value === "number" ? exit.value : undefined }
  if (Cause.isInterruptedOnly(exit.cause)) return { _tag: "Interrupted" }
  const error = Cause.squash(exit.cause)
  const { _tag: tag, op } = Object(error) as { readonly _tag?: string; readonly op?: string }
  return { _tag: "Failure", error: tag ?? String(error), sent: sentOf(error), of: op }
}

class ClientOfLogs {
  private sessions = 0

  constructor(
    private readonly name: string,
    private readonly plan: Plan,
    private readonly history: History
  ) {}

  readonly program = Effect.gen(this, function*() {
    const { plan } = this
    const key = yield* Random.shuffle(plan.logs)
    const count = yield* Random.nextIntBetween(1, Math.min(3, plan.logs.length + 1))
    const { status } = yield* ActorClient.ActorClient
    const waits: Array<number> = []
    yield* Effect.forkScoped(
      Stream.runForEach(status.changes, (status) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (status._tag === "Waiting" && Option.isSome(status.retryAt)) waits.push(status.retryAt.value - now)
        }))
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => this.history.waits(this.name, waits)))
    yield* Effect.forEach(Array.from(key).slice(0, count), (log) => this.visits(log), {
      concurrency: "unbounded",
      discard: true
    })
  })

  private visits(log: string): Effect.Effect<void, never, ActorClient.ActorClient> {
    return Effect.iterate(0, {
      while: (visit) => visit < this.plan.theme.visits,
      body: (visit) => Effect.as(this.visit(log, visit), visit + 1)
    })
  }

  /** The name of an operation of a visit. */
  private opOf(log: string, visit: number, what: string | number): string {
    return `${log}/${this.name.replaceAll(" ", "")}/${visit === 0 ? "" : `${visit}/`}${what}`
  }

  /** One session with one log. */
  private visit(log: string, visit: number): Effect.Effect<void, never, ActorClient.ActorClient> {
    return Effect.scoped(Effect.gen(this, function*() {
      const named = (yield* Random.nextBoolean) ? ["added"] as const : []
      const connection: LogConnection = yield* Effect.suspend(() =>
        // each attempt is a session, and has a name of its own
        ActorClient.connect(Log, log, { params: { name: `${this.name}/${++this.sessions}` }, events: named })
      ).pipe(
        // a first connect may meet a host that cannot open it now; it says so
        Effect.retry(Schedule.spaced("1 second")),
        Effect.orDie
      )
      const subscribed = yield* Effect.either(connection.events("added"))
      // the actor can have disconnected it by now
      if (Either.isLeft(subscribed))
        return (yield* isDismissed(connection))
          ? undefined
          : yield* Effect.die(subscribed.left)
      const added = subscribed.right
      const called = this.history.operations.length
      const events = new Heard()
      const reading = yield* Effect.fork(
        Stream.runForEach(
          added,
          (event) => Effect.sync(() => events.hear(event instanceof Gap.Gap ? undefined : event.index))
        )
      )
      const wandering = yield* Effect.fork(this.plan.theme.restless ? this.wander(connection, log) : Effect.void)
      yield* Fiber.awaitAll(yield* this.calls(connection, log, visit))
      yield* Fiber.interrupt(wandering)
      yield* this.hearLast(connection, log, events, visit, 0)
      yield* Fiber.interrupt(reading)
      this.history.events(`${this.name} of ${log}`, events.seen)
      this.history.eventsSince(`${this.name} of ${log}`, log, called, events.seen)
    }))
  }

  /** The subscription lives: what is added last is heard, or that something was missed; then it is tried again. */
  private hearLast(
    connection: LogConnection,
    log: string,
    events: Heard,
    visit: number,
    attempt: number
  ): Effect.Effect<void> {
    const op = this.opOf(log, visit, `last${attempt}`)
    return Effect.gen(this, function*() {
      const { gaps } = events
      const operation = this.history.call({ client: this.name, log, to: undefined, kind: "Add", op })
      const exit = yield* Effect.exit(connection.rpc.Add({ op }))
      this.history.end(operation, outcomeOf(exit))
      if (yield* isDismissed(connection)) return
      // an answer may have become too old to be waited for, or the log may have ended while nobody was told
      if (
        operation.outcome._tag === "Failure" && ["OutcomeUnknown", "ActorDestroyed"].includes(operation.outcome.error)
      ) {
        return yield* this.hearLast(connection, log, events, visit, attempt + 1)
      }
      if (Exit.isFailure(exit))
        return yield* Effect.die(new Error(`the last call has failed: ${Cause.pretty(exit.cause)}`))
      const heard = yield* Effect.race(events.await(exit.value, gaps), Effect.as(awaitDismissed(connection), true))
      if (!heard) yield* this.hearLast(connection, log, events, visit, attempt + 1)
    })
  }

  /** Subscribes and unsubscribes, again and again. */
  private wander(connection: LogConnection, log: string): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      yield* Effect.sleep(yield* Random.nextIntBetween(0, 3000))
      const patience = yield* Random.nextIntBetween(0, 4000)
      const who = `${this.name} of ${log}`
      if (yield* Random.nextBoolean) {
        const heard = new Heard()
        yield* Stream.unwrapScoped(connection.events("added")).pipe(
          Stream.runForEach((event) =>
            Effect.sync(() => heard.hear(event instanceof Gap.Gap ? undefined : event.index))
          ),
          Effect.timeoutOption(patience),
          Effect.ignore
        )
        this.history.events(who, heard.seen)
      } else {
        const heard: Array<typeof Entry.Type> = []
        yield* Stream.unwrapScoped(connection.events("newest")).pipe(
          Stream.runForEach((event) => Effect.sync(() => heard.push(event))),
          Effect.timeoutOption(patience),
          Effect.ignore
        )
        this.history.newest(who, heard)
      }
    }).pipe(Effect.forever)
  }

  private calls(connection: LogConnection, log: string, visit: number) {
    return Effect.gen(this, function*() {
      const { theme } = this.plan
      const calls = Math.ceil(this.plan.calls / theme.visits)
      const fibers: Array<Fiber.Fiber<unknown>> = []
      for (let i = 0; i < calls; i++) {
        if (yield* chance(theme.idling)) yield* Effect.sleep(yield* Random.nextIntBetween(0, 2000))
        const op = this.opOf(log, visit, i)
        fibers.push(yield* Effect.fork(this.call(connection, log, op, yield* pickKind(theme.kinds))))
        if (yield* chance(theme.absences.chance)) {
          yield* ActorClient.pause
          yield* Effect.sleep(yield* Random.nextIntBetween(0, theme.absences.millisMax))
          yield* ActorClient.resume
        }
      }
      return fibers
    })
  }

  private call(connection: LogConnection, log: string, op: string, kind: ClientKind) {
    return Effect.gen(this, function*() {
      const others = this.plan.logs.filter((key) => key !== log)
      const to = others[yield* Random.nextIntBetween(0, Math.max(1, others.length))]
      const isBrought = kind === "Forward" || kind === "End"
      // who calls on to itself would wait for itself
      const actual: ClientKind = isBrought && to === undefined ? "Add" : kind
      const impatient = yield* chance(this.plan.theme.impatience)
      const patience = yield* Random.nextIntBetween(0, 3000)
      let operation: Operation | undefined
      const performed = Effect.suspend(() => {
        operation = this.history.call({
          client: this.name,
          log,
          to: isBrought ? to : undefined,
          kind: actual,
          op
        })
        return this.perform(connection, log, actual, op, to)
      })
      const limited = impatient
        ? Effect.timeoutFail(performed, { duration: patience, onTimeout: () => "late" })
        : performed
      const exit = yield* Effect.exit(limited)
      const late = Exit.isFailure(exit) && Cause.squash(exit.cause) === "late"
      if (operation) this.history.end(operation, late ? { _tag: "Interrupted" } : outcomeOf(exit))
    })
  }

  private perform(
    { rpc }: LogConnection,
    log: string,
    kind: ClientKind,
    op: string,
    to: string | undefined
  ): Effect.Effect<number | void, unknown> {
    switch (kind) {
      case "Forward":
      case "End":
        return rpc[kind]({ op, to: to! })
      case "Length":
        return rpc.Length()
      case "Dismiss":
        return rpc.Dismiss()
      case "Follow":
        return Effect.gen(this, function*() {
          const to = yield* Random.nextIntBetween(1, 6)
          const seen: Array<typeof Entry.Type> = []
          yield* rpc.Follow({ from: 0, to }).pipe(
            Stream.runForEach((entry) => Effect.sync(() => seen.push(entry))),
            // nobody may add so many
            Effect.timeoutOption("20 seconds"),
            Effect.ensuring(Effect.sync(() => this.history.entries(this.name, log, seen)))
          )
        })
      case "Count":
        return Effect.gen(this, function*() {
          const to = yield* Random.nextIntBetween(1, 60)
          const seen: Array<number> = []
          // now and then for longer than a connection waits
          const pause = Effect.flatMap(
            chance(0.5),
            (long) => Random.nextIntBetween(0, long ? 15_000 : 300)
          )
          const read = (numbers: Chunk.Chunk<number>) =>
            Effect.zipRight(Effect.sync(() => seen.push(...numbers)), Effect.flatMap(pause, Effect.sleep))
          const exit = yield* Effect.exit(Stream.runForEachChunk(rpc.Count({ to }), read))
          this.history.followed(this.name, seen, Exit.isSuccess(exit) ? to : undefined)
          yield* exit
        })
      default:
        return rpc[kind]({ op })
    }
  }
}

/** Calls logs from outside of them, in each life of its host. */
const backendLive = ({ logs, theme }: Plan, history: History) => {
  let lives = 0
  let calls = 0
  const errand = Effect.fnUntraced(function*(client: string) {
    yield* Effect.sleep(yield* Random.nextIntBetween(0, 4000))
    const [log] = yield* Random.shuffle(logs)
    const kind = (yield* Random.nextBoolean) ? "Receive" : "ReceiveBeside"
    const op = `${log}/backend/${++calls}`
    const operation = history.call({ client, log: log!, to: undefined, kind, op })
    // it may go with its host
    history.end(operation, { _tag: "Interrupted" })
    const exit = yield* Effect.exit((yield* Log).get(log!)[kind]({ op }))
    const outcome = outcomeOf(exit)
    const isUncertain = outcome._tag === "Failure" && outcome.sent === undefined
    history.end(operation, isUncertain ? { ...outcome, sent: "maybe" } : outcome)
  })
  const errands = Effect.suspend(() => Effect.repeatN(errand(`backend ${++lives}`), theme.errands - 1))
  return Layer.scopedDiscard(Effect.forkScoped(Effect.interruptible(errands)))
}

/** What a reader of events has heard: indices, and `undefined` for a gap. */
class Heard {
  readonly seen: Array<number | undefined> = []
  private wake: (() => void) | undefined

  hear(index: number | undefined): void {
    this.seen.push(index)
    this.wake?.()
  }

  /** Waits until an event has been heard, or there are more gaps: then it may have been missed. Returns whether it was heard. */
  await(index: number, gaps: number): Effect.Effect<boolean> {
    return Effect.async((resume) => {
      const look = () => {
        if (this.seen.some((seen) => seen !== undefined && seen >= index)) resume(Effect.succeed(true))
        else if (this.gaps > gaps) resume(Effect.succeed(false))
      }
      this.wake = look
      look()
    })
  }

  get gaps(): number {
    return this.seen.filter((index) => index === undefined).length
  }
}

const awaitDismissed = ({ status }: LogConnection) =>
  Stream.runDrain(Stream.takeUntil(status.changes, ({ _tag }) => _tag === "Closed"))

/** Whether the connection has ended for good, as the actor can make it. */
const isDismissed = ({ status }: LogConnection) => Effect.map(status.get, ({ _tag }) => _tag === "Closed")

const chance = (probability: number) => Effect.map(Random.next, (drawn) => drawn < probability)

const circumstancesOf = (
  { hosts, theme: { kinds, resumes, stays } }: Plan,
  { crashes, faults }: Simulation.Report,
  poisoned: boolean
): Circumstances => {
  const linksOnly = faults.crashMean === 0 && faults.stopMean === 0 && faults.jumpMean === 0 && faults.storeError === 0
    && faults.storeLoss === 0 && !poisoned && faults.storeHang === 0
    // the clock of another host may take an actor over, to fire an alarm
    && hosts === 1
  return {
    hosts,
    crashes,
    dismissed: kinds.some(([kind]) => kind === "Dismiss" || kind === "End"),
    ended: kinds.some(([kind]) => kind === "End"),
    kept: linksOnly && stays,
    undisturbed: linksOnly && resumes
  }
}

export interface SeedOptions {
  readonly keepTrace?: boolean
  readonly faults?: Partial<Simulation.Faults>
  /** Instead of that of the seed. */
  readonly theme?: Themes.Name | undefined
}

/** Runs a seed, and checks what has come of it. */
export const runSeed = (
  seed: number,
  { faults, keepTrace = false, theme }: SeedOptions = {}
): Effect.Effect<Simulation.Report> =>
  Effect.gen(function*() {
    const plan = planOf(seed, theme)
    let now = () => 0
    const history = new History(() => now(), true, plan.theme.manners.durability === "memory")
    const logs = new Map<string, ReadonlyArray<string>>()
    const live = logLive(history.watch, plan.theme.manners)
    const withClock = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Effect.clock, (clock) => {
        now = () => clock.unsafeCurrentTimeMillis()
        return effect
      })
    const report = yield* Simulation.run({
      seed,
      keepTrace,
      faults: { ...plan.theme.faults, ...faults },
      faultsFor: plan.theme.faultsFor,
      hosts: plan.hosts,
      host: plan.theme.host,
      gateway: plan.theme.gateway,
      actors: [Log],
      implementations: plan.theme.errands > 0 ? Layer.provideMerge(backendLive(plan, history), live) : live,
      clients: Array.from(
        { length: plan.clients },
        (_, i) => withClock(new ClientOfLogs(`client ${i + 1}`, plan, history).program)
      ),
      afterwards: Effect.gen(function*() {
        // alarms that were set last are due, and those that have failed are tried again
        yield* Effect.sleep("5 minutes")
        for (const key of plan.logs) {
          const all = yield* Effect.scoped(Effect.flatMap(
            ActorClient.connect(Log, key, { params: { name: onlooker } }),
            ({ rpc }) => rpc.All()
          )).pipe(Effect.orDie)
          logs.set(key, [...history.past(key), ...all])
        }
      }),
      onCommit: history.onCommit,
      onMessage: history.onMessage
    })
    if (report.problems.length === 0) history.check(logs, circumstancesOf(plan, report, history.poisoned))
    else history.tellRunning()
    return { ...report, problems: [...report.problems, ...history.problems] }
  })
