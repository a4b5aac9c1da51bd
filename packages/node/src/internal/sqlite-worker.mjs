/**
 * The thread that owns a store file: SQL, and the messages that ask for it. JavaScript, because a worker thread of Node 20
 * loads no TypeScript; the same file runs in development and in tests, and the build copies it to `dist`.
 *
 * All that is asked in one message is done in one transaction, in order. If that fails for a reason of the file, everything
 * is tried again; if it fails for a reason in what was asked, the message is halved until only the culprit fails. That is
 * cheaper than a savepoint for each, which nearly always protects from nothing.
 */
import Database from "libsql"
import * as fs from "node:fs"
import * as path from "node:path"
import { parentPort, workerData } from "node:worker_threads"

/**
 * @import { ActorRow, Answer, Batch, CommitRow, Opening, Refusal, Request, WorkerOptions } from "./SqliteProtocol.ts"
 * @import { Alarm, AlarmChange, AlarmQuery, Claim, CommitResult, Position } from "@troupe/server/ActorStore"
 * @typedef {InstanceType<typeof Database>} Db
 */

/** Marks a SQLite file as ours: "Trpe". */
const applicationId = 0x54727065

/** Each entry brings a file from the version of its index to the next. Entries are only ever added. */
const migrations = [
  `CREATE TABLE epoch(reserved INTEGER NOT NULL);
   INSERT INTO epoch VALUES(0);
   CREATE TABLE actor(name TEXT NOT NULL, key TEXT NOT NULL, incarnation INTEGER NOT NULL, epoch INTEGER NOT NULL,
     version INTEGER NOT NULL, state TEXT, PRIMARY KEY(name, key)) WITHOUT ROWID;
   CREATE TABLE reply(name TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
     body TEXT NOT NULL, PRIMARY KEY(name, key, seq));
   PRAGMA application_id = ${applicationId}`,
  `CREATE TABLE alarm(name TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, due INTEGER, tag TEXT NOT NULL, payload TEXT,
     attempt INTEGER NOT NULL, firing TEXT NOT NULL, PRIMARY KEY(name, key, id)) WITHOUT ROWID;
   CREATE INDEX alarm_due ON alarm(name, due, key) WHERE due IS NOT NULL;
   ALTER TABLE actor ADD COLUMN destroyed INTEGER;
   CREATE INDEX actor_destroyed ON actor(destroyed) WHERE destroyed IS NOT NULL`
]

/** How many epochs are reserved at a time, durably: a loss of power costs some numbers, and repeats none. */
const epochBlock = 1024

/** How many owners of actors that have no row are remembered. The oldest is forgotten first, and cannot commit then. */
const rowlessMax = 100_000

/** The smallest page of SQLite, and so the smallest database that is not empty. */
const pageBytesMin = 512

/** How often the lock file may be replaced under us before we give up. */
const lockAttempts = 10

const { filename, retentionMillis, retriesMax, retryDelayMillis } = /** @type {WorkerOptions} */ (workerData)

const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort)

// Errors

/** @typedef {Refusal["kind"]} Kind */

/** The file is not opened; the message is for people. */
class Refused extends Error {
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

const notADatabase = "it is not a SQLite database"

const inUse = "it is in use by another process or another store"

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
const messageOf = (error) => {
  const [code, , reason] = refusalOf(error) ?? []
  return code ? `${reason} (${textOf(error)})` : textOf(error)
}

/**
 * @param {unknown} error
 * @returns {Refusal}
 */
const toRefusal = (error) => {
  if (error instanceof Refused) return { kind: error.kind, reason: error.message }
  const [, kind] = refusalOf(error) ?? []
  return { kind: kind ?? "Failed", reason: messageOf(error) }
}

/** The reason is the file, not what was asked: whoever asks will hear the same. */
const isOfTheFile = /** @param {unknown} error */ (error) =>
  isPassing(error) || /^SQLITE_(READONLY|NOTADB|CANTOPEN|INTERRUPT)/.test(codeOf(error))

/** It may be over in a moment. */
const isPassing = /** @param {unknown} error */ (error) =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|NOMEM|PROTOCOL)/.test(codeOf(error))

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * Tries again what failed for a passing reason, with delays that double.
 * @template A
 * @param {() => A} attempt
 * @returns {A}
 */
const retrying = (attempt) => {
  for (let retry = 0;; retry++) {
    try {
      return attempt()
    } catch (error) {
      if (retry >= retriesMax || !isPassing(error)) throw error
      Atomics.wait(sleeper, 0, 0, retryDelayMillis * 2 ** retry)
    }
  }
}

// Opening

/**
 * Finds out what SQLite has no words for, and what the file is called in the end. Opens nothing: closing a file drops all
 * locks that the process holds on it.
 */
const inspectPath = () => {
  const directory = path.dirname(filename)
  if (!fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Refused("DirectoryMissing", `its directory ${directory} does not exist`)
  }
  const file = fs.statSync(filename, { throwIfNoEntry: false })
  if (!file) return path.join(fs.realpathSync(directory), path.basename(filename))
  if (file.isDirectory()) throw new Refused("NotADatabase", "it is a directory")
  // SQLite takes a file of one byte for an empty one, and writes to it.
  if (file.size > 0 && file.size < pageBytesMin) throw new Refused("NotADatabase", notADatabase)
  // SQLite finds a log by the name of its file, so a second name is a second log, and the end of the data.
  if (file.nlink > 1)
    throw new Refused("InUse", "it may be in use by another store: the file has a second name, a hard link")
  fs.accessSync(filename, fs.constants.R_OK | fs.constants.W_OK)
  return fs.realpathSync(filename)
}

