/** How long the shop waits for its customers. */
import { Context, Duration } from "effect"

export class Terms extends Context.Reference<Terms>()("checkout/Terms", {
  defaultValue: () => ({
    /** How long goods are reserved for a checkout that has not ended. */
    reservedFor: Duration.minutes(10),
    /** How long after its last change a customer is reminded of a cart; as long again after that, it is closed. */
    keptFor: Duration.days(1)
  })
}) {}
