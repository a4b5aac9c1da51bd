/**
 * Which actor's turn waits for which actor. A turn that calls another actor holds its own one up meanwhile, so a circle of
 * such calls would never end, whether one chain of calls closes it or several that know nothing of each other.
 */
import * as Address from "@troupe/contract/Address"
import type { Turn } from "./Turn.ts"

type Path = readonly [Address.Address, ...Array<Address.Address>]

/** A call that a turn has made. It holds the turn's actor up for as long as the turn has not ended. */
export interface Wait {
  readonly turn: Turn
  readonly callee: Address.Address
  /** The call has had its turn: only a commit is waited for. */
  handled: boolean
}

export class WaitGraph {
  private readonly waits = new Map<string, Set<Wait>>()

  /** The circle that a call would close, from the caller round to the caller; undefined if it closes none. */
  cycle(caller: Address.Address, callee: Address.Address): Path | undefined {
    const way = this.way(callee, Address.idOf(caller))
    return way && [caller, ...way]
  }

  /** The turn of `caller` waits for `callee`, until `end`. */
  begin(caller: Address.Address, turn: Turn, callee: Address.Address): Wait {
    const wait = { turn, callee, handled: false }
    const waits = this.waits.get(Address.idOf(caller)) ?? new Set()
    this.waits.set(Address.idOf(caller), waits.add(wait))
    return wait
  }

  end(caller: Address.Address, wait: Wait): void {
    const waits = this.waits.get(Address.idOf(caller))
    if (waits?.delete(wait) && waits.size === 0) this.waits.delete(Address.idOf(caller))
  }

  /** The actors from one to another, along what they wait for. */
  private way(from: Address.Address, to: string): Path | undefined {
    const steps: Array<Step> = [{ actor: from, previous: undefined }]
    const seen = new Set([Address.idOf(from)])
    // those that are found on the way are looked at behind those that are there
    for (const step of steps) {
      const id = Address.idOf(step.actor)
      if (id === to) return pathTo(step)
      for (const { callee, handled, turn } of this.waits.get(id) ?? []) {
        if (turn.sealed || handled || seen.has(Address.idOf(callee))) continue
        seen.add(Address.idOf(callee))
        steps.push({ actor: callee, previous: step })
      }
    }
    return undefined
  }
}

/** An actor that was found, and the one that waits for it. */
interface Step {
  readonly actor: Address.Address
  readonly previous: Step | undefined
}

const pathTo = (end: Step): Path => {
  const path: [Address.Address, ...Array<Address.Address>] = [end.actor]
  for (let step = end.previous; step; step = step.previous) path.push(step.actor)
  path.reverse()
  return path
}
