/** What SQLite and the system say of failures, as the rest of the program needs to know it. */

/**
 * @import { Refusal, WorkerOptions } from "./SqliteProtocol.ts"
 */

/** @typedef {Refusal["kind"]} Kind */

/** The file is not opened; the message is for people. */
export class Refused extends Error {
  /**
   * @param {Kind} kind
   * @param {string} reason
   */
  constructor(kind, reason) {
    super(reason)
    this.kind = kind
  }
}

/** @param {unknown} error */
const textOf = (error) => error instanceof Error ? error.message : String(error)

/**
 * The name of SQLite's result code, or of the system's. Errors of opening a database have a number in their text only.
 * @param {unknown} error
 * @returns {string}
 */
const codeOf = (error) => {
  const { code } = /** @type {{ code?: unknown }} */ (error)
  if (typeof code === "string" && code !== "") return code
  return textOf(error).endsWith(": 14\")") ? "SQLITE_CANTOPEN" : ""
}

export const notADatabase = "it is not a SQLite database"

export const inUse = "it is in use by another process or another store"

/** @type {ReadonlyArray<[code: RegExp, kind: Kind, reason: string]>} */
const refusals = [
  [/^SQLITE_(BUSY|LOCKED)/, "InUse", inUse],
  [/^SQLITE_NOTADB/, "NotADatabase", notADatabase],
  [/^SQLITE_CORRUPT/, "Damaged", "the database is damaged, restore it from a backup"],
  [/^(SQLITE_(READONLY|CANTOPEN|PERM)|EACCES|EPERM|EROFS)/, "NotAccessible", "it cannot be written"]
]

/** @param {unknown} error */
const refusalOf = (error) => refusals.find(([code]) => code.test(codeOf(error)))

/** @param {unknown} error */
export const messageOf = (error) => {
  const [code, , reason] = refusalOf(error) ?? []
  return code ? `${reason} (${textOf(error)})` : textOf(error)
}

/**
 * @param {unknown} error
 * @returns {Refusal}
 */
export const toRefusal = (error) => {
  if (error instanceof Refused) return { kind: error.kind, reason: error.message }
  const [, kind] = refusalOf(error) ?? []
  return { kind: kind ?? "Failed", reason: messageOf(error) }
}

/** The file has another content than SQLite has written. */
export const isSpoiled = /** @param {unknown} error */ (error) => /^SQLITE_(NOTADB|CORRUPT)/.test(codeOf(error))

/** The reason is the file, not what was asked: whoever asks will hear the same. */
export const isOfTheFile = /** @param {unknown} error */ (error) =>
  isPassing(error) || /^SQLITE_(READONLY|NOTADB|CANTOPEN|INTERRUPT)/.test(codeOf(error))

/** It may be over in a moment. */
const isPassing = /** @param {unknown} error */ (error) =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|NOMEM|PROTOCOL)/.test(codeOf(error))

/** Nothing is answered meanwhile. */
const waitMillisMax = 1000

/**
 * Does something, and again if it fails for a passing reason, with delays that double, up to a second. Not when the store is
 * to be closed: whoever does that waits for it.
 * @typedef {<A>(attempt: () => A) => A} Retrying
 */

/**
 * @param {Pick<WorkerOptions, "closing" | "retriesMax" | "retryDelayMillis">} options
 * @returns {Retrying}
 */
export const makeRetrying = ({ closing, retriesMax, retryDelayMillis }) => (attempt) => {
  let delayMillis = retryDelayMillis
  for (let retry = 0;; retry++) {
    try {
      return attempt()
    } catch (error) {
      // it may be NaN
      if (!(retry < retriesMax) || !isPassing(error)) throw error
      Atomics.wait(closing, 0, 0, Math.min(delayMillis, waitMillisMax))
      if (Atomics.load(closing, 0) !== 0) throw error
      delayMillis *= 2
    }
  }
}
