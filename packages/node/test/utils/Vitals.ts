/** What a process holds, counted: for tests that look for what is kept for ever. */
import { Metrics } from "@troupe/server"
import { Effect, Metric, Supervisor } from "effect"
import * as V8 from "node:v8"

export interface Vitals {
  /** Memory in use, after garbage was collected, but for what the engine has compiled. */
  readonly bytes: number
  /** What it has compiled: it goes on with that for minutes. */
  readonly code: number
  readonly fibers: number
  /** What Node waits for, by its kind. */
  readonly timers: number
  readonly sockets: number
  readonly connections: number
  readonly activations: number
}

/** Counts the fibers of everything that runs below it, whoever has forked them. */
class Fibers extends Supervisor.AbstractSupervisor<number> {
  running = 0
  override readonly value = Effect.sync(() => this.running)
  override onStart(): void {
    this.running++
  }
  override onEnd(): void {
    this.running--
  }
}

const collect = () => {
  for (const _ of [1, 2, 3]) globalThis.gc!()
}

const handles = (kind: string) => process.getActiveResourcesInfo().filter((name) => name === kind).length

/** What counts the fibers of an effect, and how to look at the process. */
export const watch = (contract: string) => {
  const fibers = new Fibers()
  const gauge = (metric: Metric.Metric.Gauge<number>) =>
    Effect.runSync(Metric.value(Metric.tagged(metric, "contract", contract))).value
  return {
    supervised: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.supervised(effect, fibers),
    connections: () => gauge(Metrics.connections),
    activations: () => gauge(Metrics.activations),
    fibers: () => fibers.running,
    vitals: (): Vitals => {
      collect()
      const { arrayBuffers, heapUsed } = process.memoryUsage()
      const { bytecode_and_metadata_size: bytecode, code_and_metadata_size: code } = V8.getHeapCodeStatistics()
      return {
        bytes: heapUsed + arrayBuffers - code - bytecode,
        code: code + bytecode,
        fibers: fibers.running,
        timers: handles("Timeout"),
        sockets: handles("TCPSocketWrap"),
        connections: gauge(Metrics.connections),
        activations: gauge(Metrics.activations)
      }
    }
  }
}

export type Watch = ReturnType<typeof watch>
