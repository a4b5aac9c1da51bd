/**
 * Deterministic simulation: clients, hosts and actors in one process under virtual time, over the real client, connection,
 * host and commit code. Only links, clock, chance and store are replaced, and all of them are steered by one seed: the same
 * seed is the same run, to the last frame. After a time in which everything goes wrong, everything heals, and within a
 * bounded time all must have come to an end.
 *
 * The idea, and the division into safety under faults and liveness after them, is that of the simulators of FoundationDB
 * and TigerBeetle.
 */
import * as ActorClient from "@troupe/client/ActorClient"
import type { ActorHost } from "@troupe/contract/ActorHost"
import type { Any } from "@troupe/contract/Definition"
import { Transport } from "@troupe/contract/Transport"
import type { Implementations } from "@troupe/server/ActorServer"
import type { Commit } from "@troupe/server/ActorStore"
import type * as Gateway from "@troupe/server/Gateway"
import type * as HostOptions from "@troupe/server/HostOptions"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Checked from "./internal/Checked.ts"
import type { Sent } from "./internal/Sent.ts"
import * as Server from "./internal/Server.ts"
import { beside, Dice } from "./internal/simulation/Dice.ts"
import * as Faults from "./internal/simulation/Faults.ts"
import { Hosts } from "./internal/simulation/Hosts.ts"
import { inOneLine } from "./internal/simulation/Logged.ts"
import { Endless } from "./internal/simulation/VirtualTime.ts"
import { World } from "./internal/simulation/World.ts"

export type { Faults } from "./internal/simulation/Faults.ts"

/** Nothing goes wrong, to begin with what a test wants: `{ ...Simulation.noFaults, cut: 0.1 }`. What is said takes up to 5 ms. */
export const noFaults: Faults.Faults = Faults.none

/** What is simulated. */
export interface Options<Actors extends ReadonlyArray<Any>> {
  /** Everything that happens follows from it. A whole number from 0 on. */
  readonly seed: number
  /** The contracts that clients can reach. */
  readonly actors: Actors
  /** Their implementations, built anew with each life of a host. */
  readonly implementations: Layer.Layer<Implementations<Actors>, never, ActorHost>
  /**
   * What each client does. It has a client of its own, and ends when all that it has asked for has ended, which must be
   * possible after everything has healed. Chance comes from Effect's `Random`. A defect is a problem.
   */
  readonly clients: ReadonlyArray<Effect.Effect<void, never, ActorClient.ActorClient | Scope.Scope>>
  /** What is done, as by another client, when all have ended: the place to look at what has become of the actors. */
  readonly afterwards?: Effect.Effect<void, never, ActorClient.ActorClient | Scope.Scope>
  /** At least 1, which is the default. */
  readonly hosts?: number
  /** What goes wrong. What is left out, or `undefined`, is drawn from the seed. */
  readonly faults?: Partial<Faults.Faults>
  /** For how long things go wrong, at most. Default: 1 minute. */
  readonly faultsFor?: Duration.DurationInput
  /** How long after that everything must have ended. Default: 15 minutes. */
  readonly settleWithin?: Duration.DurationInput
  /**
   * How many tasks of fibers, of the network and of the store are run at most: what goes on for ever is a problem. A client
   * that makes 20 calls takes some thousand of them. Default: 2 million.
   */
  readonly tasksMax?: number
  readonly host?: HostOptions.Options
  readonly gateway?: Omit<Gateway.Options, "actors">
  readonly client?: ActorClient.Options
  /** Called for each commit that the store has applied. */
  readonly onCommit?: (commit: Commit) => void
  /** Called for each message that one side hands to a link. Returns what is wrong with it, if something is. */
  readonly onMessage?: (sent: Sent) => string | undefined
  /** Whether the lines of the trace are kept. Default: no. */
  readonly keepTrace?: boolean
}

