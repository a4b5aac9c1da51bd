/** What is done with actors, in SQL. */
import { firstOf, makeAnswer, makeEpochs, makeTransaction } from "./sqlite-transactions.mjs"

/**
 * @import { ActorRow, Answer, Batch, CommitRow, Request, WorkerOptions } from "./SqliteProtocol.ts"
 * @import { Alarm, AlarmChange, AlarmQuery, Claim, CommitResult, Position } from "@troupe/server/ActorStore"
 * @import { Retrying } from "./sqlite-errors.mjs"
 * @import { Db } from "./sqlite-file.mjs"
 */

/** How many owners of actors that have no row are remembered. The oldest is forgotten first, and cannot commit then. */
const rowlessMax = 100_000

/**
 * Who may make the first commit of an actor. An actor has a row only from then on, so that strangers who are refused leave
 * nothing behind.
 */
const makeRowless = () => {
  const owners = /** @type {Map<string, number>} */ (new Map())
  const idOf = /** @param {ActorRow} actor */ ({ name, key }) => `${name.length}:${name}${key}`
  return {
    /**
     * @param {ActorRow} actor
     * @param {number} epoch
     */
    own: (actor, epoch) => {
      const id = idOf(actor)
      owners.delete(id)
      owners.set(id, epoch)
      if (owners.size > rowlessMax) owners.delete(/** @type {string} */ (owners.keys().next().value))
    },
    ownerOf: /** @param {ActorRow} actor */ (actor) => owners.get(idOf(actor)),
    forget: /** @param {ActorRow} actor */ (actor) => owners.delete(idOf(actor))
  }
}

/** @typedef {Omit<Alarm, "due" | "payload"> & { readonly due: number | null, readonly payload: string | null }} AlarmRow */

/**
 * @param {AlarmRow} row
 * @returns {Alarm}
 */
const toAlarm = ({ due, payload, ...rest }) => ({ ...rest, due: due ?? undefined, payload: payload ?? undefined })

/**
 * @param {Db} db
 * @param {() => number} nextEpoch
 */
const makeClaim = (db, nextEpoch) => {
  const rowless = makeRowless()
  const deleteExpired = db.prepare("DELETE FROM reply WHERE name = ? AND key = ? AND at <= ?")
  const takeOver = db.prepare(
    "UPDATE actor SET epoch = ? WHERE name = ? AND key = ? RETURNING version, incarnation, state"
  )
  const readAlarms = db.prepare(
    "SELECT id, due, tag, payload, attempt, firing FROM alarm WHERE name = ? AND key = ?"
  )
  /**
   * @param {ActorRow} actor
   * @param {number} expiredMillis
   * @returns {Claim}
   */
  const claim = (actor, expiredMillis) => {
    const epoch = nextEpoch()
    deleteExpired.run(actor.name, actor.key, expiredMillis)
    const row = /** @type {{ version: number, incarnation: number, state: string | null } | undefined} */ (
      firstOf(takeOver, epoch, actor.name, actor.key)
    )
    if (!row) {
      rowless.own(actor, epoch)
      return { epoch, version: 0, incarnation: 0, state: undefined, alarms: [] }
    }
    rowless.forget(actor)
    const { incarnation, state, version } = row
    const alarms = /** @type {Array<AlarmRow>} */ (readAlarms.all(actor.name, actor.key)).map(toAlarm)
    return { epoch, version, incarnation, state: state ?? undefined, alarms }
  }
  return { claim, rowless }
}

/**
 * @param {Db} db
 * @param {ReturnType<typeof makeRowless>} rowless
 */