/** @param {string} name */
const inodeOf = (name) => fs.statSync(name, { throwIfNoEntry: false })?.ino

/**
 * Takes the lock that keeps a second store out: an exclusive transaction on a file beside the store's. The system drops
 * it with the process, however that ends, and it leaves the store readable for tools. Its owner deletes the file when it
 * closes, so the lock counts only if it is still that of the file which has the name.
 *
 * @param {string} name
 */
const lock = (name) => {
  for (let attempt = 0; attempt < lockAttempts; attempt++) {
    const before = inodeOf(name)
    const db = new Database(name)
    try {
      db.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE")
      if (before !== undefined && inodeOf(name) === before) return { name, db }
    } catch (error) {
      db.close()
      throw error
    }
    db.close()
  }
  throw new Refused("InUse", inUse)
}

/** @param {ReturnType<typeof lock>} held */
const unlock = ({ db, name }) => {
  try {
    fs.unlinkSync(name)
  } catch {
    // Windows deletes no open file: the next owner takes it over.
  }
  db.close()
}

/**
 * The only column of the only row.
 * @param {Db} db
 * @param {string} sql
 */
const valueOf = (db, sql) => {
  const row = /** @type {Record<string, unknown>} */ (db.prepare(sql).get())
  return row[/** @type {string} */ (Object.keys(row)[0])]
}

/**
 * The version of the tables; 0 for a new file. Nothing is written to a file that is not ours.
 * @param {Db} db
 */
const versionOf = (db) => {
  const version = Number(valueOf(db, "PRAGMA user_version"))
  const isOurs = valueOf(db, "PRAGMA application_id") === applicationId
  if (!isOurs && (version !== 0 || valueOf(db, "SELECT count(*) FROM sqlite_schema") !== 0)) {
    throw new Refused("OtherApplication", "it is a database of something else")
  }
  if (version > migrations.length) {
    throw new Refused(
      "NewerVersion",
      `it has version ${version}, and this release of @troupe/node knows ${migrations.length} at most`
    )
  }
  return version
}

/** @param {Db} db */
const migrate = (db) => {
  for (let version = versionOf(db); version < migrations.length; version++) {
    db.exec(`BEGIN IMMEDIATE; ${migrations[version]}; PRAGMA user_version = ${version + 1}; COMMIT`)
  }
}

/** @param {Db} db */
const setModes = (db) => {
  const mode = valueOf(db, "PRAGMA journal_mode = WAL")
  if (mode !== "wal") throw new Refused("Failed", "its file system cannot hold a write-ahead log")
  db.exec("PRAGMA synchronous = NORMAL")
}

/** @param {string} name */
const openDatabase = (name) => {
  const db = new Database(name)
  try {
    versionOf(db)
    retrying(() => setModes(db))
    retrying(() => migrate(db))
    return { attempt: makeStore(db), db }
  } catch (error) {
    db.close()
    throw error
  }
}

const open = () => {
  const name = inspectPath()
  const held = lock(`${name}-lock`)
  try {
    const { attempt, db } = openDatabase(name)
    const close = () => {
      try {
        db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
      } finally {
        db.close()
        unlock(held)
      }
    }
    return { answer: makeAnswer(attempt), close }
  } catch (error) {
    unlock(held)
    throw error
  }
}

// Transactions

/**
 * Runs a body as one transaction. `FULL` survives a loss of power, and so does everything before it.
 * @typedef {<A>(level: "NORMAL" | "FULL", body: () => A) => A} Transaction
 */

/**
 * @param {Db} db
 * @returns {Transaction}
 */
const makeTransaction = (db) => {
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
const firstOf = (statement, ...parameters) => statement.all(...parameters)[0]

/**
 * A source of numbers of which no two are the same, also not after a loss of power.
 * @param {Db} db
 * @param {Transaction} transaction
 */
const makeEpochs = (db, transaction) => {
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

// Operations

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

/** @param {Db} db */
const makeStore = (db) => {
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
  return attempt
}

/** @param {Request} request */
const isFsync = ({ argument, operation }) => operation === "commit" && argument.some(({ fsync }) => fsync)

// Answers

/**
 * @template A
 * @param {ReadonlyArray<A>} all
 */
const halves = (all) => [all.slice(0, all.length >> 1), all.slice(all.length >> 1)]

/** @param {(batch: Batch) => Array<Answer>} attempt */
const makeAnswer = (attempt) => {
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

// Messages

/** @param {Refusal | undefined} refusal */
const tell = (refusal) => port.postMessage(/** @type {Opening} */ ({ refusal }))

const start = () => {
  const { answer, close } = open()
  port.on("message", (/** @type {Batch} */ batch) => {
    const answers = answer(batch)
    const isLast = batch.requests.some(({ operation }) => operation === "close")
    if (isLast) close()
    port.postMessage(answers)
    if (isLast) port.close()
  })
}

try {
  start()
  tell(undefined)
} catch (error) {
  tell(toRefusal(error))
}
