/** The servers of a simulation: killed, stopped, started again, and put in charge one after another. */
import type { ActorHost } from "@troupe/contract/ActorHost"
import { ActorStore } from "@troupe/server/ActorStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MemoryNetwork } from "../../MemoryTransport.ts"
import { Process } from "../Process.ts"
import type { Outside } from "../Server.ts"
import type { World } from "./World.ts"

/** How often a machine that is killed loses its power, so that nobody is told. */
const darkness = 0.3

/** How a server is built. */
export type Server = Effect.Effect<ActorHost["Type"], never, Outside<never> | Scope.Scope>

class SimulatedHost {
  constructor(
    readonly name: string,
    private readonly world: World,
    private readonly process: Process<never, Outside<never>>
  ) {}

  get running(): boolean {
    return this.process.running
  }

  readonly start: Effect.Effect<void> = Effect.suspend(() => {
    this.world.trace.add(this.name, "starts")
    return this.process.start
  })

  readonly crash: Effect.Effect<void> = Effect.suspend(() => {
    this.world.trace.add(this.name, "is killed")
    if (this.world.dice.happens(darkness)) this.world.network.darken(this.name)
    return this.process.crash
  })

  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.world.trace.add(this.name, "stops")
    return Effect.catchAllCause(this.process.stop, () => Effect.void)
  })
}

export class Hosts {
  crashes = 0

  private constructor(private readonly world: World, private readonly hosts: ReadonlyArray<SimulatedHost>) {}

  /** So many hosts, each built by an effect, which is given the name it listens under. */
  static make(world: World, count: number, build: (name: string) => Server): Hosts {
    const hosts = Array.from({ length: count }, (_, i) => {
      const name = `host ${i + 1}`
      const network = { listen: (accept: any) => world.network.listen(accept, name) } as MemoryNetwork["Type"]
      const outside = Context.make(ActorStore, world.store).pipe(Context.add(MemoryNetwork, network))
      return new SimulatedHost(name, world, new Process(build(name), outside, world.aroundProcess(name, network)))
    })
    world.network.inCharge = hosts[0]!.name
    return new Hosts(world, hosts)
  }

  readonly start = Effect.suspend(() => Effect.forEach(this.hosts, ({ start }) => start, { discard: true }))

  /** Lets things happen to the hosts until they are healed; then all of them run. */
  readonly live = Effect.suspend(() =>
    Effect.all([...this.hosts.map((host) => this.fateOf(host)), this.switches], {
      concurrency: "unbounded",
      discard: true
    })
  )

  private fateOf(host: SimulatedHost): Effect.Effect<void> {
    const { dice } = this.world
    return Effect.gen(this, function*() {
      for (;;) {
        const { awayMean, crashMean, stopMean } = this.world.faults
        const crash = crashMean > 0 ? dice.wait(crashMean) : Infinity
        const stop = stopMean > 0 ? dice.wait(stopMean) : Infinity
        if (!(yield* this.world.waitForFault(Math.min(crash, stop)))) break
        if (crash < stop) this.crashes++
        yield* crash < stop ? host.crash : host.stop
        yield* this.world.waitForFault(dice.wait(awayMean))
        yield* host.start
      }
      if (!host.running) yield* host.start
    })
  }

  private get switches(): Effect.Effect<void> {
    const { dice, network, trace } = this.world
    return Effect.gen(this, function*() {
      while (this.hosts.length > 1) {
        const { switchMean } = this.world.faults
        if (!(yield* this.world.waitForFault(switchMean > 0 ? dice.wait(switchMean) : Infinity))) break
        network.inCharge = dice.pick(this.hosts).name
        trace.add(network.inCharge, "is in charge")
        if (dice.happens(0.5)) network.cutOthers()
      }
      network.cutOthers()
    })
  }

  /** Ends them in good order. */
  readonly stop = Effect.suspend(() =>
    Effect.forEach(this.hosts, (host) => host.running ? host.stop : Effect.void, { discard: true })
  )
}
