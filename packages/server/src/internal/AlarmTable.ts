/** The alarms of an activation as they are now, committed or on their way. */
import type { Alarm } from "../ActorStore.ts"
import type { AlarmChanges } from "./Turn.ts"

export class AlarmTable {
  /** Whether there has been an alarm. */
  used = false
  private readonly byId = new Map<string, Alarm>()

  constructor(alarms: Iterable<Alarm>) {
    for (const alarm of alarms) this.byId.set(alarm.id, alarm)
    this.used = this.byId.size > 0
  }

  get size(): number {
    return this.byId.size
  }

  get(id: string): Alarm | undefined {
    return this.byId.get(id)
  }

  values(): Iterable<Alarm> {
    return this.byId.values()
  }

  apply(changes: AlarmChanges): void {
    this.used = true
    changes.forEach((alarm, id) => {
      if (alarm) this.byId.set(id, alarm)
      else this.byId.delete(id)
    })
  }
}
