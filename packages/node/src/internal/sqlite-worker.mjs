/**
 * The thread that owns a store file: SQL, and the messages that ask for it. JavaScript, because a worker thread of Node 20
 * loads no TypeScript; the same file runs in development, in tests and when published.
 *
 * It holds the file's exclusive lock from start to end, so that no second process can own the same actors.
 */
import Database from "libsql"
import { parentPort, workerData } from "node:worker_threads"

/**
 * @typedef {{ session: string, call: number, exit: string }} Reply
 * @typedef {{ contract: string, key: string, epoch: number, version: number, state: string | undefined,
 *   replies: ReadonlyArray<Reply>, settledSegments: ReadonlyArray<number>, fsync: boolean }} Commit
 * @typedef {{ contract: string, key: string }} Address
 * @typedef {{ _tag: "committed" } | { _tag: "superseded" } | { _tag: "failed", message: string }} Result
 */

/** Each entry brings a file from the version of its index to the next. */
const migrations = [
  `CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
   INSERT INTO meta VALUES('epoch', 0);
   CREATE TABLE actor(name TEXT, key TEXT, incarnation INTEGER NOT NULL, epoch INTEGER NOT NULL,
     version INTEGER NOT NULL, state TEXT, PRIMARY KEY(name, key)) WITHOUT ROWID;
   CREATE TABLE reply(name TEXT, key TEXT, seq INTEGER, body TEXT NOT NULL, at INTEGER NOT NULL,
     PRIMARY KEY(name, key, seq)) WITHOUT ROWID;`
]

/** Epochs are taken from the file in blocks, so that waking an actor that has no row writes nothing. */
const epochBlock = 1024

/** How many owners of actors without a row are remembered; the oldest are forgotten first. */
const rowlessMax = 100_000

/** How often a transaction that failed as a whole is tried again, and how long to wait before each, in ms. */
const retryDelays = [10, 50, 250]

const { filename, retentionMillis } = /** @type {{ filename: string, retentionMillis: number }} */ (workerData)

const open = () => {
  const db = new Database(filename)
  db.exec("PRAGMA locking_mode = EXCLUSIVE")
  db.exec("PRAGMA journal_mode = WAL")
  db.exec("PRAGMA synchronous = NORMAL")
  db.exec("BEGIN EXCLUSIVE; COMMIT")
  return db
}

/** @param {InstanceType<typeof Database>} db */
const migrate = (db) => {
  const version = /** @type {{ user_version: number }} */ (db.prepare("PRAGMA user_version").get()).user_version
  if (version > migrations.length) {
    throw new Error(`the file has version ${version}, this release of @troupe/node knows ${migrations.length}`)
  }
  for (let i = version; i < migrations.length; i++) {
    db.exec(`BEGIN IMMEDIATE; ${migrations[i]}; PRAGMA user_version = ${i + 1}; COMMIT`)
  }
}

