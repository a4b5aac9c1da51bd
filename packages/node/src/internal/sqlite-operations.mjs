/** What is done with actors, in SQL. */
import { firstOf, makeAnswer, makeEpochs, makeTransaction } from "./sqlite-transactions.mjs"

/**
 * @import { ActorRow, Answer, Batch, CommitRow, Request, WorkerOptions } from "./SqliteProtocol.ts"
 * @import { Alarm, AlarmChange, AlarmQuery, Claim, CommitResult, Position } from "@troupe/server/ActorStore"
 * @import { Retrying } from "./sqlite-errors.mjs"
 * @import { Db } from "./sqlite-file.mjs"
 */

/** How many owners of actors that have no row are remembered. The oldest is forgotten first. */
const rowlessMax = 100_000

/** @typedef {Pick<Claim, "epoch" | "incarnation" | "version">} Owner */

/**
 * Who may make the first commit of an actor, or of its next life. An actor has a row only from then on, so that strangers
 * who are refused leave nothing behind; and what is left of the life before is swept in the end, whoever has claimed it.
 */
const makeRowless = () => {
  const owners = /** @type {Map<string, Owner>} */ (new Map())
  /** Of the newest owner that was forgotten because there were too many. All others have later ones. */
  let forgottenEpoch = 0
  const idOf = /** @param {ActorRow} actor */ ({ name, key }) => `${name.length}:${name}${key}`
  return {
    /**
     * @param {ActorRow} actor
     * @param {Owner} owner
     */
    own: (actor, owner) => {
      const id = idOf(actor)
      owners.delete(id)
      owners.set(id, owner)
      if (owners.size <= rowlessMax) return
      const [oldest, { epoch }] = /** @type {[string, Owner]} */ (owners.entries().next().value)
      forgottenEpoch = epoch
      owners.delete(oldest)
    },
    /**
     * How often the actor has been destroyed before, if this is a first commit of who owns it.
     *
     * One that may have been forgotten is believed, if no later claim is known: its commit counts only where there is no row, so
     * that nobody has committed before it. If its actor was claimed again, and that claim is forgotten too, the first of the
     * two that commits is the owner, and the other is superseded, as if it had come late.
     * @param {CommitRow} commit
     */
    incarnationFor: (commit) => {
      const owner = owners.get(idOf(commit))
      if (!owner) return commit.version === 0 && commit.epoch <= forgottenEpoch ? 0 : undefined
      return owner.epoch === commit.epoch && owner.version === commit.version ? owner.incarnation : undefined
    },
    forget: /** @param {ActorRow} actor */ (actor) => owners.delete(idOf(actor))
  }
}

/** @typedef {Omit<Alarm, "id" | "tag" | "due" | "payload"> & { readonly id: Uint8Array, readonly tag: Uint8Array, readonly due: number | null, readonly payload: string | null }} AlarmRow */

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/**
 * What others have named is read as bytes: of a text, libsql (0.5) gives what stands before the first NUL.
 * @param {Uint8Array} bytes
 */
const textOf = (bytes) => decoder.decode(bytes)

/**
 * @param {AlarmRow} row
 * @returns {Alarm}
 */
const toAlarm = ({ due, id, payload, tag, ...rest }) => ({
  ...rest,
  id: textOf(id),
  tag: textOf(tag),
  due: due ?? undefined,
  payload: payload ?? undefined
})

/**
 * @param {Db} db
 * @param {() => number} nextEpoch
 */
const makeClaim = (db, nextEpoch) => {
  const rowless = makeRowless()
  // a trace that is needed again, until the next life is stored, is not swept for as long as if it had been left now
  const takeOver = db.prepare(
    `UPDATE actor SET epoch = ?, destroyed = CASE WHEN state IS NULL AND destroyed IS NOT NULL THEN ? ELSE destroyed END
     WHERE name = ? AND key = ? RETURNING version, incarnation, state`
  )
  const readAlarms = db.prepare(
    `SELECT CAST(id AS BLOB) AS id, due, CAST(tag AS BLOB) AS tag, payload, attempt, firing FROM alarm
     WHERE name = ? AND key = ?`
  )
  /**
   * @param {ActorRow} actor
   * @param {number} nowMillis
   * @returns {Claim}
   */
  const claim = (actor, nowMillis) => {
    const epoch = nextEpoch()
    const row = /** @type {{ version: number, incarnation: number, state: string | null } | undefined} */ (
      firstOf(takeOver, epoch, nowMillis, actor.name, actor.key)
    )
    if (!row) {
      rowless.own(actor, { epoch, version: 0, incarnation: 0 })
      return { epoch, version: 0, incarnation: 0, state: undefined, alarms: [] }
    }
    const { incarnation, state, version } = row
    if (state === null) rowless.own(actor, { epoch, version, incarnation })
    else rowless.forget(actor)
    const alarms = /** @type {Array<AlarmRow>} */ (readAlarms.all(actor.name, actor.key)).map(toAlarm)
    return { epoch, version, incarnation, state: state ?? undefined, alarms }
  }
  return { claim, rowless }
}

