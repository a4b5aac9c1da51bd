/** A store file: found fit, locked against a second store, brought to the newest tables, watched while in use, and closed. */
import Database from "libsql"
import * as fs from "node:fs"
import * as path from "node:path"
import { inUse, isSpoiled, notADatabase, Refused } from "./sqlite-errors.mjs"
import { makeTransaction } from "./sqlite-transactions.mjs"

/**
 * @import { Retrying } from "./sqlite-errors.mjs"
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
   CREATE INDEX actor_destroyed ON actor(destroyed) WHERE destroyed IS NOT NULL`,
  `ALTER TABLE actor ADD COLUMN reply_seq INTEGER;
   ALTER TABLE actor ADD COLUMN reply_at INTEGER;
   ALTER TABLE actor ADD COLUMN reply_body TEXT;
   CREATE INDEX actor_reply_at ON actor(reply_at) WHERE reply_at IS NOT NULL;
   CREATE TABLE reply_3(name TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
     body TEXT NOT NULL, PRIMARY KEY(name, key, seq)) WITHOUT ROWID;
   INSERT INTO reply_3 SELECT name, key, seq, at, body FROM reply;
   DROP TABLE reply;
   ALTER TABLE reply_3 RENAME TO reply;
   CREATE INDEX reply_at ON reply(at);
   CREATE VIEW segment AS SELECT name, key, seq, at, body FROM reply
     UNION ALL SELECT name, key, reply_seq, reply_at, reply_body FROM actor WHERE reply_seq IS NOT NULL`,
  // Keys have an index of their own: to compare one in a table WITHOUT ROWID, SQLite reads the whole row, however long
  // it is, so that whoever was looked up beside large states paid for them. What may be long stands last in its row: what
  // is behind it is found by reading it.
  `DROP VIEW segment;
   CREATE TABLE actor_4(name TEXT NOT NULL, key TEXT NOT NULL, incarnation INTEGER NOT NULL, epoch INTEGER NOT NULL,
     version INTEGER NOT NULL, destroyed INTEGER, reply_seq INTEGER, reply_at INTEGER, reply_body TEXT, state TEXT,
     UNIQUE(name, key));
   INSERT INTO actor_4 SELECT name, key, incarnation, epoch, version, destroyed, reply_seq, reply_at, reply_body, state
     FROM actor;
   DROP TABLE actor;
   ALTER TABLE actor_4 RENAME TO actor;
   CREATE INDEX actor_destroyed ON actor(destroyed) WHERE destroyed IS NOT NULL;
   CREATE INDEX actor_reply_at ON actor(reply_at) WHERE reply_at IS NOT NULL;
   CREATE TABLE reply_4(name TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
     body TEXT NOT NULL, UNIQUE(name, key, seq));
   INSERT INTO reply_4 SELECT name, key, seq, at, body FROM reply;
   DROP TABLE reply;
   ALTER TABLE reply_4 RENAME TO reply;
   CREATE INDEX reply_at ON reply(at);
   CREATE TABLE alarm_4(name TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, due INTEGER, tag TEXT NOT NULL,
     attempt INTEGER NOT NULL, firing TEXT NOT NULL, payload TEXT, UNIQUE(name, key, id));
   INSERT INTO alarm_4 SELECT name, key, id, due, tag, attempt, firing, payload FROM alarm;
   DROP TABLE alarm;
   ALTER TABLE alarm_4 RENAME TO alarm;
   CREATE INDEX alarm_due ON alarm(name, due, key) WHERE due IS NOT NULL;
   CREATE VIEW segment AS SELECT name, key, seq, at, body FROM reply
     UNION ALL SELECT name, key, reply_seq, reply_at, reply_body FROM actor WHERE reply_seq IS NOT NULL`
]

/** The smallest page of SQLite, and so the smallest database that is not empty. */
const pageBytesMin = 512

/**
 * The store may be sound: nobody is to restore it because of its lock.
 * @param {string} name
 */
const spoiledLock = (name) =>
  `something has written to its lock file ${path.basename(name)}: delete that if no store has it open`

/** How often the lock file may be replaced under us before we give up. */
const lockAttempts = 10

/** @param {string} filename */
const linkOf = (filename) =>
  fs.lstatSync(filename, { throwIfNoEntry: false })?.isSymbolicLink() ? fs.readlinkSync(filename) : undefined

/**
 * Finds out what SQLite has no words for, and what the file is called in the end. Opens nothing: closing a file drops all
 * locks that the process holds on it.
 *
 * @param {string} filename
 * @returns {string}
 */
