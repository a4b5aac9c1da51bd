/** Preloaded into a process and its threads: so often there is no room for the tables of an earlier release in new ones. */
const Database = require("libsql")

const { exec } = Database.prototype

let times = Number(process.env.FULL)

Database.prototype.exec = function(sql) {
  if (sql.includes("reply_3")) exec.call(this, `PRAGMA max_page_count = ${times-- > 0 ? 1 : 4294967294}`)
  return exec.call(this, sql)
}
