/**
 * Which actor's turn waits for which actor. A turn that calls another actor holds its own one up meanwhile, so a circle of
 * such calls would never end, whether one chain of calls closes it or several that know nothing of each other.
 */
import type * as Address from "@troupe/contract/Address"
import { idOf } from "./idOf.ts"
import type { Turn } from "./Turn.ts"

type Path = readonly [Address.Address, ...Array<Address.Address>]

/** A call that a turn has made. It holds the turn's actor up for as long as the turn has not ended. */
interface Wait {
  readonly turn: Turn
  readonly callee: Address.Address
}

export class WaitGraph {
  private readonly waits = new Map<string, Set<Wait>>()

  /** The circle that a call would close, from the caller round to the caller; undefined if it closes none. */
  cycle(caller: Address.Address, callee: Address.Address): Path | undefined {
    const way = this.way(callee, idOf(caller), new Set())
    return way && [caller, ...way]
  }

  /** The turn of `caller` waits for `callee`. Returns what ends that. */
  begin(caller: Address.Address, turn: Turn, callee: Address.Address): () => void {
    const wait = { turn, callee }
    const waits = this.waits.get(idOf(caller)) ?? new Set()
    this.waits.set(idOf(caller), waits.add(wait))
    return () => {
      waits.delete(wait)
      if (waits.size === 0 && this.waits.get(idOf(caller)) === waits) this.waits.delete(idOf(caller))
    }
  }

  /** The actors from one to another, along what they wait for. */
  private way(from: Address.Address, to: string, seen: Set<string>): ReadonlyArray<Address.Address> | undefined {
    const id = idOf(from)
    if (id === to) return [from]
    if (seen.has(id)) return undefined
    seen.add(id)
    for (const { turn, callee } of this.waits.get(id) ?? []) {
      const rest = turn.sealed ? undefined : this.way(callee, to, seen)
      if (rest) return [from, ...rest]
    }
    return undefined
  }
}