/** @param {InstanceType<typeof Database>} db */
const makeStore = (db) => {
  const takeEpochs = db.prepare(`UPDATE meta SET value = value + ${epochBlock} WHERE name = 'epoch'`)
  const readEpochs = db.prepare("SELECT value FROM meta WHERE name = 'epoch'")
  const claimActor = db.prepare("UPDATE actor SET epoch = ? WHERE name = ? AND key = ?")
  const readActor = db.prepare("SELECT version, state FROM actor WHERE name = ? AND key = ?")
  const deleteOld = db.prepare("DELETE FROM reply WHERE name = ? AND key = ? AND at < ?")
  const readReplies = db.prepare("SELECT seq, body FROM reply WHERE name = ? AND key = ? AND at >= ? ORDER BY seq")
  const insertActor = db.prepare("INSERT INTO actor VALUES(?, ?, 1, ?, 1, ?) ON CONFLICT DO NOTHING")
  const updateState = db.prepare(
    "UPDATE actor SET state = ?, version = version + 1 WHERE name = ? AND key = ? AND epoch = ? AND version = ?"
  )
  const updateVersion = db.prepare(
    "UPDATE actor SET version = version + 1 WHERE name = ? AND key = ? AND epoch = ? AND version = ?"
  )
  const insertReply = db.prepare("INSERT INTO reply VALUES(?, ?, ?, ?, ?)")
  const deleteReply = db.prepare("DELETE FROM reply WHERE name = ? AND key = ? AND seq = ?")

  /** The newest owners of actors that have no row yet: what fences an older one until the first commit. */
  const rowless = /** @type {Map<string, number>} */ (new Map())
  /** @param {Address} address */
  const idOf = ({ contract, key }) => `${contract.length}:${contract}/${key}`

  let epoch = 0
  let epochsEnd = 0
  const nextEpoch = () => {
    if (epoch === epochsEnd) {
      takeEpochs.run()
      epochsEnd = /** @type {{ value: number }} */ (readEpochs.get()).value
      epoch = epochsEnd - epochBlock
    }
    return ++epoch
  }

  /** @param {Address} address */
  const claim = (address) => {
    const { contract, key } = address
    const mine = nextEpoch()
    if (claimActor.run(mine, contract, key).changes === 1) {
      deleteOld.run(contract, key, Date.now() - retentionMillis)
      const row = /** @type {{ version: number, state: string | null }} */ (readActor.get(contract, key))
      return { epoch: mine, version: row.version, state: row.state ?? undefined }
    }
    const id = idOf(address)
    rowless.delete(id)
    rowless.set(id, mine)
    if (rowless.size > rowlessMax) rowless.delete(/** @type {string} */ (rowless.keys().next().value))
    return { epoch: mine, version: 0, state: undefined }
  }

  /** @param {Address} address */
  const replies = ({ contract, key }) =>
    /** @type {Array<{ seq: number, body: string }>} */ (
      readReplies.all(contract, key, Date.now() - retentionMillis)
    ).map(({ seq, body }) => ({
      seq,
      replies: /** @type {Array<[string, number, string]>} */ (JSON.parse(body)).map(([session, call, exit]) => ({
        session,
        call,
        exit
      }))
    }))

  /** @param {Commit} commit */
  const takeVersion = (commit) => {
    const { contract, key, epoch, version, state } = commit
    if (version === 0) {
      const owner = rowless.get(idOf(commit))
      if (owner !== undefined && owner !== epoch) return false
      return insertActor.run(contract, key, epoch, state ?? null).changes === 1
    }
    return state === undefined
      ? updateVersion.run(contract, key, epoch, version).changes === 1
      : updateState.run(state, contract, key, epoch, version).changes === 1
  }

  /**
   * @param {Commit} commit
   * @returns {Result}
   */
  const commitOne = (commit) => {
    const { contract, key, version, replies, settledSegments } = commit
    if (!takeVersion(commit)) return { _tag: "superseded" }
    for (const seq of settledSegments) deleteReply.run(contract, key, seq)
    if (replies.length > 0) {
      const body = JSON.stringify(replies.map(({ session, call, exit }) => [session, call, exit]))
      insertReply.run(contract, key, version + 1, body, Date.now())
    }
    return { _tag: "committed" }
  }

  /**
   * What fails for a reason in one commit fails that one; what fails for a reason in the file fails the transaction.
   * @param {Commit} commit
   * @returns {Result}
   */
  const commitApart = (commit) => {
    db.exec("SAVEPOINT one")
    try {
      const result = commitOne(commit)
      db.exec("RELEASE one")
      return result
    } catch (error) {
      if (!db.inTransaction || isOfTheFile(error)) throw error
      db.exec("ROLLBACK TO one; RELEASE one")
      return { _tag: "failed", message: messageOf(error) }
    }
  }

  let synchronous = "NORMAL"
  /** @param {"NORMAL" | "FULL"} level */
  const setSynchronous = (level) => {
    if (level !== synchronous) db.exec(`PRAGMA synchronous = ${synchronous = level}`)
  }

  /** @param {ReadonlyArray<Commit>} batch */
  const commit = (batch) => {
    setSynchronous(batch.some(({ fsync }) => fsync) ? "FULL" : "NORMAL")
    db.exec("BEGIN IMMEDIATE")
    try {
      const results = batch.map(commitApart)
      db.exec("COMMIT")
      batch.forEach((one, i) => results[i]?._tag === "committed" && rowless.delete(idOf(one)))
      return results
    } catch (error) {
      if (db.inTransaction) db.exec("ROLLBACK")
      throw error
    }
  }

  return { nextEpoch, claim, replies, commit }
}

/** @param {unknown} error */
const messageOf = (error) => error instanceof Error ? error.message : String(error)

/** @param {unknown} error */
const isOfTheFile = (error) =>
  /^SQLITE_(BUSY|FULL|IOERR|READONLY|CORRUPT|NOTADB|CANTOPEN|NOMEM)/.test(String(/** @type {any} */ (error).code ?? ""))

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * @template A
 * @param {() => A} f
 * @returns {A}
 */
const retrying = (f) => {
  for (const delay of retryDelays) {
    try {
      return f()
    } catch (error) {
      if (!/^SQLITE_(BUSY|FULL)/.test(String(/** @type {any} */ (error).code ?? ""))) throw error
      Atomics.wait(sleeper, 0, 0, delay)
    }
  }
  return f()
}

const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort)

const start = () => {
  const db = open()
  migrate(db)
  const store = makeStore(db)
  port.on("message", ({ id, operation, argument }) => {
    try {
      if (operation === "close") {
        db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        port.postMessage({ id, value: undefined })
        port.close()
        return
      }
      port.postMessage({ id, value: retrying(() => store[/** @type {keyof typeof store} */ (operation)](argument)) })
    } catch (error) {
      port.postMessage({ id, error: messageOf(error) })
    }
  })
}

try {
  start()
  port.postMessage({ id: 0, value: undefined })
} catch (error) {
  port.postMessage({ id: 0, error: messageOf(error), code: String(/** @type {any} */ (error).code ?? "") })
  port.close()
}