/** What has happened. */
export interface Report {
  readonly seed: number
  /** What went wrong that must not: empty if all is well. */
  readonly problems: ReadonlyArray<string>
  /** What went wrong on purpose. */
  readonly faults: Faults.Faults
  /** Everything that happened, a line each, if it was to be kept. */
  readonly trace: ReadonlyArray<string>
  /** How many lines there were, and what tells them from those of another run. */
  readonly traceLength: number
  readonly digest: string
  readonly virtualMillis: number
  readonly crashes: number
}

/**
 * Runs a simulation to its end, in one go: nothing else runs in the process meanwhile. An option that makes no sense is a
 * defect, before anything has happened.
 */
export const run = <const Actors extends ReadonlyArray<Any>>(options: Options<Actors>): Effect.Effect<Report> =>
  Effect.sync(() => new Run(options).report())

/**
 * Runs a simulation twice, with all that is around it in the effect. It is a problem if the second is another run: then
 * something in it comes neither from the seed nor from the simulation's time, and what it finds cannot be found again. The
 * report is that of the second run. With `keepTrace` it says where they part.
 *
 * ```ts
 * import { Simulation } from "@troupe/testing"
 * import type { Effect } from "effect"
 *
 * declare const runSeed: (seed: number) => Effect.Effect<Simulation.Report>
 *
 * export const report = Simulation.twice(runSeed(1))
 * ```
 */
export const twice = <E, R>(simulation: Effect.Effect<Report, E, R>): Effect.Effect<Report, E, R> =>
  Effect.zipWith(
    simulation,
    simulation,
    (once, again) =>
      once.digest === again.digest && once.traceLength === again.traceLength
        ? again
        : { ...again, problems: [`the same seed was not the same run: ${partingOf(once, again)}`, ...again.problems] }
  )

const partingOf = ({ trace: once, traceLength }: Report, { trace: again }: Report): string => {
  const differs = Array.from({ length: Math.max(once.length, again.length) }).findIndex((_, i) => once[i] !== again[i])
  if (differs === -1) return `\`keepTrace\` shows where the ${traceLength} lines of its trace change`
  const [here, there] = [once, again].map((trace) => trace[differs] ?? "nothing")
  return `line ${differs + 1} of its trace was "${here}", and then "${there}"`
}

/** So that what waits for a time of its own, an actor's sleep, is over. */
const quietMillis = 5 * 60_000

/** Why something may not end where nothing else is known. */
const outside =
  "it waits for another, goes round for ever, or waits for what is outside of the simulation, as a promise is"

class Run<Actors extends ReadonlyArray<Any>> {
  private readonly world: World
  private readonly problems: Array<string> = []
  private hosts: Hosts | undefined
  private readonly faults: Faults.Faults
  private readonly hostCount: number
  private readonly faultsForMillis: number
  private readonly settleMillis: number

  constructor(private readonly options: Options<Actors>) {
    const { keepTrace = false, onCommit = () => {}, onMessage } = options
    const seed = Checked.seed(options.seed)
    this.faults = { ...Faults.draw(new Dice(beside(seed))), ...Faults.given(options.faults ?? {}) }
    this.hostCount = Checked.whole("hosts", options.hosts ?? 1, 1)
    this.faultsForMillis = Checked.millis("faultsFor", options.faultsFor ?? "1 minute")
    this.settleMillis = Checked.millis("settleWithin", options.settleWithin ?? "15 minutes")
    this.world = new World({
      seed,
      keepTrace,
      tasksMax: Checked.whole("tasksMax", options.tasksMax ?? 2_000_000, 1),
      onCommit,
      onMessage: (sent) => {
        const issue = onMessage?.(sent)
        if (issue !== undefined) this.problem(issue)
      }
    })
  }

  /** `traced`: how it is told in the trace, which is the same whenever the seed is run. */
  private problem(text: string, traced = text): void {
    this.world.trace.add("problem", traced)
    this.problems.push(text)
  }

