/**
 * Transactions: all that is asked in one message is done in one, in order. If that fails for a reason of the file, everything
 * is tried again; if it fails for a reason in what was asked, the message is halved until only the culprit fails. That is
 * cheaper than a savepoint for each, which nearly always protects from nothing.
 */
import { isOfTheFile, messageOf } from "./sqlite-errors.mjs"

/**
 * @import { Answer, Batch, Request } from "./SqliteProtocol.ts"
 * @import { CommitResult } from "@troupe/server/ActorStore"
 * @import { Retrying } from "./sqlite-errors.mjs"
 * @import { Db } from "./sqlite-file.mjs"
 */

/** How many epochs are reserved at a time, durably: a loss of power costs some numbers, and repeats none. */
const epochBlock = 1024

/**
 * Runs a body as one transaction. `FULL` survives a loss of power, and so does everything before it.
 * @typedef {<A>(level: "NORMAL" | "FULL", body: () => A) => A} Transaction
 */

/**
 * @param {Db} db
 * @returns {Transaction}
 */
export const makeTransaction = (db) => {
  let synchronous = "NORMAL"
  return (level, body) => {
    if (level !== synchronous) db.exec(`PRAGMA synchronous = ${level}`)
    synchronous = level
    db.exec("BEGIN IMMEDIATE")
    try {
      const result = body()
      db.exec("COMMIT")
      return result
    } catch (error) {
      if (db.inTransaction) db.exec("ROLLBACK")
      throw error
    }
  }
}

/**
 * Instead of `get`: that one fails for ever once it has failed (libsql 0.5).
 * @param {import("libsql").Statement} statement
 * @param {ReadonlyArray<unknown>} parameters
 */
export const firstOf = (statement, ...parameters) => statement.all(...parameters)[0]

/**
 * A source of numbers of which no two are the same, also not after a loss of power.
 * @param {Db} db
 * @param {Transaction} transaction
 */
export const makeEpochs = (db, transaction) => {
  const reserve = db.prepare("UPDATE epoch SET reserved = reserved + ? RETURNING reserved")
  let last = 0
  let reserved = 0
  return {
    /**
     * Makes sure that there are so many, before the transaction that uses them.
     * @param {number} count
     */
    ensure: (count) => {
      if (reserved - last >= count) return
      const more = Math.max(count, epochBlock)
      const row = /** @type {{ reserved: number }} */ (transaction("FULL", () => firstOf(reserve, more)))
      reserved = row.reserved
      last = reserved - more
    },
    next: () => ++last
  }
}

/**
 * @template A
 * @param {ReadonlyArray<A>} all
 */
const halves = (all) => [all.slice(0, all.length >> 1), all.slice(all.length >> 1)]

/**
 * Answers everything that is asked in a message. `attempt` does it in one transaction, or fails.
 * @param {(batch: Batch) => Array<Answer>} attempt
 * @param {Retrying} retrying
 */
export const makeAnswer = (attempt, retrying) => {
  /**
   * @param {Extract<Request, { operation: "commit" }>} request
   * @param {number} nowMillis
   * @returns {Array<CommitResult>}
   */
  const commitHalves = (request, nowMillis) =>
    halves(request.argument).flatMap((argument) => {
      const [answer] = /** @type {[Answer]} */ (answerAll({ nowMillis, requests: [{ ...request, argument }] }))
      if ("value" in answer) return /** @type {Array<CommitResult>} */ (answer.value)
      return argument.map(() => ({ _tag: "failed", message: answer.error }))
    })

  /**
   * @param {Batch} batch
   * @returns {Array<Answer>}
   */
  const answerAll = (batch) => {
    const { nowMillis, requests } = batch
    try {
      return retrying(() => attempt(batch))
    } catch (error) {
      const [first] = requests
      if (!isOfTheFile(error)) {
        if (requests.length > 1) return halves(requests).flatMap((requests) => answerAll({ nowMillis, requests }))
        if (first?.operation === "commit" && first.argument.length > 1) {
          return [{ id: first.id, value: commitHalves(first, nowMillis) }]
        }
      }
      return requests.map(({ id }) => ({ id, error: messageOf(error) }))
    }
  }

  return answerAll
}
