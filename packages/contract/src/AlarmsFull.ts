/** How setting an alarm fails. */
import * as Schema from "effect/Schema"

/**
 * The actor has set as many alarms under ids of its own as it may. The alarm was not set; repeating helps once others have
 * fired or were cancelled.
 */
export class AlarmsFull extends Schema.TaggedError<AlarmsFull>("@troupe/contract/AlarmsFull")("AlarmsFull", {
  limit: Schema.Literal("alarmsMax"),
  max: Schema.Number
}) {
  override get message() {
    return `the alarm was not set: ${this.limit} is ${this.max}`
  }
}
