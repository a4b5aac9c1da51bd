/** The status in words. */
import * as ConnectionStatus from "@troupe/client/ConnectionStatus"
import { Option } from "effect"
import { assert, describe, it } from "vitest"
import * as Status from "../src/page/Status.ts"

describe("Status", () => {
  it("counts down to the next attempt, and never below zero", () => {
    const waiting = ConnectionStatus.Waiting({
      attempt: 2,
      retryAt: Option.some(5_000),
      cause: ConnectionStatus.WaitingCause.LinkLost({ code: 1006, reason: "" })
    })
    assert.include(Status.describe(waiting, 1_500), { tone: "busy", text: "Reconnecting", detail: "in 4 s, attempt 2" })
    assert.include(Status.describe(waiting, 9_000), { detail: "in 0 s, attempt 2" })
  })

  it("says that the page is offline when it was switched off", () => {
    const paused = ConnectionStatus.Waiting({
      attempt: 1,
      retryAt: Option.none(),
      cause: ConnectionStatus.WaitingCause.Paused()
    })
    assert.deepInclude(Status.describe(paused, 0), { tone: "off", text: "Offline" })
  })

  it("gives the reason of an end, the moderator's in their own words", () => {
    const kicked = ConnectionStatus.Closed({ reason: { _tag: "Disconnected", reason: "be kind" } })
    assert.strictEqual(Status.describe(kicked, 0).text, "Closed: be kind")
    const destroyed = ConnectionStatus.Closed({ reason: { _tag: "Destroyed" } })
    assert.strictEqual(Status.describe(destroyed, 0).text, "Closed: the actor was destroyed")
  })
})