/**
 * There may be too many segments for the arguments of one call.
 * @param {number | null} last
 * @param {number} seq
 */
const latest = (last, seq) => last === null ? seq : Math.max(last, seq)

/**
 * @param {Db} db
 * @param {ReturnType<typeof makeRowless>} rowless
 */
const makeAdvance = (db, rowless) => {
  const insert = db.prepare(
    `INSERT INTO actor(name, key, incarnation, epoch, version, state, reply_seq, reply_at, reply_body)
     VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
  )
  const guard = "name = ? AND key = ? AND epoch = ? AND version = ?"
  const updateState = db.prepare(`UPDATE actor SET state = ?, version = version + 1 WHERE ${guard}`)
  const updateVersion = db.prepare(`UPDATE actor SET version = version + 1 WHERE ${guard}`)
  const updateAll =
    "UPDATE actor SET state = coalesce(?, state), version = version + 1, reply_seq = ?, reply_at = ?, reply_body = ?"
  const replaceSegment = db.prepare(`${updateAll} WHERE ${guard} AND reply_seq IS ?`)
  const newSegment = db.prepare(`${updateAll} WHERE ${guard}`)
  const moveSegment = db.prepare(
    `INSERT INTO reply(name, key, seq, at, body) SELECT name, key, reply_seq, reply_at, reply_body FROM actor
     WHERE ${guard} AND reply_seq IS NOT NULL`
  )
  const emptySegment = db.prepare(
    "UPDATE actor SET reply_seq = NULL, reply_at = NULL, reply_body = NULL WHERE name = ? AND key = ? AND reply_seq = ?"
  )
  const deleteSegment = db.prepare("DELETE FROM reply WHERE name = ? AND key = ? AND seq = ?")

  /**
   * An actor's newest segment is in its own row, so that a commit nearly always is one statement: the segment before has been
   * settled, and the new one takes its place. If it has not, it moves to the table of replies first.
   * @param {CommitRow} commit
   * @param {string} body
   * @param {number} nowMillis
   */
  const advanceWithReplies = ({ epoch, key, name, settledSegments, state, version }, body, nowMillis) => {
    const owner = [name, key, epoch, version]
    const values = [state ?? null, version + 1, nowMillis, body]
    const last = settledSegments.reduce(latest, null)
    if (replaceSegment.run(...values, ...owner, last).changes === 1) {
      for (const seq of settledSegments) if (seq !== last) deleteSegment.run(name, key, seq)
      return true
    }
    moveSegment.run(...owner)
    if (newSegment.run(...values, ...owner).changes !== 1) return false
    for (const seq of settledSegments) deleteSegment.run(name, key, seq)
    return true
  }

  /** @param {CommitRow} commit */
  const advanceAlone = ({ epoch, key, name, settledSegments, state, version }) => {
    const { changes } = state === undefined
      ? updateVersion.run(name, key, epoch, version)
      : updateState.run(state, name, key, epoch, version)
    if (changes !== 1) return false
    for (const seq of settledSegments) {
      if (emptySegment.run(name, key, seq).changes === 0) deleteSegment.run(name, key, seq)
    }
    return true
  }

  /**
   * The guard, and what is committed by nearly everyone: says whether the commit's owner still owns the actor, and nobody has
   * committed since. Only then it has brought in the commit's state and replies.
   * @param {CommitRow} commit
   * @param {number} nowMillis
   * @returns {boolean}
   */
  return (commit, nowMillis) => {
    const { body, epoch, key, name, state, version } = commit
    const incarnation = rowless.incarnationFor(commit)
    if (incarnation !== undefined) {
      const segment = body === undefined ? [null, null, null] : [version + 1, nowMillis, body]
      const { changes } = insert.run(name, key, incarnation, epoch, version + 1, state ?? null, ...segment)
      // otherwise there is a row: what the life before has left, or the work of another owner
      if (changes === 1) return true
    }
    return body === undefined ? advanceAlone(commit) : advanceWithReplies(commit, body, nowMillis)
  }
}

/**
 * @param {Db} db
 * @param {ReturnType<typeof makeRowless>} rowless
 */
const makeCommit = (db, rowless) => {
  const advance = makeAdvance(db, rowless)
  const setAlarm = db.prepare(
    `INSERT OR REPLACE INTO alarm(name, key, id, due, tag, payload, attempt, firing) VALUES(?, ?, ?, ?, ?, ?, ?, ?)`
  )
  const deleteAlarm = db.prepare("DELETE FROM alarm WHERE name = ? AND key = ? AND id = ?")
  // A trace stays, so that a client which comes back can be told that it was another life it called. The segment of the
  // commit that ends the actor stays with it.
  const destroyActor = db.prepare(
    "UPDATE actor SET state = NULL, incarnation = incarnation + 1, destroyed = ? WHERE name = ? AND key = ?"
  )
  const emptyOldSegment = db.prepare(
    `UPDATE actor SET reply_seq = NULL, reply_at = NULL, reply_body = NULL
     WHERE name = ? AND key = ? AND reply_seq < version`
  )
  const destroyAlarms = db.prepare("DELETE FROM alarm WHERE name = ? AND key = ?")
  const destroyReplies = db.prepare("DELETE FROM reply WHERE name = ? AND key = ?")

  /**
   * @param {ActorRow} actor
   * @param {number} nowMillis
   */
  const destroy = ({ key, name }, nowMillis) => {
    destroyActor.run(nowMillis, name, key)
    emptyOldSegment.run(name, key)
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
    if (!advance(commit, nowMillis)) return { _tag: "superseded" }
    if (commit.destroy) destroy(commit, nowMillis)
    else for (const change of commit.alarms) changeAlarm(commit, change)
    return { _tag: "committed" }
  }

  return commitOne
}

/** @param {Db} db */
const makeDueAlarms = (db) => {
  const columns = "SELECT DISTINCT due, CAST(key AS BLOB) AS bytes FROM alarm WHERE name = ? AND due IS NOT NULL"
  const first = db.prepare(`${columns} ORDER BY due, key LIMIT ?`)
  const following = db.prepare(`${columns} AND (due, key) > (?, ?) ORDER BY due, key LIMIT ?`)
  /**
   * @param {AlarmQuery} query
   * @returns {Array<Position>}
   */
  const dueAlarms = ({ after, contract, max }) => {
    const rows = after ? following.all(contract, after.due, after.key, max) : first.all(contract, max)
    return /** @type {Array<{ due: number, bytes: Uint8Array }>} */ (rows).map(({ bytes, due }) => ({
      due,
      key: textOf(bytes)
    }))
  }
  return dueAlarms
}

/** @param {Db} db */
const makeSweep = (db) => {
  const deleteReplies = db.prepare(
    "DELETE FROM reply WHERE (name, key, seq) IN (SELECT name, key, seq FROM reply WHERE at <= ? LIMIT ?)"
  )
  const emptySegments = db.prepare(
    `UPDATE actor SET reply_seq = NULL, reply_at = NULL, reply_body = NULL
     WHERE (name, key) IN (SELECT name, key FROM actor WHERE reply_at <= ? LIMIT ?)`
  )
  const deleteTraces = db.prepare(
    `DELETE FROM actor WHERE (name, key) IN (SELECT name, key FROM actor WHERE destroyed <= ? AND state IS NULL LIMIT ?)`
  )
  /**
   * @param {number} rowsMax
   * @param {number} expiredMillis
   */
  const sweep = (rowsMax, expiredMillis) =>
    Math.max(...[deleteTraces, deleteReplies, emptySegments].map((sql) => sql.run(expiredMillis, rowsMax).changes))
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
  const readReplies = db.prepare("SELECT seq, body FROM segment WHERE name = ? AND key = ? AND at > ? ORDER BY seq")
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
        return claim(argument, nowMillis)
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

/** Whether a loss of power is to be survived. */
export const isFsync = /** @param {Request} request */ ({ argument, operation }) =>
  operation === "commit" && argument.some(({ fsync }) => fsync)