  report(): Report {
    const { time, trace } = this.world
    const begun = time.now
    try {
      this.live()
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error)
      const where = error instanceof Error && !(error instanceof Endless) ? error.stack ?? what : what
      this.problem(`${where}\nthe last line of the trace: ${trace.last}`, what)
    }
    return {
      seed: this.options.seed,
      problems: this.problems,
      faults: this.faults,
      trace: trace.lines,
      traceLength: trace.length,
      digest: trace.digest,
      virtualMillis: time.now - begun,
      crashes: this.hosts?.crashes ?? 0
    }
  }

  private live(): void {
    const { time } = this.world
    const hosts = this.hosts = Hosts.make(this.world, this.hostCount, this.serverOf)
    if (!this.succeeds("the start of the hosts", hosts.start)) return
    this.world.faults = this.faults
    const fates = Object.entries({ "what happens to the hosts": hosts.live, "what happens to the clock": this.jumps })
      .map(([what, fate]) => [what, this.world.begin(what, fate)] as const)
    const clients = this.options.clients.map((program, i) => {
      const name = `client ${i + 1}`
      return this.world.begin(name, this.asClient(name, program))
    })
    const ended = () => clients.every(({ exit }) => exit() !== null)
    time.run(ended, time.now + this.faultsForMillis)
    this.world.heal()
    const settled = () => ended() && fates.every(([, { exit }]) => exit() !== null)
    time.run(settled, time.now + this.settleMillis)
    clients.forEach(({ exit }, i) => this.expect(`client ${i + 1}`, exit()))
    for (const [what, { exit }] of fates) this.expect(what, exit())
    const { afterwards } = this.options
    if (this.problems.length === 0 && afterwards) {
      const done = this.asClient("client 0", afterwards)
      if (!this.succeeds("what is done afterwards", done)) return
    }
    if (!this.succeeds("the end of the hosts", Effect.zipRight(Effect.sleep(quietMillis), hosts.stop))) return
    time.run(() => false, time.now + quietMillis)
    if (this.problems.length === 0 && time.pending > 0)
      this.problem(`${time.pending} things still wait for a time: of ${time.whoWaits}`)
  }

  private succeeds(what: string, effect: Effect.Effect<unknown>): boolean {
    const exit = this.world.finish(what, effect, 2 * quietMillis)
    this.expect(what, exit)
    return exit !== null && Exit.isSuccess(exit)
  }

  private expect(who: string, exit: Exit.Exit<unknown, unknown> | null): void {
    const { logged } = this.world
    if (exit === null) {
      const endless = `${who} has not come to an end`
      this.problem(`${endless}: ${logged.suspect ?? outside}`, endless)
    } else if (Exit.isFailure(exit)) {
      const failed = `${who} has failed: `
      const cause = Cause.pretty(exit.cause)
      this.problem(`${failed}${cause}${logged.defectsIn(cause)}`, failed + inOneLine(exit.cause))
    }
  }

  private readonly serverOf = (name: string) => Server.build({ ...this.options, name })

  private asClient(
    name: string,
    program: Effect.Effect<void, never, ActorClient.ActorClient | Scope.Scope>
  ): Effect.Effect<void> {
    const transport = Layer.succeed(Transport, this.world.network.line(name))
    const layer = Layer.fresh(Layer.provide(ActorClient.layer(this.options.client), transport))
    return Effect.scoped(Effect.flatMap(
      Layer.build(layer),
      (context) => Effect.provide(program, Context.pick(ActorClient.ActorClient)(context))
    ))
  }

  private readonly jumps: Effect.Effect<void> = Effect.suspend(() => {
    const { dice, faults, time, trace } = this.world
    if (faults.jumpMean === 0) return Effect.void
    return Effect.flatMap(this.world.waitForFault(dice.wait(faults.jumpMean)), (jumps) => {
      if (!jumps) return Effect.void
      const millis = dice.between(0, faults.jumpMax)
      trace.add("world", `it is ${Math.round(millis)} ms later`)
      time.jump(millis)
      return this.jumps
    })
  })
}
