/** How long the shop waits for its customers. */
import { Context, Duration } from "effect"

export class Terms extends Context.Reference<Terms>()("checkout/Terms", {
  defaultValue: () => ({
    /** How long goods are reserved for a checkout that has not ended. */
    reservedFor: Duration.minutes(10),
    /** How long a cart is kept after its last change, or after it was paid for. */
    keptFor: Duration.days(1)
  })
}) {}