const makeCommit = (db, rowless) => {
  const insertActor = db.prepare(
    "INSERT INTO actor(name, key, incarnation, epoch, version, state) VALUES(?, ?, 0, ?, 1, ?) ON CONFLICT DO NOTHING"
  )
  const updateState = db.prepare(
    "UPDATE actor SET state = ?, version = version + 1 WHERE name = ? AND key = ? AND epoch = ? AND version = ?"
  )
  const updateVersion = db.prepare(
    "UPDATE actor SET version = version + 1 WHERE name = ? AND key = ? AND epoch = ? AND version = ?"
  )
  const setAlarm = db.prepare("INSERT OR REPLACE INTO alarm VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
  const deleteAlarm = db.prepare("DELETE FROM alarm WHERE name = ? AND key = ? AND id = ?")
  const insertReplies = db.prepare("INSERT INTO reply VALUES(?, ?, ?, ?, ?)")
  const deleteReplies = db.prepare("DELETE FROM reply WHERE name = ? AND key = ? AND seq = ?")
  // A trace stays, so that a client which comes back can be told that it was another life it called.
  const destroyActor = db.prepare(
    "UPDATE actor SET state = NULL, incarnation = incarnation + 1, destroyed = ? WHERE name = ? AND key = ?"
  )
  const destroyAlarms = db.prepare("DELETE FROM alarm WHERE name = ? AND key = ?")
  const destroyReplies = db.prepare("DELETE FROM reply WHERE name = ? AND key = ?")

  /**
   * The guard: whether the commit's owner still owns the actor, and nobody has committed since.
   * @param {CommitRow} commit
   * @returns {boolean}
   */
  const advance = (commit) => {
    const { epoch, key, name, state, version } = commit
    const { changes } = version === 0 && rowless.ownerOf(commit) === epoch
      ? insertActor.run(name, key, epoch, state ?? null)
      : state === undefined
      ? updateVersion.run(name, key, epoch, version)
      : updateState.run(state, name, key, epoch, version)
    return changes === 1
  }

  /**
   * @param {ActorRow} actor
   * @param {number} nowMillis
   */
  const destroy = ({ key, name }, nowMillis) => {
    destroyActor.run(nowMillis, name, key)
    destroyAlarms.run(name, key)
    destroyReplies.run(name, key)
  }

  /**
   * @param {ActorRow} actor
   * @param {AlarmChange} change
   */
  const changeAlarm = ({ key, name }, { alarm, id }) => {
    if (!alarm) return deleteAlarm.run(name, key, id)
    const { attempt, due, firing, payload, tag } = alarm
    return setAlarm.run(name, key, id, due ?? null, tag, payload ?? null, attempt, firing)
  }

  /**
   * @param {CommitRow} commit
   * @param {number} nowMillis
   * @returns {CommitResult}
   */
  const commitOne = (commit, nowMillis) => {
    const { alarms, body, key, name, settledSegments, version } = commit
    if (!advance(commit)) return { _tag: "superseded" }
    if (commit.destroy) {
      destroy(commit, nowMillis)
      return { _tag: "committed" }
    }
    for (const seq of settledSegments) deleteReplies.run(name, key, seq)
    if (body !== undefined) insertReplies.run(name, key, version + 1, nowMillis, body)
    for (const change of alarms) changeAlarm(commit, change)
    return { _tag: "committed" }
  }

  return commitOne
}

/** @param {Db} db */
const makeDueAlarms = (db) => {
  const columns = "SELECT DISTINCT due, key FROM alarm WHERE name = ? AND due IS NOT NULL"
  const first = db.prepare(`${columns} ORDER BY due, key LIMIT ?`)
  const following = db.prepare(`${columns} AND (due, key) > (?, ?) ORDER BY due, key LIMIT ?`)
  /**
   * @param {AlarmQuery} query
   * @returns {Array<Position>}
   */
  const dueAlarms = ({ after, contract, max }) => /** @type {Array<Position>} */ (
    after ? following.all(contract, after.due, after.key, max) : first.all(contract, max)
  )
  return dueAlarms
}

/** @param {Db} db */
const makeSweep = (db) => {
  // A row's number grows with its age, so what has expired comes first.
  const deleteReplies = db.prepare(
    "DELETE FROM reply WHERE rowid IN (SELECT rowid FROM reply ORDER BY rowid LIMIT ?) AND at <= ?"
  )
  const deleteTraces = db.prepare(
    `DELETE FROM actor WHERE (name, key) IN (SELECT name, key FROM actor WHERE destroyed <= ? AND state IS NULL LIMIT ?)`
  )
  /**
   * @param {number} rowsMax
   * @param {number} expiredMillis
   */
  const sweep = (rowsMax, expiredMillis) => {
    const traces = deleteTraces.run(expiredMillis, rowsMax).changes
    return Math.max(traces, deleteReplies.run(rowsMax, expiredMillis).changes)
  }
  return sweep
}

/**
 * Prepares all that can be asked. Returns what answers a message.
 * @param {Db} db
 * @param {Pick<WorkerOptions, "retentionMillis">} options
 * @param {Retrying} retrying
 */
export const make = (db, { retentionMillis }, retrying) => {
  const transaction = makeTransaction(db)
  const epochs = makeEpochs(db, transaction)
  const { claim, rowless } = makeClaim(db, epochs.next)
  const commitOne = makeCommit(db, rowless)
  const readReplies = db.prepare("SELECT seq, body FROM reply WHERE name = ? AND key = ? AND at > ? ORDER BY seq")
  const dueAlarms = makeDueAlarms(db)
  const sweep = makeSweep(db)
  // The first transaction of all: it shows that the file can be written.
  retrying(() => epochs.ensure(1))

  /**
   * @param {Request} request
   * @param {number} nowMillis
   */
  const perform = ({ argument, operation }, nowMillis) => {
    const expiredMillis = nowMillis - retentionMillis
    switch (operation) {
      case "epoch":
        return epochs.next()
      case "claim":
        return claim(argument, expiredMillis)
      case "replies":
        return readReplies.all(argument.name, argument.key, expiredMillis)
      case "alarms":
        return dueAlarms(argument)
      case "commit":
        return argument.map((one) => commitOne(one, nowMillis))
      case "sweep":
        return sweep(argument, expiredMillis)
      case "close":
        return undefined
    }
  }

  /**
   * @param {Batch} batch
   * @returns {Array<Answer>}
   */
  const attempt = ({ nowMillis, requests }) => {
    epochs.ensure(requests.filter(({ operation }) => operation === "epoch" || operation === "claim").length)
    return transaction(
      requests.some(isFsync) ? "FULL" : "NORMAL",
      () => requests.map((request) => ({ id: request.id, value: perform(request, nowMillis) }))
    )
  }
  return makeAnswer(attempt, retrying)
}

/** @param {Request} request */
const isFsync = ({ argument, operation }) => operation === "commit" && argument.some(({ fsync }) => fsync)
