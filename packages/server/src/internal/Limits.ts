/** The options of a host, as it compares with them. */
import { withDefaults } from "@troupe/contract/Options"
import * as Duration from "effect/Duration"
import { defaults, type Options } from "../HostOptions.ts"

/** With their defaults, and durations in milliseconds. */
export interface Limits {
  readonly idleTimeoutMillis: number
  readonly buildTimeoutMillis: number
  readonly connectTimeoutMillis: number
  readonly resumeWindowMillis: number
  readonly callTimeoutMillis: number
  readonly shutdownTimeoutMillis: number
  readonly window: number
  readonly mailboxMax: number
  readonly callsPerSecond: number
  readonly depthMax: number
  readonly outboxBytesMax: number
  readonly outputBytesMax: number
  readonly stateBytesMax: number
  readonly alarmsMax: number
  readonly alarmRetriesMax: number
  readonly subscriptionsMax: number
  readonly keyBytesMax: number
}

/** Milliseconds as a finite number, because clients are told some of them: an infinite duration is 285 000 years. */
export const toMillis = (duration: Duration.DurationInput): number =>
  Math.min(Duration.toMillis(duration), Number.MAX_SAFE_INTEGER)

/** Fills in the defaults. */
export const limits = (options: Options): Limits => {
  const all = withDefaults(defaults, options)
  const { idleTimeout, buildTimeout, connectTimeout, resumeWindow, callTimeout, shutdownTimeout, ...rest } = all
  return {
    ...rest,
    // with none nobody could open a connection
    window: Math.min(Math.max(1, Math.floor(rest.window)), Number.MAX_SAFE_INTEGER),
    idleTimeoutMillis: toMillis(idleTimeout),
    buildTimeoutMillis: toMillis(buildTimeout),
    connectTimeoutMillis: toMillis(connectTimeout),
    resumeWindowMillis: toMillis(resumeWindow),
    callTimeoutMillis: toMillis(callTimeout),
    shutdownTimeoutMillis: toMillis(shutdownTimeout)
  }
}
