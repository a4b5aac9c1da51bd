/** The alarms of an activation as they are now, committed or on their way. */
import { SparseMap } from "@troupe/contract/Sparse"
import type { Alarm } from "../ActorStore.ts"
import type { AlarmChanges } from "./Turn.ts"

/** Whether there is an alarm, and it does not go by its tag. */
export const isNamed = (alarm: Alarm | undefined): boolean => alarm !== undefined && alarm.id !== alarm.tag

export class AlarmTable {
  /** Whether there has been an alarm. */
  used = false
  /** How many have ids of their own. */
  named = 0
  private readonly byId = new SparseMap<string, Alarm>()

  constructor(alarms: Iterable<Alarm>) {
    for (const alarm of alarms) this.change(alarm.id, alarm)
  }

  get(id: string): Alarm | undefined {
    return this.byId.get(id)
  }

  values(): Iterable<Alarm> {
    return this.byId.values()
  }

  apply(changes: AlarmChanges): void {
    changes.forEach((alarm, id) => this.change(id, alarm))
  }

  private change(id: string, alarm: Alarm | undefined): void {
    this.used = true
    this.named += Number(isNamed(alarm)) - Number(isNamed(this.byId.get(id)))
    if (alarm) this.byId.set(id, alarm)
    else this.byId.delete(id)
  }

  /** When the next one is due; undefined if none is. */
  get next(): number | undefined {
    let next: number | undefined
    for (const { due } of this.byId.values()) if (due !== undefined && due < (next ?? Infinity)) next = due
    return next
  }
}
