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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Sent } from "./internal/Sent.ts"
import * as Server from "./internal/Server.ts"
import { Dice } from "./internal/simulation/Dice.ts"
import * as Faults from "./internal/simulation/Faults.ts"
import { Hosts } from "./internal/simulation/Hosts.ts"
import { World } from "./internal/simulation/World.ts"

export type { Faults } from "./internal/simulation/Faults.ts"

/** What is simulated. */
export interface Options<Actors extends ReadonlyArray<Any>> {
  /** Everything that happens follows from it. A whole number. */
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
  /** What goes wrong. What is left out is drawn from the seed. */
  readonly faults?: Partial<Faults.Faults>
  /** For how long things go wrong, at most. Default: 1 minute. */
  readonly faultsFor?: Duration.DurationInput
  /** How long after that everything must have ended. Default: 15 minutes. */
  readonly settleWithin?: Duration.DurationInput
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

/** Runs a simulation to its end, in one go: nothing else runs in the process meanwhile. */
export const run = <const Actors extends ReadonlyArray<Any>>(options: Options<Actors>): Effect.Effect<Report> =>
  Effect.sync(() => new Run(options).report())

/** So that what waits for a time of its own, an actor's sleep, is over. */
const quietMillis = 5 * 60_000

class Run<Actors extends ReadonlyArray<Any>> {
  private readonly world: World
  private readonly problems: Array<string> = []
  private hosts!: Hosts

  constructor(private readonly options: Options<Actors>) {
    const { keepTrace = false, onCommit = () => {}, onMessage, seed } = options
    this.world = new World({
      seed,
      keepTrace,
      onCommit,
      onMessage: (sent) => {
        const issue = onMessage?.(sent)
        if (issue !== undefined) this.problem(issue)
      }
    })
  }

  private problem(text: string): void {
    this.world.trace.add("problem", text)
    this.problems.push(text)
  }

  report(): Report {
    const { seed } = this.options
    const { time, trace } = this.world
    const begun = time.now
    const faults = { ...Faults.draw(new Dice(seed ^ 0x5eed)), ...this.options.faults }
    try {
      this.live(faults)
    } catch (error) {
      this.problem(error instanceof Error ? error.stack ?? error.message : String(error))
    }
    return {
      seed,
      problems: this.problems,
      faults,
      trace: trace.lines,
      traceLength: trace.length,
      digest: trace.digest,
      virtualMillis: time.now - begun,
      crashes: this.hosts?.crashes ?? 0
    }
  }

  private live(faults: Faults.Faults): void {
    const { faultsFor = "1 minute", settleWithin = "15 minutes" } = this.options
    const { time } = this.world
    this.hosts = Hosts.make(this.world, Math.max(1, this.options.hosts ?? 1), this.serverOf)
    this.must("the hosts start", this.hosts.start)
    this.world.faults = faults
    const fates = Object.entries({
      "what happens to the hosts": this.world.begin(this.hosts.live),
      "what happens to the clock": this.world.begin(this.jumps)
    })
    const clients = this.options.clients.map((program, i) =>
      this.world.begin(this.asClient(`client ${i + 1}`, program))
    )
    const ended = () => clients.every(({ exit }) => exit() !== null)
    time.run(ended, time.now + Duration.toMillis(faultsFor))
    this.world.heal()
    const settled = () => ended() && fates.every(([, { exit }]) => exit() !== null)
    time.run(settled, time.now + Duration.toMillis(settleWithin))
    clients.forEach(({ exit }, i) => this.expect(`client ${i + 1}`, exit()))
    for (const [what, { exit }] of fates) this.expect(what, exit())
    const { afterwards } = this.options
    if (this.problems.length === 0 && afterwards)
      this.must("what is done afterwards", this.asClient("client 0", afterwards))
    this.must("the hosts stop", Effect.zipRight(Effect.sleep(quietMillis), this.hosts.stop))
    time.run(() => false, time.now + quietMillis)
    if (this.problems.length === 0 && time.pending > 0) this.problem(`${time.pending} things still wait for a time`)
  }

  private must<A>(what: string, effect: Effect.Effect<A>): A {
    const exit = this.world.finish(effect, 2 * quietMillis)
    this.expect(what, exit ?? null)
    if (exit && Exit.isSuccess(exit)) return exit.value
    throw new Error(`${what}: that did not come to an end`)
  }

  private expect(who: string, exit: Exit.Exit<unknown, unknown> | null): void {
    if (exit === null) this.problem(`${who} has not come to an end`)
    else if (Exit.isFailure(exit)) this.problem(`${who} has failed: ${Cause.pretty(exit.cause)}`)
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
