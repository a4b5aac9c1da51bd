/**
 * Preloaded into a process and its threads: before each transaction, a store does the pragmas that are in the file `PRAGMAS`.
 * They are settings of its own connection, which nobody else can change.
 */
const Database = require("libsql")
const { readFileSync } = require("node:fs")

const { exec } = Database.prototype

Database.prototype.exec = function(sql) {
  if (sql === "BEGIN IMMEDIATE") exec.call(this, `PRAGMA ${readFileSync(process.env.PRAGMAS, "utf8")}`)
  return exec.call(this, sql)
}
