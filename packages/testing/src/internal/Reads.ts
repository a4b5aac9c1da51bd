/** The reads of a store, which can be made to fail. */
import { type ActorStore, StoreError } from "@troupe/server/ActorStore"
import * as Effect from "effect/Effect"

const gone = (operation: "claim" | "alarms") => new StoreError({ operation, message: "the disk is gone" })

export class Reads {
  private failingClaims = 0
  private failingAlarms = 0
  private afterAlarms: Effect.Effect<void> = Effect.void

  constructor(private readonly store: ActorStore["Type"]) {}

  readonly claim: ActorStore["Type"]["claim"] = (address) =>
    Effect.suspend(() => this.failingClaims-- > 0 ? gone("claim") : this.store.claim(address))

  readonly alarms: ActorStore["Type"]["alarms"] = (query) =>
    Effect.suspend(() =>
      this.failingAlarms-- > 0
        ? gone("alarms")
        : Effect.tap(this.store.alarms(query), () => this.afterAlarms)
    )

  readonly controls = {
    failClaims: (times: number) => Effect.sync(() => void (this.failingClaims = times)),
    failAlarms: (times: number) => Effect.sync(() => void (this.failingAlarms = times)),
    onAlarms: (effect: Effect.Effect<void>) => Effect.sync(() => void (this.afterAlarms = effect))
  }
}