const inspectPath = (filename) => {
  const directory = path.dirname(filename)
  if (!fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Refused("DirectoryMissing", `its directory ${directory} does not exist`)
  }
  const file = fs.statSync(filename, { throwIfNoEntry: false })
  if (!file) {
    // SQLite creates what a link leads to: the link is no second name of it
    const target = linkOf(filename)
    if (target !== undefined) return inspectPath(path.resolve(directory, target))
    return path.join(fs.realpathSync(directory), path.basename(filename))
  }
  if (file.isDirectory()) throw new Refused("NotADatabase", "it is a directory")
  if (!file.isFile()) throw new Refused("NotADatabase", "it is no ordinary file")
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
      if (before !== undefined && inodeOf(name) === before) return { name, inode: before, db }
    } catch (error) {
      db.close()
      throw isSpoiled(error) ? new Refused("NotAccessible", spoiledLock(name)) : error
    }
    db.close()
  }
  throw new Refused("InUse", inUse)
}

/**
 * If somebody has deleted or moved the lock file, another store may have one of that name by now: that is not deleted.
 * @param {ReturnType<typeof lock>} held
 */
const unlock = ({ db, inode, name }) => {
  try {
    if (inodeOf(name) === inode) fs.unlinkSync(name)
  } catch {
    // Windows deletes no open file: the next owner takes it over.
  }
  db.close()
}

/**
 * SQLite deletes a log that it finds beside an empty file, or beside none. All that was stored may be in it.
 * @param {string} name
 */
const inspectLog = (name) => {
  const bytesOf = (/** @type {string} */ name) => fs.statSync(name, { throwIfNoEntry: false })?.size ?? 0
  if (bytesOf(name) > 0 || bytesOf(`${name}-wal`) === 0) return
  const log = `${path.basename(name)}-wal`
  throw new Refused(
    "Damaged",
    `it is missing or empty, and its log ${log} is not: put the file back, or delete the log too`
  )
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
  const transaction = makeTransaction(db)
  for (let version = versionOf(db); version < migrations.length; version++) {
    transaction("NORMAL", () => db.exec(`${migrations[version]}; PRAGMA user_version = ${version + 1}`))
  }
}

/**
 * What is kept of a log that had to grow, because another program was reading: nothing is brought into the file that a reader
 * must not see yet.
 */
const logBytesMax = 64 * 1024 * 1024

/** @param {Db} db */
const setModes = (db) => {
  const mode = valueOf(db, "PRAGMA journal_mode = WAL")
  if (mode !== "wal") throw new Refused("Failed", "its file system cannot hold a write-ahead log")
  db.exec(`PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = ${logBytesMax}`)
}

/**
 * Remembers which files a store has open. Each has a number that no other file gets while it is open, whatever its name.
 * @param {string} name
 */
const makeWatch = (name) => {
  const remember = (/** @type {string} */ name) => ({ name, inode: inodeOf(name) })
  const file = remember(name)
  const log = remember(`${name}-wal`)
  return {
    /**
     * Why what is committed would be lost with the process: without its name, nobody finds the file again, or its log. SQLite
     * does not look. A program that takes itself for the last to close the file deletes the log, and if this process has
     * dropped its locks, by closing the file elsewhere, any program does.
     */
    whyLost: () => {
      const gone = [file, log].find(({ inode, name }) => inode === undefined || inodeOf(name) !== inode)
      return gone && `${path.basename(gone.name)} was deleted, moved or replaced while the store was open`
    },
    /** Somebody else has a log of this name, and so the file. */
    isTakenOver: () => ![undefined, log.inode].includes(inodeOf(log.name))
  }
}

/**
 * @template A
 * @param {string} name
 * @param {Retrying} retrying
 * @param {(db: Db) => A} use
 */
const openDatabase = (name, retrying, use) => {
  const db = new Database(name)
  try {
    // read before anything is written; a program that closes the file last after a crash has it to itself for a moment
    retrying(() => versionOf(db))
    retrying(() => setModes(db))
    retrying(() => migrate(db))
    const result = use(db)
    // it has a log now
    return { db, result, ...makeWatch(name) }
  } catch (error) {
    db.close()
    throw error
  }
}

/**
 * Opens a file and begins to use it. If that fails, the file is closed.
 * @template A
 * @param {string} filename
 * @param {Retrying} retrying
 * @param {(db: Db) => A} use
 */
export const open = (filename, retrying, use) => {
  const name = inspectPath(filename)
  const held = lock(`${name}-lock`)
  try {
    inspectLog(name)
    const { db, isTakenOver, result, whyLost } = openDatabase(name, retrying, use)
    const close = () => {
      try {
        // a log without its name is saved that way; but it must not overwrite what another one has brought in
        if (!isTakenOver()) db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
      } finally {
        try {
          db.close()
        } finally {
          unlock(held)
        }
      }
    }
    return { close, result, whyLost }
  } catch (error) {
    unlock(held)
    throw error
  }
}
