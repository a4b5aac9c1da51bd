/** What is logged with a cause in a simulation: the only place that tells why a handler has died, or an actor's build. */
import { StoreError } from "@troupe/server/ActorStore"
import * as Cause from "effect/Cause"
import { simulated } from "./SimulatedStore.ts"

interface Entry {
  readonly what: string
  readonly cause: Cause.Cause<unknown>
}

/** How many defects are remembered. A build that dies is tried again for as long as the simulation lasts. */
const defectsMax = 1000

const defectId = /\b[0-9a-f]{32}\b/g

/** The store has failed because it was to, which explains nothing. */
const isOnPurpose = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.squash(cause)
  return error instanceof StoreError && error.message === simulated
}

/** A cause in one line, without stacks and ids of fibers: two runs of a seed have the same. */
export const inOneLine = (cause: Cause.Cause<unknown>): string => {
  const errors = Cause.prettyErrors(cause).map(({ message, name }) => `${name}: ${message}`)
  return (errors.length === 0 ? "interrupted" : errors.join("; ")).replace(/\s*\n\s*/g, " ")
}

export class Logged {
  private readonly defects = new Map<string, Entry>()
  /** The first that nothing has done on purpose. */
  private first: Entry | undefined

  /** Remembers why, and returns a line that says it. */
  add(message: string, cause: Cause.Cause<unknown>, defect: unknown): string {
    if (Cause.isEmpty(cause)) return message
    const what = defect === undefined ? message : `${message} (defect ${defect})`
    const entry = { what, cause }
    if (!isOnPurpose(cause) && !Cause.isInterruptedOnly(cause)) this.first ??= entry
    if (typeof defect === "string") {
      this.defects.set(defect, entry)
      if (this.defects.size > defectsMax) this.defects.delete(this.defects.keys().next().value!)
    }
    return `${what}: ${inOneLine(cause)}`
  }

  /** What the defects are that a text names; empty if it names none. */
  defectsIn(text: string): string {
    const named = Array.from(new Set(text.match(defectId)), (id) => this.defects.get(id))
    return named.map((entry) => entry ? `\n${show(entry)}` : "").join("")
  }

  /** What may be why something has not come to an end. */
  get suspect(): string | undefined {
    return this.first && `the first that was logged with a cause:\n${show(this.first)}`
  }
}

const show = ({ cause, what }: Entry): string => `${what}: ${Cause.pretty(cause)}`
