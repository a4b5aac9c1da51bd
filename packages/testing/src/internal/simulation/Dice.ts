/** Chance in a simulation: all of it comes from the seed. */
import * as Utils from "effect/Utils"

/** Another seed, of which each seed has its own. */
export const beside = (seed: number): number => {
  const low = seed >>> 0
  return seed - low + ((low ^ 0x5eed) >>> 0)
}

export class Dice {
  private readonly random: Utils.PCGRandom

  /** Of a whole number from 0 on, of which all 53 bits count. */
  constructor(seed: number) {
    this.random = new Utils.PCGRandom(Math.floor(seed / 2 ** 32), seed >>> 0)
  }

  /** At least 0, less than 1. */
  fraction(): number {
    return this.random.number()
  }

  /** Whether something of this probability happens. Draws nothing if it cannot. */
  happens(probability: number): boolean {
    return probability > 0 && this.fraction() < probability
  }

  /** At least `min`, less than `max`. */
  between(min: number, max: number): number {
    return min + this.fraction() * (max - min)
  }

  /** As `between`, where each order of magnitude is as likely as another. */
  magnitude(min: number, max: number): number {
    return Math.exp(this.between(Math.log(min), Math.log(max)))
  }

  /** A whole number from 0 on, less than `count`. */
  below(count: number): number {
    return Math.floor(this.fraction() * count)
  }

  pick<A>(values: ReadonlyArray<A>): A {
    return values[this.below(values.length)]!
  }

  /** The time to the next of events that come so often on average. */
  wait(mean: number): number {
    return -Math.log(1 - this.fraction()) * mean
  }
}
