/** What goes wrong in a simulation, and how often. */
import * as Checked from "../Checked.ts"
import type { Dice } from "./Dice.ts"

/**
 * Probabilities lie between 0 and 1, times are milliseconds. A mean of 0 is never.
 */
export interface Faults {
  /** How long a message travels at most. */
  readonly latencyMax: number
  /** Per message: its link is lost, before or after it has arrived. Each side learns of it at a time of its own. */
  readonly cut: number
  /** Per message: from here on its link carries nothing, in one direction or in both, and nobody is told. */
  readonly silence: number
  /** Per message: its direction stands still for up to five seconds, and nothing overtakes. */
  readonly stall: number
  /** Per link: it takes so few bytes that what is sent waits. */
  readonly slow: number
  /** Per dial: it is refused. */
  readonly refusal: number
  /** Per dial: nobody answers. */
  readonly hang: number
  /** Per transaction of the store: it fails, and nothing was applied. */
  readonly storeError: number
  /** Per transaction: it is applied, and reported as failed. */
  readonly storeLoss: number
  /** Per transaction: it comes again later, as when somebody on the way has not heard that it had arrived. */
  readonly storeRepeat: number
  /** Per transaction, or reading: it takes up to two minutes. */
  readonly storeHang: number
  /** How long a reading or a transaction takes at most otherwise. */
  readonly storeLatencyMax: number
  /** How long a host lives, on average, before it is killed. */
  readonly crashMean: number
  /** How long it lives, on average, before it is stopped in good order. */
  readonly stopMean: number
  /** How long it is away, on average. */
  readonly awayMean: number
  /**
   * How often, on average, another host is put in charge while the one before goes on: both believe that they own the
   * actors, until the links to the old one are gone. Needs two hosts.
   */
  readonly switchMean: number
  /** How often all at once it is later, for everybody. */
  readonly jumpMean: number
  /** By how much, at most. */
  readonly jumpMax: number
}

/** Nothing goes wrong. */
export const none: Faults = {
  latencyMax: 5,
  cut: 0,
  silence: 0,
  stall: 0,
  slow: 0,
  refusal: 0,
  hang: 0,
  storeError: 0,
  storeLoss: 0,
  storeRepeat: 0,
  storeHang: 0,
  storeLatencyMax: 5,
  crashMean: 0,
  stopMean: 0,
  awayMean: 1000,
  switchMean: 0,
  jumpMean: 0,
  jumpMax: 0
}

const probabilities: ReadonlySet<string> = new Set<keyof Faults>([
  "cut",
  "silence",
  "stall",
  "slow",
  "refusal",
  "hang",
  "storeError",
  "storeLoss",
  "storeRepeat",
  "storeHang"
])

/** Those that are given. Throws if one is no probability, or no time. */
export const given = (faults: Partial<Faults>): Partial<Faults> => {
  const all = Checked.given(faults)
  for (const [name, value] of Object.entries(all)) {
    if (!(name in none)) throw new Error(`there is no fault ${name}`)
    if (probabilities.has(name)) Checked.probability(`faults.${name}`, value)
    else Checked.number(`faults.${name}`, value)
  }
  return all
}

/** Some faults are left out, so that others are not hidden by them; the rest is rare or frequent. */
export const draw = (dice: Dice): Faults => {
  const sometimes = (value: () => number): number => dice.happens(0.5) ? value() : 0
  return {
    latencyMax: dice.magnitude(1, 2000),
    cut: sometimes(() => dice.magnitude(0.002, 0.1)),
    silence: sometimes(() => dice.magnitude(0.001, 0.02)),
    stall: sometimes(() => dice.magnitude(0.005, 0.1)),
    slow: sometimes(() => dice.between(0, 0.5)),
    refusal: sometimes(() => dice.between(0, 0.7)),
    hang: sometimes(() => dice.between(0, 0.3)),
    storeError: sometimes(() => dice.magnitude(0.005, 0.3)),
    storeLoss: sometimes(() => dice.magnitude(0.005, 0.2)),
    storeRepeat: sometimes(() => dice.magnitude(0.01, 0.2)),
    storeHang: sometimes(() => dice.magnitude(0.002, 0.05)),
    storeLatencyMax: dice.magnitude(0.1, 1000),
    crashMean: sometimes(() => dice.magnitude(500, 60_000)),
    stopMean: sometimes(() => dice.magnitude(2000, 120_000)),
    awayMean: dice.magnitude(10, 30_000),
    switchMean: sometimes(() => dice.magnitude(1000, 60_000)),
    jumpMean: sometimes(() => dice.magnitude(5000, 120_000)),
    jumpMax: dice.pick([20_000, 100_000, 400_000, 100_000_000])
  }
}
