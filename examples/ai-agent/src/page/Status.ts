/** The connection's status in words, with a countdown while it waits. */
import * as ConnectionStatus from "@troupe/client/ConnectionStatus"
import * as DisconnectReason from "@troupe/contract/DisconnectReason"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

export interface Shown {
  readonly tone: "good" | "busy" | "off" | "bad"
  readonly text: string
  /** Changes too often to be read out each time. */
  readonly detail: string
}

const shown = (tone: Shown["tone"], text: string, detail = ""): Shown => ({ tone, text, detail })

/** A status in words, as of `now` in milliseconds since the epoch. */
export const describe = (status: ConnectionStatus.ConnectionStatus, now: number): Shown =>
  ConnectionStatus.match(status, {
    Connecting: () => shown("busy", "Connecting…"),
    Connected: () => shown("good", "Connected"),
    Waiting: ({ attempt, cause, retryAt }) => {
      if (cause._tag === "Paused") return shown("off", "Offline")
      const seconds = Option.map(retryAt, (at) => Math.max(0, Math.ceil((at - now) / 1000)))
      return shown(
        "busy",
        "Reconnecting",
        Option.match(seconds, {
          onNone: () => `attempt ${attempt}`,
          onSome: (seconds) => `in ${seconds} s, attempt ${attempt}`
        })
      )
    },
    Closed: ({ reason }) => shown("bad", `Closed: ${DisconnectReason.describe(reason)}`)
  })

/** Each status in words; while one waits, several times a second, so that the seconds count down. */
export const withCountdown = (statuses: Stream.Stream<ConnectionStatus.ConnectionStatus>): Stream.Stream<Shown> =>
  statuses.pipe(
    Stream.flatMap((status) => {
      const now = Effect.map(Clock.currentTimeMillis, (millis) => describe(status, millis))
      return status._tag === "Waiting" ? Stream.mapEffect(Stream.tick("250 millis"), () => now) : Stream.fromEffect(now)
    }, { switch: true }),
    Stream.changesWith((a, b) => a.text === b.text && a.detail === b.detail)
  )
