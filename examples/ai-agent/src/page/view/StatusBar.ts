/** The connection's status, and the switch that takes the page offline. */
import * as Stream from "effect/Stream"
import type { Shown } from "../Status.ts"
import { byId } from "./dom.ts"

export const make = () => {
  const status = byId("status", HTMLElement)
  const text = byId("status-text", HTMLElement)
  const detail = byId("status-detail", HTMLElement)
  const offline = byId("offline", HTMLInputElement)

  return {
    /** Each change of the switch: true takes the page offline. */
    offline: Stream.map(Stream.fromEventListener(offline, "change"), () => offline.checked),

    render: (shown: Shown): void => {
      status.dataset["tone"] = shown.tone
      // Written only when it differs: each write is read out by screen readers.
      if (text.textContent !== shown.text) text.textContent = shown.text
      detail.textContent = shown.detail
    }
  }
}
